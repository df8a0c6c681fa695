//! JSON whose keys stay in the order in which the server writes them.

use serde_json::Value;

/// An object without spaces.
pub(super) fn object(members: &[(&str, Value)]) -> String {
    let members = members.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// An array of values that are encoded already.
pub(super) fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}
