//! Random measurements, hostile strings included, read back equal from a real influxd; and the parser of InfluxDB 3.x
//! reads the same from their lines.

use std::collections::BTreeMap;

use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Runs, TestRunner};
use serde_json::{Value as Json, json};
use sprockets_influxdb::{Client, Measurement};

use super::server::Influxd;
use super::{LONG, config};

#[derive(Clone, Debug)]
enum Value {
    Float(f64),
    Integer(i64),
    Boolean(bool),
    String(String),
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    tags: Vec<(String, String)>,
    fields: Vec<(String, Value)>,
}

/// Text that is likely to be misunderstood somewhere.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
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
        "a",
        "b=c",
        "x y",
        "m,t=v f=1 1",
        "\u{feff}",
        "\u{85}",
    ]);
    prop_oneof![
        3 => prop::collection::vec(special, 1..6).prop_map(|parts| parts.concat()),
        1 => "\\PC{1,40}",
        1 => any::<String>().prop_filter("not empty", |text| !text.is_empty()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::Float),
        any::<i64>().prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(Value::String),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let tags = prop::collection::vec((text(), text()), 0..5);
    let fields = prop::collection::vec((text(), value()), 1..5);
    (text(), tags, fields).prop_map(|(name, tags, fields)| Sample { name, tags, fields })
}

fn measurement(database: &str, sample: &Sample) -> Measurement {
    let mut measurement = Measurement::new(database, &sample.name);
    measurement.set_tags(sample.tags.iter().map(|(name, value)| (name, value)));
    for (name, value) in &sample.fields {
        match value {
            Value::Float(float) => measurement.set_field(name, *float),
            Value::Integer(integer) => measurement.set_field(name, *integer),
            Value::Boolean(boolean) => measurement.set_field(name, *boolean),
            Value::String(string) => measurement.set_field(name, string),
        };
    }
    measurement
}

/// The documented rule of repair, written a second time and as plainly as possible.
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

fn key(text: &str, is_field: bool) -> String {
    let key = repaired(text, false, is_field);
    let reserved = key == "time" || !is_field && (key == "_field" || key == "_measurement");
    if reserved { format!("{key}_") } else { key }
}

fn expected_tags(sample: &Sample) -> BTreeMap<String, String> {
    let tags = sample.tags.iter();
    tags.map(|(name, value)| (key(name, false), repaired(value, false, false))).collect()
}

fn expected_fields(sample: &Sample) -> BTreeMap<String, Value> {
    sample.fields.iter().map(|(name, value)| (key(name, true), value.clone())).collect()
}

fn check_with_the_parser(sample: &Sample) {
    let line = measurement("db", sample).marshall();
    let lines: Vec<_> = parse_lines(&line).collect();
    assert_eq!(lines.len(), 1, "{line:?}");
    let parsed = lines[0].as_ref().unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert_eq!(
        parsed.series.measurement.to_string(),
        repaired(&sample.name, true, false),
        "{line:?}"
    );
    let tags: BTreeMap<String, String> = parsed
        .series
        .tag_set
        .iter()
        .flatten()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    assert_eq!(tags, expected_tags(sample), "{line:?}");
    let expected = expected_fields(sample);
    assert_eq!(parsed.field_set.len(), expected.len(), "{line:?}");
    for (name, value) in &parsed.field_set {
        let is_equal = match (value, &expected[&name.to_string()]) {
            (Parsed::F64(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Parsed::I64(a), Value::Integer(b)) => a == b,
            (Parsed::Boolean(a), Value::Boolean(b)) => a == b,
            (Parsed::String(a), Value::String(b)) => *a == b.as_str(),
            _ => false,
        };
        assert!(is_equal, "{name}: {value:?} in {line:?}");
    }
}

#[test]
fn the_parser_of_3_x_reads_what_was_recorded() {
    let mut runner =
        TestRunner::new(Runs { cases: 3_000, failure_persistence: None, ..Runs::default() });
    runner
        .run(&sample(), |sample| {
            check_with_the_parser(&sample);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn influxd_returns_what_was_recorded() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    let client = Client::new(config(&influxd)).unwrap();
    let mut runner = TestRunner::deterministic();
    let mut recorded = Vec::new();
    for number in 0..500 {
        let mut sample = sample().new_tree(&mut runner).expect("a sample").current();
        // A measurement of its own for each, so that types do not conflict and tags are not fields.
        sample.name = format!("{number}{}", sample.name);
        let tags = expected_tags(&sample);
        sample.fields.retain(|(name, _)| !tags.contains_key(&key(name, true)));
        sample.fields.push(("n".to_owned(), Value::Integer(number)));
        if tags.contains_key("n") {
            continue;
        }
        client.add_measurement(&measurement("example", &sample)).unwrap();
        recorded.push(sample);
    }
    assert!(client.flush(LONG).is_complete());
    let stats = client.stats();
    assert_eq!(stats.delivered, recorded.len() as u64, "{stats:?}");
    for sample in &recorded {
        let name = repaired(&sample.name, true, false);
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let result = influxd.query("example", &format!("SELECT * FROM \"{quoted}\""));
        let series = &result["results"][0]["series"][0];
        let columns = series["columns"].as_array().unwrap_or_else(|| panic!("{name:?}: {result}"));
        let row: BTreeMap<&str, &Json> = columns
            .iter()
            .map(|column| column.as_str().unwrap())
            .zip(series["values"][0].as_array().unwrap())
            .collect();
        let (tags, fields) = (expected_tags(sample), expected_fields(sample));
        assert_eq!(row.len(), 1 + tags.len() + fields.len(), "{sample:?}: {row:?}");
        for (name, value) in &tags {
            assert_eq!(row[&**name], value, "{sample:?}");
        }
        for (name, value) in &fields {
            let is_equal = match value {
                // JSON does not tell 1 from 1.0.
                Value::Float(float) => row[&**name].as_f64() == Some(*float),
                Value::Integer(integer) => *row[&**name] == json!(integer),
                Value::Boolean(boolean) => *row[&**name] == json!(boolean),
                Value::String(string) => *row[&**name] == json!(string),
            };
            assert!(is_equal, "{name:?} of {sample:?}: {row:?}");
        }
    }
}
