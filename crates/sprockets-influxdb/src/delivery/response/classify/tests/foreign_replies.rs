//! Replies of what is no InfluxDB. None of them is a delivery, or says something of the data.

use super::*;

const PAGE: &str = "<!DOCTYPE html>\n<html><title>Maintenance</title>partial write gzip</html>";
const HAPROXY: &str = "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid \
    request.\n</body></html>\n";
const FASTAPI: &str = r#"{"detail":[{"type":"missing","loc":["body","name"],"input":null}]}"#;
const LISTING: &str = r#"{"buckets":"/api/v2/buckets","write":"/api/v2/write"}"#;

#[test]
fn no_success_but_204_is_a_delivery() {
    for status in (200..300).filter(|status| *status != 204) {
        for body in ["", PAGE, LISTING, r#"{"error":"unable to parse"}"#, "ok"] {
            for api in [Api::V1, Api::V2, Api::V3] {
                let reply = reply(api, status, body);
                let kept = later(Cause::Configuration, Scope::Server);
                assert_eq!(disposition(&reply), kept, "{status} {body}");
            }
        }
    }
    // An InfluxDB's success has no body.
    let headers = version_header();
    for (status, body, truncated) in [(200, PAGE, false), (200, LISTING, false), (206, "", true)] {
        let reply = Reply { headers: &headers, truncated, ..reply(Api::V1, status, body) };
        assert_ne!(disposition(&reply), Disposition::Delivered, "{status} {body}");
    }
    let reply = Reply { headers: &headers, ..reply(Api::V2, 202, "") };
    assert_eq!(disposition(&reply), Disposition::Delivered);
}

#[test]
fn a_rejection_by_another_server_may_be_about_the_batch() {
    let unrecognized = || later(Cause::Unrecognized, Scope::Server);
    let table = [
        (400, PAGE.to_owned(), unrecognized()),
        (400, HAPROXY.to_owned(), unrecognized()),
        (400, String::new(), unrecognized()),
        (400, "partially written".to_owned(), unrecognized()),
        (400, v1("Bad Request"), unrecognized()),
        (403, PAGE.to_owned(), unrecognized()),
        (403, r#"{"message":"Forbidden"}"#.to_owned(), unrecognized()),
        (405, PAGE.to_owned(), unrecognized()),
        (405, String::new(), unrecognized()),
        (422, FASTAPI.to_owned(), unrecognized()),
        (422, String::new(), unrecognized()),
        (418, "short and stout".to_owned(), unrecognized()),
    ];
    for api in [Api::V1, Api::V2, Api::V3] {
        check(api, &table);
    }
}

#[test]
fn an_operator_has_to_look_at_other_replies_of_other_servers() {
    use self::{Cause::*, Scope::*};
    let table = [
        (501, PAGE.to_owned(), later(Configuration, Server)),
        (511, PAGE.to_owned(), later(Configuration, Server)),
        (401, PAGE.to_owned(), later(Configuration, Server)),
        (404, PAGE.to_owned(), later(Configuration, Server)),
        (413, PAGE.to_owned(), too_large(false)),
        (413, String::new(), too_large(false)),
        (500, PAGE.to_owned(), later(Unknown, Server)),
        (500, "the hinted handoff queue not empty".to_owned(), later(Unknown, Server)),
        (502, PAGE.to_owned(), later(Unknown, Server)),
        (503, PAGE.to_owned(), later(Busy, Server)),
        (408, PAGE.to_owned(), later(Timeout, Server)),
        (504, PAGE.to_owned(), later(Timeout, Server)),
        (520, PAGE.to_owned(), later(Unknown, Server)),
    ];
    for api in [Api::V1, Api::V2, Api::V3] {
        check(api, &table);
    }
}

#[test]
fn a_gateway_whose_server_closed_the_connection_tells_that_there_may_be_poison() {
    let envoy = |reason: &str| {
        format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}")
    };
    let table = [
        (503, envoy("connection termination"), later(Cause::Unknown, Scope::Server)),
        (503, envoy("remote reset"), later(Cause::Unknown, Scope::Server)),
        (503, envoy("connection failure"), later(Cause::Busy, Scope::Server)),
        (503, envoy("overflow"), later(Cause::Busy, Scope::Server)),
        (502, String::new(), later(Cause::Unknown, Scope::Server)),
    ];
    check(Api::V1, &table);
}

#[test]
fn the_reason_tells_what_answered() {
    let headers = headers([("server", b"nginx/1.22.1"), ("via", b"1.1 squid")]);
    let reply = Reply { headers: &headers, ..reply(Api::V1, 200, "<h1>It works!</h1>\n") };
    assert_eq!(
        reason(&reply),
        "an answer that confirms no write: check INFLUXDB_SCHEME, INFLUXDB_HOST and \
         INFLUXDB_PORT, and any proxy before the server (server: 200: <h1>It works!</h1>, Server: \
         nginx/1.22.1, Via: 1.1 squid)"
    );
    let reply = Reply { status: 503, ..reply };
    assert_eq!(reason(&reply), "503: <h1>It works!</h1>, Server: nginx/1.22.1, Via: 1.1 squid");
    let long = "x".repeat(2_000);
    let reply = Reply { body: long.as_bytes(), status: 405, ..reply };
    assert!(reason(&reply).contains("xxx…, Server: nginx") && reason(&reply).len() < 450);
}

#[test]
fn secrets_that_another_server_echoes_are_masked() {
    let mut secrets = Secrets::default();
    secrets.add_basic("me", "hunter2");
    let echo = "POST /write HTTP/1.1 authorization: Basic bWU6aHVudGVyMg== x: hunter2";
    let headers =
        headers([("server", b"hunter2"), ("location", b"http://hunter2/bWU6aHVudGVyMg==")]);
    for status in [200, 307, 400, 404, 413, 500, 502] {
        let body = format!("{}{echo}", "x".repeat(450));
        let reply = Reply {
            secrets: &secrets,
            headers: &headers,
            ..reply(Api::V1, status, if status == 500 { &body } else { echo })
        };
        let reason = reason(&reply);
        assert!(reason.contains("***"), "{reason}");
        for secret in ["hunter2", "bWU6", "aHVud"] {
            assert!(!reason.contains(secret), "{reason}");
        }
    }
}

#[test]
fn secrets_in_the_reason_of_a_line_are_masked() {
    let mut secrets = Secrets::default();
    secrets.add_basic("me", "hunter2");
    let batch = Batch::of("nope", &LINES);
    let one = serde_json::json!([{ "error_message": "hunter2?", "line_number": 2 }]);
    for body in [
        v1("unable to parse 'm f= 2': hunter2?"),
        serde_json::json!({ "error": "partial write", "data": one }).to_string(),
    ] {
        let reply = Reply { secrets: &secrets, ..reply(Api::V3, 400, &body) };
        let found = classify(&reply, &batch).disposition;
        let Disposition::Rejected(Rejection { lines, reason, .. }) = found else {
            panic!("{found:?}");
        };
        assert_eq!(lines, super::lines(&[(1, "***?")]));
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}
