//! Field values without quotation marks: booleans and numbers.

use crate::point::Value;

/// A field value without quotation marks.
pub(crate) fn scalar(token: &str, unsigned: bool) -> Result<Value, String> {
    match token {
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(Value::Boolean(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(Value::Boolean(false)),
        _ => {}
    }
    let unsigned_token = token.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if ["nan", "inf", "infinity"].contains(&unsigned_token.as_str()) {
        return Err("invalid number: only finite numbers can be stored".into());
    }
    if token.starts_with(char::is_alphabetic) {
        return Err("invalid boolean".into());
    }
    let magnitude = token.strip_prefix('-').unwrap_or(token);
    let (whole, suffix) = split_digits(magnitude);
    if whole.is_empty() {
        let no_whole = suffix.starts_with('.');
        return Err(if no_whole {
            "invalid number: no digit before the point"
        } else {
            "invalid number"
        }
        .into());
    }
    match suffix {
        "i" => integer(&token[..token.len() - 1]).map(Value::Integer),
        "u" if !unsigned => Err("invalid number: InfluxDB 1.x has no unsigned integers".into()),
        "u" => integer(&token[..token.len() - 1]).map(Value::Unsigned),
        _ => float(token, suffix).map(Value::Float),
    }
}

fn integer<T: std::str::FromStr>(digits: &str) -> Result<T, String> {
    digits.parse().map_err(|_| format!("unable to parse integer {digits}: value out of range"))
}

fn float(token: &str, after_whole: &str) -> Result<f64, String> {
    let mut rest = after_whole;
    if let Some(fraction) = rest.strip_prefix('.') {
        let (digits, after) = split_digits(fraction);
        if digits.is_empty() {
            return Err("invalid number: no digit after the point".into());
        }
        rest = after;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let (digits, after) = split_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        if digits.is_empty() {
            return Err("invalid float: no digit in the exponent".into());
        }
        rest = after;
    }
    if !rest.is_empty() {
        return Err("invalid number".into());
    }
    match token.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("invalid float: value out of range".into()),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}
