//! Random measurements, including difficult strings, come back unchanged from a real influxd, and
//! the parser of InfluxDB 3.x reads the same from their lines.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Runs, TestRunner};
use serde_json::{Value as Json, json};
use sprockets_influxdb::Client;
use test_support::LONG;
use test_support::influxd::Influxd;
use test_support::sample::{HOSTILE, Sample, Value, key};

use super::config;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::collection::vec(prop::sample::select(&HOSTILE), 1..6)
            .prop_map(|parts| parts.concat()),
        1 => "\\PC{1,40}",
        1 => any::<String>().prop_filter("not empty", |text| !text.is_empty()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::Float),
        any::<i64>().prop_map(Value::Integer),
        // 1.x stores no larger ones.
        (0..=i64::MAX as u64).prop_map(Value::Unsigned),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(Value::String),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let tags = prop::collection::vec((text(), text()), 0..5);
    let fields = prop::collection::vec((text(), value()), 1..5);
    (text(), tags, fields).prop_map(|(name, tags, fields)| Sample {
        name,
        tags,
        fields,
        timestamp: None,
    })
}

#[test]
fn the_parser_of_influxdb_3_reads_what_was_recorded() {
    let mut runner =
        TestRunner::new(Runs { cases: 3_000, failure_persistence: None, ..Runs::default() });
    runner
        .run(&sample(), |sample| {
            let line = sample.measurement("db").marshall();
            sample.assert_is_read(&line, &sample.expected_tags());
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
        // Each has its own measurement name, so that types do not conflict.
        sample.name = format!("{number}{}", sample.name);
        let tags = sample.expected_tags();
        sample.fields.retain(|(name, _)| !tags.contains_key(&key(name, true)));
        sample.fields.push(("n".to_owned(), Value::Integer(number)));
        if tags.contains_key("n") {
            continue;
        }
        client.add_measurement(&sample.measurement("example")).unwrap();
        recorded.push(sample);
    }
    assert!(client.flush(LONG).is_complete());
    let stats = client.stats();
    assert_eq!(stats.delivered, recorded.len() as u64, "{stats:?}");
    for sample in &recorded {
        let name = sample.expected_name();
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let result = influxd.query("example", &format!("SELECT * FROM \"{quoted}\""));
        let series = &result["results"][0]["series"][0];
        let columns = series["columns"].as_array().unwrap_or_else(|| panic!("{name:?}: {result}"));
        let row: BTreeMap<&str, &Json> = columns
            .iter()
            .map(|column| column.as_str().unwrap())
            .zip(series["values"][0].as_array().unwrap())
            .collect();
        let (tags, fields) = (sample.expected_tags(), sample.expected_fields());
        assert_eq!(row.len(), 1 + tags.len() + fields.len(), "{sample:?}: {row:?}");
        for (name, value) in &tags {
            assert_eq!(row[&**name], value, "{sample:?}");
        }
        for (name, value) in &fields {
            let is_equal = match value {
                // JSON does not distinguish 1 from 1.0.
                Value::Float(float) => row[&**name].as_f64() == Some(*float),
                Value::Integer(integer) => *row[&**name] == json!(integer),
                Value::Unsigned(unsigned) => *row[&**name] == json!(unsigned),
                Value::Boolean(boolean) => *row[&**name] == json!(boolean),
                Value::String(string) => *row[&**name] == json!(string),
            };
            assert!(is_equal, "{name:?} of {sample:?}: {row:?}");
        }
    }
}
