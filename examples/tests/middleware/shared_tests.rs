//! What holds for every framework.

use std::io::Write;
use std::net::SocketAddr;

use sprockets_influxdb::testing::{Point, Value};
use test_support::LONG;
use test_support::influxd::Influxd;

use super::actix_service::Actix;
use super::axum_service::Axum;
use super::entered;
use super::exchange::{exchange, get, hang_up, read_some, request, send, websocket};
use super::{Recorded, Service, client};

macro_rules! shared_tests {
    ($($name:ident)*) => {
        mod axum {
            $(#[test]
            fn $name() {
                super::$name::<super::Axum>();
            })*
        }

        mod actix {
            $(#[test]
            fn $name() {
                super::$name::<super::Actix>();
            })*
        }
    };
}

shared_tests! {
    a_request_that_is_answered_is_recorded_with_all_that_is_known
    what_the_handler_sets_is_recorded
    a_body_is_counted_as_far_as_it_is_sent
    the_body_of_a_request_is_counted
    a_request_that_nothing_matches_is_recorded_as_such
    a_head_has_no_body
    a_client_that_hangs_up_before_the_response_is_recorded
    a_client_that_hangs_up_in_the_body_is_recorded
    a_client_that_hangs_up_in_its_own_body_is_recorded
    a_panic_is_recorded
    a_panic_in_the_body_is_recorded
    a_websocket_is_recorded_when_it_closes
    requests_that_are_not_recorded_are_answered
    a_real_influxd_has_one_point_of_each_request
}

fn start<S: Service>() -> (Recorded, SocketAddr) {
    let recorded = Recorded::new();
    let service = S::start(recorded.client.clone(), "example");
    (recorded, service)
}

fn tags(point: &Point) -> [Option<&str>; 3] {
    ["endpoint", "method", "status_code"].map(|tag| point.tag(tag))
}

fn integer(point: &Point, field: &str) -> i64 {
    match point.field(field) {
        Some(Value::Integer(integer)) => *integer,
        other => panic!("{field} is {other:?}"),
    }
}

pub(super) fn seconds(point: &Point, field: &str) -> f64 {
    match point.field(field) {
        Some(Value::Float(float)) => *float,
        other => panic!("{field} is {other:?}"),
    }
}

fn a_request_that_is_answered_is_recorded_with_all_that_is_known<S: Service>() {
    let (recorded, service) = start::<S>();
    let answer = request(service, "GET", "/?page=7", "correlation-id: an id\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("Hello, world"), "{answer}");
    let point = recorded.point();
    assert_eq!(point.measurement, "request");
    assert_eq!(tags(&point), [Some("/"), Some("GET"), Some("200")]);
    assert_eq!(integer(&point, "content_length"), 12);
    assert_eq!(integer(&point, "request_length"), 0);
    assert!(seconds(&point, "time_to_first_byte") <= seconds(&point, "duration"));
    assert_eq!(point.field("client_ip"), Some(&"127.0.0.1".into()));
    assert_eq!(point.field("request_id"), Some(&"an id".into()));
    assert_eq!(point.field("exception"), None);
}

fn what_the_handler_sets_is_recorded<S: Service>() {
    let (recorded, service) = start::<S>();
    assert!(get(service, "/users/7").ends_with("user 7"));
    let point = recorded.point();
    assert_eq!(tags(&point), [Some("/users/{id}"), Some("GET"), Some("200")]);
    assert_eq!(point.tag("kind"), Some("user"));
    // It is a tag as well. The field stays.
    assert_eq!((integer(&point, "id"), point.tag("id")), (7, None));
    assert!(seconds(&point, "query") <= seconds(&point, "duration"));
}

fn a_body_is_counted_as_far_as_it_is_sent<S: Service>() {
    let (recorded, service) = start::<S>();
    assert!(get(service, "/stream").contains("transfer-encoding: chunked"));
    assert_eq!(integer(&recorded.point(), "content_length"), 3_000);
}

fn the_body_of_a_request_is_counted<S: Service>() {
    let (recorded, service) = start::<S>();
    let of_known_length = b"POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
        content-length: 5\r\n\r\nhello";
    let chunked = b"POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    for (request, length) in [(&of_known_length[..], 5), (&chunked[..], 6)] {
        assert!(exchange(service, request).ends_with(&length.to_string()));
        let point = recorded.point();
        assert_eq!(tags(&point), [Some("/upload"), Some("POST"), Some("200")]);
        assert_eq!(integer(&point, "request_length"), length);
    }
}

fn a_request_that_nothing_matches_is_recorded_as_such<S: Service>() {
    let (recorded, service) = start::<S>();
    for path in ["/nothing", "/users", "/users/7/more", "/%ff"] {
        get(service, path);
        let point = recorded.point();
        assert_eq!(tags(&point), [Some("(unmatched)"), Some("GET"), Some("404")], "{path}");
    }
    assert!(request(service, "PROPFIND", "/nothing", "").starts_with("HTTP/1.1 404 "));
    assert_eq!(tags(&recorded.point()), [Some("(unmatched)"), Some("(unknown)"), Some("404")]);
}

