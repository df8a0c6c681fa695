//! The dashboard in `dashboards/` has the current schema of Grafana, and each of its queries finds
//! what the middleware records in a real influxd.

use std::collections::BTreeSet;

use serde_json::Value;
use sprockets_influxdb::middleware::{Attribute, Names, Recorder, RequestHead, RequestOptions};
use sprockets_influxdb::{Client, Config};
use test_support::LONG;
use test_support::influxd::Influxd;

/// The version of Grafana 12 and 13, which migrate older ones on loading
/// (`apps/dashboard/pkg/migration/schemaversion` in the sources of Grafana).
const SCHEMA_VERSION: u64 = 42;

/// The panel types in use, all of which are part of Grafana.
const PANELS: [&str; 3] = ["stat", "table", "timeseries"];

/// The dashboards whose queries are InfluxQL, each with the names that it is for.
fn dashboards() -> [(Names, Value); 2] {
    let parse = |text| serde_json::from_str(text).expect("JSON");
    [
        (Names::Sprockets, parse(include_str!("../../../dashboards/requests.json"))),
        (
            Names::OpenTelemetry,
            parse(include_str!("../../../dashboards/requests-opentelemetry.json")),
        ),
    ]
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {path}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

#[test]
fn they_have_the_current_schema() {
    for (_, dashboard) in dashboards() {
        has_the_current_schema(&dashboard);
    }
}

fn has_the_current_schema(dashboard: &Value) {
    assert_eq!(dashboard["schemaVersion"], SCHEMA_VERSION);
    assert!(dashboard.get("id").is_none(), "an id belongs to one server");
    let variables: BTreeSet<_> =
        list(dashboard, "/templating/list").iter().map(|variable| text(variable, "name")).collect();
    let mut ids = BTreeSet::new();
    for panel in list(dashboard, "/panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        assert!(PANELS.contains(&text(panel, "type")), "{panel}");
        for key in ["x", "y", "w", "h"] {
            assert!(panel["gridPos"][key].is_u64(), "{panel}");
        }
        let right = panel["gridPos"]["x"].as_u64().zip(panel["gridPos"]["w"].as_u64());
        assert!(right.is_some_and(|(x, w)| x + w <= 24), "{panel}");
        assert!(panel["fieldConfig"]["defaults"].is_object(), "{panel}");
        let mut references = BTreeSet::new();
        for target in list(panel, "/targets") {
            assert!(references.insert(text(target, "refId")), "{panel}");
            assert_eq!(target["datasource"], panel["datasource"]);
            assert_eq!(target["rawQuery"], true);
        }
    }
    // Grafana shows the name of an undefined variable as text.
    let all = dashboard.to_string();
    for used in all.split("${").skip(1).filter_map(|rest| rest.split_once('}')) {
        assert!(variables.contains(used.0), "{}", used.0);
    }
}

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

/// Records requests of all kinds, like a middleware.
fn record(client: &Client, options: RequestOptions) {
    let recorder = Recorder::new(client.clone(), "example", "request", options);
    for status_code in [200, 404, 502] {
        let mut guard = recorder.begin(&Request).expect("recorded");
        guard.endpoint("/greetings/{name}");
        guard.remote_ip("10.0.0.1");
        guard.request_length(100);
        guard.respond(status_code);
        guard.sent(1_000);
        if status_code == 502 {
            guard.fail("no backend");
        }
    }
    // A cancelled request, and a gRPC call.
    drop(recorder.begin(&Request).expect("recorded"));
    let mut call = recorder.begin(&Request).expect("recorded");
    call.grpc("/greetings.Greeter/Greet");
    call.respond(200);
    call.grpc_status(0);
}

/// The query after Grafana has filled in its variables.
fn interpolated(query: &str) -> String {
    query
        .replace("$timeFilter", "time >= now() - 1h AND time <= now() + 1m")
        .replace("$__interval_ms", "10000")
        .replace("$__interval", "10s")
        .replace("$measurement", "request")
        .replace("$service", ".*")
        .replace("$host", ".*")
        .replace("$environment", ".*")
        .replace("$endpoint", ".*")
        .replace("$method", ".*")
}

#[test]
fn every_query_finds_rows() {
    for (names, dashboard) in dashboards() {
        queries_find_rows(names, &dashboard);
    }
}

fn queries_find_rows(names: Names, dashboard: &Value) {
    let Some(influxd) = Influxd::start() else { return };
    let options = || RequestOptions::new().names(names);
    influxd.create("example");
    let config = Config::new().url(&influxd.url());
    let plain = Client::new(config.clone().tag_hostname(false)).expect("a client");
    record(&plain, options());
    assert!(plain.shutdown(LONG).is_complete());
    // As the Tornado mixin does.
    let tags = options().tag(Attribute::RemoteIp).tag(Attribute::CorrelationId);
    let tagged = config.base_tag("service", "api").base_tag("environment", "test");
    let tagged = Client::new(tagged).expect("a client");
    record(&tagged, tags);
    assert!(tagged.shutdown(LONG).is_complete());

    let variables = list(dashboard, "/templating/list").iter();
    let of_variables = variables.filter(|variable| variable["type"] == "query");
    let of_panels = list(dashboard, "/panels").iter().flat_map(|panel| list(panel, "/targets"));
    let queries: Vec<_> =
        of_variables.chain(of_panels).map(|of| interpolated(text(of, "query"))).collect();
    assert!(queries.len() > 12, "{queries:#?}");
    // A measurement without the tag of a filter counts as well.
    let of_errors = queries.iter().find(|query| query.ends_with("/^5/")).expect("5xx errors");
    let (of_all, _) = of_errors.rsplit_once(" AND ").expect("a condition");
    let result = influxd.query("example", of_all);
    assert_eq!(result.pointer("/results/0/series/0/values/0/1"), Some(&10.into()), "{result}");
    for query in queries {
        assert!(!query.replace("/^.*$/", "").contains('$'), "{query}");
        let result = influxd.query("example", &query);
        let series = list(&result, "/results/0/series");
        let rows: Vec<_> = series.iter().flat_map(|one| list(one, "/values")).collect();
        for column in 0..list(&series[0], "/columns").len() {
            assert!(rows.iter().any(|row| !row[column].is_null()), "{query}: {result}");
        }
    }
}
