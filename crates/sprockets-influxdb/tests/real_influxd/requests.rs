//! The names of a request's attributes, whichever of them are tags.

use std::collections::BTreeSet;

use sprockets_influxdb::Client;
use sprockets_influxdb::middleware::{Attribute, Names, Recorder, RequestHead, RequestOptions};
use test_support::LONG;
use test_support::influxd::Influxd;

use super::config;

struct Request;

impl RequestHead for Request {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/path"
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "correlation-id").then_some(b"7")
    }
}

fn record(client: &Client, options: RequestOptions) {
    let recorder = Recorder::new(client.clone(), "example", "request", options);
    let mut guard = recorder.begin(&Request).unwrap();
    guard.remote_ip("192.0.2.1");
    guard.request_length(100);
    guard.respond(502);
    guard.fail("no backend");
}

/// The first column of a query's result: names.
fn keys(influxd: &Influxd, query: &str) -> BTreeSet<String> {
    let result = influxd.query("example", query);
    let rows = result["results"][0]["series"][0]["values"].as_array().unwrap();
    rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

/// InfluxDB 3 rejects a point where a name is a field that was a tag before, or the reverse.
/// influxd stores both, and shows which names are both.
#[test]
fn no_name_of_a_request_is_both_a_tag_and_a_field_when_the_options_change() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    let client = Client::new(config(&influxd)).unwrap();
    for names in [Names::Sprockets, Names::OpenTelemetry, Names::Sprockets] {
        let fields = RequestOptions::new().names(names);
        let tags = fields.clone().tag(Attribute::RemoteIp).tag(Attribute::CorrelationId);
        for options in [fields.clone(), tags.clone(), fields, tags] {
            record(&client, options);
        }
    }
    assert!(client.shutdown(LONG).is_complete());
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.rejected), (12, 0), "{stats:?}");
    let tags = keys(&influxd, "SHOW TAG KEYS FROM request");
    let fields = keys(&influxd, "SHOW FIELD KEYS FROM request");
    assert!(tags.contains("remote_ip") && tags.contains("correlation_id"), "{tags:?}");
    for field in ["client_ip", "request_id", "client.address", "request.id"] {
        assert!(fields.contains(field), "{fields:?}");
    }
    assert_eq!(tags.intersection(&fields).collect::<Vec<_>>(), Vec::<&String>::new());
}
