//! Makes samples from the bytes of the fuzzer.

use arbitrary::{Arbitrary, Result, Unstructured};
use test_support::sample::{HOSTILE, Sample, Value};

/// Text, mostly made of pieces that parsers are likely to get wrong. May be empty.
pub(crate) fn text(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 4)? {
        return String::arbitrary(u);
    }
    (0..u.int_in_range(0..=6)?).map(|_| u.choose(&HOSTILE).copied()).collect()
}

pub(crate) fn tags(u: &mut Unstructured<'_>) -> Result<Vec<(String, String)>> {
    // More than the 16 keys whose fingerprints a measurement keeps.
    (0..u.int_in_range(0..=20)?).map(|_| Ok((text(u)?, text(u)?))).collect()
}

pub(crate) fn sample(u: &mut Unstructured<'_>) -> Result<Sample> {
    let fields = 0..u.int_in_range(0..=20)?;
    Ok(Sample {
        name: text(u)?,
        tags: tags(u)?,
        fields: fields.map(|_| Ok((text(u)?, value(u)?))).collect::<Result<_>>()?,
        timestamp: u.arbitrary()?,
    })
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Value::Float(u.arbitrary()?),
        1 => Value::Float(*u.choose(&[f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, -0.0])?),
        2 => Value::Integer(u.arbitrary()?),
        3 => Value::Unsigned(u.arbitrary()?),
        4 => Value::Boolean(u.arbitrary()?),
        _ => Value::String(text(u)?),
    })
}