fn a_head_has_no_body<S: Service>() {
    let (recorded, service) = start::<S>();
    request(service, "HEAD", "/", "");
    let point = recorded.point();
    assert_eq!(point.tag("method"), Some("HEAD"));
    assert_eq!(integer(&point, "content_length"), 0);
}

/// Asks twice, and gives up after the first answer, which is still to be read: so the connection is
/// reset. Where it is only closed, actix-web takes it for a client that has nothing more to say but
/// still listens.
fn give_up_waiting(service: SocketAddr) {
    let requests = b"GET / HTTP/1.1\r\nhost: test\r\n\r\nGET /never HTTP/1.1\r\nhost: test\r\n\r\n";
    let stream = send(service, requests);
    entered::wait(&stream);
    stream.peek(&mut [0]).expect("an answer");
}

fn a_client_that_hangs_up_before_the_response_is_recorded<S: Service>() {
    let (recorded, service) = start::<S>();
    give_up_waiting(service);
    let points = recorded.points(2);
    let point = points.iter().find(|point| point.tag("endpoint") != Some("/")).expect("recorded");
    assert_eq!(tags(point), [Some("/never"), Some("GET"), Some("499")]);
    assert_eq!(point.field("time_to_first_byte"), None);
    assert_eq!(point.field("exception"), None);
}

fn a_client_that_hangs_up_in_the_body_is_recorded<S: Service>() {
    let (recorded, service) = start::<S>();
    let mut stream = send(service, b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    read_some(&mut stream, 10_000);
    hang_up(stream);
    let point = recorded.point();
    assert_eq!(tags(&point), [Some("/endless"), Some("GET"), Some("200")]);
    assert!(integer(&point, "content_length") >= 9_000);
    assert!(seconds(&point, "time_to_first_byte") < seconds(&point, "duration"));
}

fn a_client_that_hangs_up_in_its_own_body_is_recorded<S: Service>() {
    let (recorded, service) = start::<S>();
    let head = b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n";
    let mut stream = send(service, head);
    stream.write_all(b"not a thousand").expect("sent");
    hang_up(stream);
    let point = recorded.point();
    assert_eq!(point.tag("endpoint"), Some("/upload"));
    // What becomes of such a body is the framework's affair: axum refuses it, actix-web takes it
    // for the whole.
    assert!(["200", "400"].contains(&point.tag("status_code").expect("a status")), "{point:?}");
}

fn a_panic_is_recorded<S: Service>() {
    let (recorded, service) = start::<S>();
    get(service, "/panic");
    let point = recorded.point();
    assert_eq!(tags(&point), [Some("/panic"), Some("GET"), Some("500")]);
    assert_eq!(point.field("exception"), Some(&"panic".into()));
}

fn a_panic_in_the_body_is_recorded<S: Service>() {
    let (recorded, service) = start::<S>();
    get(service, "/panic-in-body");
    let point = recorded.point();
    assert_eq!(tags(&point), [Some("/panic-in-body"), Some("GET"), Some("200")]);
    assert_eq!(point.field("exception"), Some(&"panic".into()));
}

fn a_websocket_is_recorded_when_it_closes<S: Service>() {
    let (recorded, service) = start::<S>();
    let stream = websocket(service, "/websocket");
    assert!(get(service, "/").ends_with("Hello, world"));
    assert_eq!(recorded.point().tag("endpoint"), Some("/"));
    hang_up(stream);
    let point = recorded.point();
    assert_eq!(tags(&point), [Some("/websocket"), Some("GET"), Some("101")]);
    assert!(seconds(&point, "time_to_first_byte") < seconds(&point, "duration"));
}

fn requests_that_are_not_recorded_are_answered<S: Service>() {
    let recorded = Recorded::new();
    let without_database = S::start(recorded.client.clone(), "");
    let disabled = S::start(recorded.client.clone(), "example");
    // Its handler sets a tag and a field.
    assert!(get(without_database, "/users/7").ends_with("user 7"));
    recorded.client.reconfigure(|config| config.enabled(false)).expect("reconfigured");
    assert!(get(disabled, "/users/7").ends_with("user 7"));
    assert_eq!(recorded.client.stats().added, 0);
}

fn a_real_influxd_has_one_point_of_each_request<S: Service>() {
    let Some(influxd) = Influxd::start() else { return };
    let client = client(&influxd.url());
    influxd.create("example");
    let service = S::start(client.clone(), "example");

    get(service, "/users/7");
    get(service, "/stream");
    get(service, "/panic");
    get(service, "/nothing");
    give_up_waiting(service);
    let mut endless = send(service, b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    read_some(&mut endless, 10_000);
    hang_up(endless);
    hang_up(websocket(service, "/websocket"));

    let until = std::time::Instant::now() + LONG;
    while client.stats().added < 8 && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    assert!(client.shutdown(LONG).is_complete());
    assert_eq!(influxd.count("example", "request", "duration"), 8);
    let query = "SELECT count(\"duration\") FROM request GROUP BY endpoint, status_code";
    let result = influxd.query("example", query);
    let series = result["results"][0]["series"].as_array().expect("series");
    for one in series {
        assert_eq!(one["values"][0][1], 1, "{one}");
    }
    assert_eq!(series.len(), 8);
}
