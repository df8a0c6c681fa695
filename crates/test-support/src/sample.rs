//! What a measurement must become: the documented repair rule, written a second time and as simply
//! as possible, and a comparison with what the parser of InfluxDB 3.x reads.

use std::collections::BTreeMap;

use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
use sprockets_influxdb::Measurement;

/// Pieces of text that parsers and encoders are likely to get wrong.
pub const HOSTILE: [&str; 32] = [
    " ",
    ",",
    "=",
    "\"",
    "\\",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{7f}",
    "#",
    "'",
    "\\ ",
    "\\,",
    "\\\"",
    "é",
    "\u{1f600}",
    "time",
    "_field",
    "_measurement",
    "_",
    "a",
    "b=c",
    "x y",
    "m,t=v f=1 1",
    "sixteen letters.",
    "\u{feff}",
    "\u{85}",
    "': ",
    "unable to parse '",
    " dropped=1",
    "partial write: ",
];

/// A field value, before it is recorded.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Value {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    String(String),
}

/// What an application sets, in this order.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Sample {
    pub name: String,
    pub tags: Vec<(String, String)>,
    pub fields: Vec<(String, Value)>,
    pub timestamp: Option<i64>,
}

impl Sample {
    /// The measurement that an application makes of it.
    pub fn measurement(&self, database: &str) -> Measurement {
        let mut measurement = Measurement::new(database, &self.name);
        self.set(&mut measurement);
        measurement
    }

    /// Sets everything but the name.
    pub fn set(&self, measurement: &mut Measurement) {
        measurement.set_tags(self.tags.iter().map(|(name, value)| (name, value)));
        for (name, value) in &self.fields {
            match value {
                Value::Float(float) => measurement.set_field(name, *float),
                Value::Integer(integer) => measurement.set_field(name, *integer),
                Value::Unsigned(unsigned) => measurement.set_field(name, *unsigned),
                Value::Boolean(boolean) => measurement.set_field(name, *boolean),
                Value::String(string) => measurement.set_field(name, string),
            };
        }
        if let Some(timestamp) = self.timestamp {
            measurement.set_timestamp(timestamp);
        }
    }

    /// The name after repair.
    pub fn expected_name(&self) -> String {
        repaired(&self.name, true, false)
    }

    /// The tags after repair; an empty value removes a tag.
    pub fn expected_tags(&self) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        for (name, value) in &self.tags {
            match value.as_str() {
                "" => tags.remove(&key(name, false)),
                value => tags.insert(key(name, false), repaired(value, false, false)),
            };
        }
        tags
    }

    /// The fields after repair; a value that is not finite removes a field.
    pub fn expected_fields(&self) -> BTreeMap<String, Value> {
        let mut fields = BTreeMap::new();
        for (name, value) in &self.fields {
            match value {
                Value::Float(float) if !float.is_finite() => fields.remove(&key(name, true)),
                value => fields.insert(key(name, true), value.clone()),
            };
        }
        fields
    }

    /// Asserts that the parser of InfluxDB 3.x reads exactly this sample, with these tags, from the
    /// line.
    pub fn assert_is_read(&self, line: &str, tags: &BTreeMap<String, String>) {
        let lines: Vec<_> = parse_lines(line).collect();
        assert_eq!(lines.len(), 1, "{line:?}");
        let parsed = lines[0].as_ref().unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!(parsed.series.measurement.to_string(), self.expected_name(), "{line:?}");
        let tag_set = parsed.series.tag_set.iter().flatten();
        let found: Vec<_> = tag_set.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found.len(), tags.len(), "{line:?}");
        assert!(found.iter().all(|(name, value)| tags[*name] == *value), "{line:?}: {tags:?}");
        let fields = self.expected_fields();
        assert_eq!(parsed.field_set.len(), fields.len(), "{line:?}");
        for (name, value) in &parsed.field_set {
            assert!(is_equal(value, &fields[name.as_str()]), "{name}: {value:?} in {line:?}");
        }
        assert!(self.timestamp.is_none_or(|time| parsed.timestamp == Some(time)), "{line:?}");
    }
}

fn is_equal(parsed: &Parsed<'_>, value: &Value) -> bool {
    match (parsed, value) {
        (Parsed::F64(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Parsed::I64(a), Value::Integer(b)) => a == b,
        (Parsed::I64(a), Value::Unsigned(b)) => u64::try_from(*a) == Ok(*b),
        (Parsed::U64(a), Value::Unsigned(b)) => a == b && i64::try_from(*a).is_err(),
        (Parsed::Boolean(a), Value::Boolean(b)) => a == b,
        (Parsed::String(a), Value::String(b)) => *a == b.as_str(),
        _ => false,
    }
}

fn repaired(text: &str, is_name: bool, is_field: bool) -> String {
    let characters: Vec<char> = text.chars().collect();
    let is_control = |c: char| c <= '\u{1f}' || c == '\u{7f}';
    let mut out = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let next = characters.get(index + 1).copied();
        let offends = next.is_none_or(|next| "\\,= ".contains(next) || is_control(next))
            || is_name && next == Some('"');
        out.push(match character {
            c if is_control(c) => ' ',
            '\\' if offends => '/',
            '#' if is_name && index == 0 => '-',
            '"' if is_field => '\'',
            c => c,
        });
    }
    out
}

/// The key of a tag or field after repair.
pub fn key(text: &str, is_field: bool) -> String {
    let key = repaired(text, false, is_field);
    match key.as_str() {
        "" => "_".to_owned(),
        "time" => "time_".to_owned(),
        "_field" | "_measurement" if !is_field => format!("{key}_"),
        _ => key,
    }
}
