//! Columns of Python's objects.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList};
use sprockets_influxdb::FieldValue;

use super::rows::Column;
use crate::conversion::{with_field, with_tag};

/// The values of the rows. Made with the interpreter, read without.
pub(super) struct Objects(Vec<Option<FieldValue<'static>>>);

impl Objects {
    pub(super) fn tags(name: &Bound<'_, PyAny>, values: &Bound<'_, PyList>) -> PyResult<Self> {
        let owned = |text: &str| (!text.is_empty()).then(|| owned(text.into()));
        let text = |value: Bound<'_, PyAny>| match value.cast::<PyFloat>() {
            // pandas has NaN where a text is missing.
            Ok(float) if float.value().is_nan() => Ok(None),
            _ => with_tag(name, &value, owned),
        };
        values.iter().map(text).collect::<PyResult<_>>().map(Self)
    }

    pub(super) fn fields(name: &Bound<'_, PyAny>, values: &Bound<'_, PyList>) -> PyResult<Self> {
        values
            .iter()
            .map(|value| with_field(name, &value, owned))
            .collect::<PyResult<_>>()
            .map(Self)
    }
}

fn owned(value: FieldValue<'_>) -> FieldValue<'static> {
    match value {
        FieldValue::Float(float) => FieldValue::Float(float),
        FieldValue::Integer(integer) => FieldValue::Integer(integer),
        FieldValue::Unsigned(unsigned) => FieldValue::Unsigned(unsigned),
        FieldValue::Boolean(boolean) => FieldValue::Boolean(boolean),
        FieldValue::String(text) => FieldValue::String(text.into_owned().into()),
        other => FieldValue::OutOfRange(format!("{other:?}")),
    }
}

impl Column for Objects {
    fn value(&self, row: usize) -> Option<FieldValue<'_>> {
        self.0.get(row)?.as_ref().map(|value| match value {
            FieldValue::String(text) => FieldValue::String(text.as_ref().into()),
            value => value.clone(),
        })
    }
}
