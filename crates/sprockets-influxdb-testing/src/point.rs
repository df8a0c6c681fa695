//! A row as the server holds it: names and values unescaped, the timestamp in nanoseconds.

/// One stored row: what a line of line protocol means once it is read.
///
/// Tags and fields are in the order of their keys, so that two points made from differently ordered lines are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The name of the measurement.
    pub measurement: String,
    /// Tag keys and values, ascending by key; together with the measurement they are the series.
    pub tags: Vec<(String, String)>,
    /// Field keys and values, ascending by key; never empty.
    pub fields: Vec<(String, Value)>,
    /// Nanoseconds since the Unix epoch; the server's clock where the line had none.
    pub timestamp: i64,
}

impl Point {
    /// The value of a tag, if the point has it.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let found = self.tags.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a field, if the point has it.
    pub fn field(&self, key: &str) -> Option<&Value> {
        let found = self.fields.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }
}

/// The value of a field, in InfluxDB's types.
///
/// Makes itself from the Rust types, which keeps assertions short:
///
/// ```
/// use sprockets_influxdb_testing::parse;
///
/// let points = parse("request duration=0.25,content_length=17i 1")?;
/// assert_eq!(points[0].field("duration"), Some(&0.25.into()));
/// assert_eq!(points[0].field("content_length"), Some(&17i64.into()));
/// # Ok::<(), sprockets_influxdb_testing::LineError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A 64-bit float, always finite: `1`, `1.5`, `2e-3`.
    Float(f64),
    /// A signed 64-bit integer: `1i`.
    Integer(i64),
    /// An unsigned 64-bit integer: `1u`; not in InfluxDB 1.x.
    Unsigned(u64),
    /// `true` or `false`.
    Boolean(bool),
    /// A string, without its quotation marks and escapes.
    String(String),
}

impl Value {
    /// The type's name as InfluxDB writes it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Float(_) => "float",
            Value::Integer(_) => "integer",
            Value::Unsigned(_) => "unsigned",
            Value::Boolean(_) => "boolean",
            Value::String(_) => "string",
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Integer(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Unsigned(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::String(value)
    }
}
