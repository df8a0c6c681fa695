//! For any bytes: no parser of ours panics, splitting them into lines loses none, and what the
//! scripted server's parser accepts, InfluxDB 3.x's parser accepts too, and reads as the same.

use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use sprockets_influxdb::testing::{self, Point, Value};
use sprockets_influxdb::{LineReader, Precision, RawLine, fuzzing};

pub fn check(bytes: &[u8]) {
    let lines = fuzzing::lines(bytes);
    assert_eq!(lines.join(&b'\n'), bytes.strip_suffix(b"\n").unwrap_or(bytes));
    for line in lines {
        assert!(fuzzing::lines(line).len() <= 1);
        check_text(line);
    }
    check_text(bytes);
    check_raw_lines(bytes);
}

/// Each line that `RawLine` accepts is one line in a batch.
fn check_raw_lines(bytes: &[u8]) {
    let mut reader = LineReader::new(bytes);
    while let Some(line) = reader.next_line().expect("memory can be read") {
        if let Ok(line) = RawLine::parse(line.bytes, Precision::Nanoseconds) {
            let whole = format!("{} 7\n{0} 7\n", line.text());
            assert_eq!(fuzzing::lines(whole.as_bytes()).len(), 2, "{whole:?}");
        }
    }
}

fn check_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // InfluxDB may read over the end of a comment with a quote or a backslash. The library sends no
    // comments.
    if text.lines().any(|line| line.trim_start_matches(' ').starts_with('#')) {
        return;
    }
    let Ok(points) = testing::parse(text) else { return };
    let parsed: Vec<_> = parse_lines(text).collect();
    assert_eq!(parsed.len(), points.len(), "{text:?}: {points:?}, {parsed:?}");
    for (point, line) in points.iter().zip(&parsed) {
        let line = line.as_ref().unwrap_or_else(|error| panic!("{error}: {point:?}"));
        assert!(is_equal(point, line), "{point:?}, {line:?}");
    }
}

fn is_equal(point: &Point, line: &ParsedLine<'_>) -> bool {
    let tags = line.series.tag_set.iter().flatten();
    point.measurement == line.series.measurement.as_str()
        && point.tags.len() == tags.clone().count()
        && tags.clone().all(|(name, value)| point.tag(name) == Some(value.as_str()))
        && point.fields.len() == line.field_set.len()
        && line.field_set.iter().all(|(name, value)| point.field(name) == Some(&converted(value)))
        && line.timestamp.is_none_or(|timestamp| timestamp == point.timestamp)
}

fn converted(value: &FieldValue<'_>) -> Value {
    match value {
        FieldValue::F64(float) => Value::Float(*float),
        FieldValue::I64(integer) => Value::Integer(*integer),
        FieldValue::U64(unsigned) => Value::Unsigned(*unsigned),
        FieldValue::Boolean(boolean) => Value::Boolean(*boolean),
        FieldValue::String(string) => Value::String(string.to_string()),
    }
}
