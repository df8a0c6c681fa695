//! Makes samples from the fuzzer's bytes.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::model::{HOSTILE, Sample, Value};

/// Text, mostly of pieces that parsers are likely to misread. It may be empty.
pub(crate) fn text(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 4)? {
        return String::arbitrary(u);
    }
    (0..u.int_in_range(0..=6)?).map(|_| u.choose(&HOSTILE).copied()).collect()
}

pub(crate) fn tags(u: &mut Unstructured<'_>) -> Result<Vec<(String, String)>> {
    // Enough for keys whose bits in the filter of keys collide.
    (0..u.int_in_range(0..=20)?).map(|_| Ok((text(u)?, text(u)?))).collect()
}

impl<'a> Arbitrary<'a> for Sample {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let fields = 0..u.int_in_range(0..=20)?;
        Ok(Self {
            name: text(u)?,
            tags: tags(u)?,
            fields: fields.map(|_| Ok((text(u)?, value(u)?))).collect::<Result<_>>()?,
            timestamp: u.arbitrary()?,
        })
    }
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
