//! Replies of compatible servers and of strangers, and the reasons that they give.

use super::*;

#[test]
fn replies_of_victoria_metrics() {
    use self::{Cause::*, Scope::*};
    let text = |reason: &str| {
        format!("remoteAddr: \"127.0.0.1:1\"; requestURI: /write?db=nope&p=secret; {reason}\n")
    };
    let table = [
        (204, String::new(), Disposition::Delivered),
        (
            400,
            text("cannot unmarshal InfluxDB line \"m f=\": missing field value"),
            rejected(none(), false),
        ),
        (
            400,
            text("cannot read gzip-compressed data: unexpected EOF"),
            rejected(RejectedLines::All, false),
        ),
        (
            400,
            text("unsupported path requested: \"/api/v3/write_lp\""),
            later(Configuration, Server),
        ),
        (401, String::new(), later(Configuration, Server)),
        (503, text("couldn't start executing the request in 60 seconds"), later(Busy, Server)),
    ];
    check(Api::V1, &table);
    let reply = reply(Api::V1, 400, &table[1].1);
    assert_eq!(
        classify(&reply, &Batch::of("nope", &LINES)).reason(),
        "400: cannot unmarshal InfluxDB line \"m f=\": missing field value"
    );
}

#[test]
fn replies_of_telegraf() {
    let text = concat!(
        r#"{"error":"metric parse error: expected field at 2:4: "#,
        r#"\"m f=\x00 2\" (and 2 other parse errors)"}"#
    );
    let one = r#"{"error":"metric parse error: expected field at 2:4"}"#;
    let batch = Batch::of("nope", &LINES);
    let with_header =
        |body| Reply { error_header: Some(b"metric parse error"), ..reply(Api::V1, 400, body) };
    let classify = |reply: &Reply<'_>| without_reason(super::super::classify(reply, &batch));
    assert_eq!(classify(&with_header(text)), rejected(some(3), true));
    assert_eq!(classify(&with_header(one)), rejected(some(1), true));
    assert_eq!(
        classify(&with_header(r#"{"error":"gzip: invalid header"}"#)),
        rejected(RejectedLines::All, false)
    );
    // influxdb_v2_listener takes all or none.
    let all_or_none = v2("invalid", "metric parse error: expected field at 2:4: \"m f= 2\"");
    assert_eq!(classify(&reply(Api::V2, 400, &all_or_none)), rejected(none(), false));
    assert_eq!(classify(&reply(Api::V2, 413, "")), Disposition::TooLarge { reason: String::new() });
    assert_eq!(classify(&reply(Api::V2, 429, "")), later(Cause::Busy, Scope::Server));
}

#[test]
fn every_other_status_keeps_the_batch() {
    let batch = Batch::of("nope", &LINES);
    for status in (0..1000).filter(|status| !(200..300).contains(status)) {
        let found = without_reason(classify(&reply(Api::V1, status, "something"), &batch));
        let known = match status {
            400 | 422 => rejected(none(), false),
            405 | 501 => rejected(RejectedLines::All, false),
            413 => Disposition::TooLarge { reason: String::new() },
            408 | 425 | 429 | 502..=504 => later(Cause::Busy, Scope::Server),
            300..=399 | 401 | 402 | 407 | 415 => later(Cause::Configuration, Scope::Server),
            499 => later(Cause::Unknown, Scope::Server),
            403..=498 => later(Cause::Configuration, Scope::Database),
            _ => later(Cause::Unknown, Scope::Server),
        };
        assert_eq!(found, known, "{status}");
    }
}

#[test]
fn retry_after_is_the_least_wait() {
    let reply = Reply { retry_after: Some("7"), ..reply(Api::V2, 429, "") };
    match classify(&reply, &Batch::of("nope", &LINES)) {
        Disposition::Retry(Failure { after, .. }) => {
            assert_eq!(after, Some(Duration::from_secs(7)))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn reasons_say_what_to_do_and_no_secrets() {
    let reason =
        |reply: &Reply<'_>| classify(reply, &Batch::of("nope", &LINES)).reason().to_owned();
    assert_eq!(
        reason(&reply(Api::V1, 404, &v1("database not found: \"nope\""))),
        "database \"nope\" does not exist: create it, or correct the name (server: 404: database \
         not found: \"nope\")"
    );
    assert_eq!(
        reason(&reply(Api::V2, 404, "404 page not found\n")),
        "the server does not have this API: check INFLUXDB_API and INFLUXDB_URL (server: 404: 404 \
         page not found)"
    );
    assert!(
        reason(&reply(Api::V2, 404, &v2("not found", "bucket \"nope\" not found")))
            .starts_with("bucket \"nope\" does")
    );
    assert!(
        reason(&reply(Api::V1, 401, ""))
            .contains("INFLUXDB_PASSWORD, or INFLUXDB_TOKEN (server: 401 without a text)")
    );
    let tls = "Client sent an HTTP request to an HTTPS server.\n";
    assert!(
        reason(&reply(Api::V1, 400, tls))
            .starts_with("the server speaks TLS: set INFLUXDB_SCHEME=https")
    );
    let location = Some("https://u:secret@influx.example/write?u=a&p=secret#secret");
    assert_eq!(
        reason(&Reply { location, ..reply(Api::V1, 308, "") }),
        "the server redirects to https://influx.example/write, and redirects are not followed: \
         set INFLUXDB_URL"
    );
    assert_eq!(
        reason(&reply(Api::V1, 500, &format!("a\u{1}b\nc{}", "é".repeat(1000)))),
        format!("500: a b c{}…", "é".repeat(495))
    );
    assert_eq!(reason(&reply(Api::V1, 500, "")), "500 without a text");
}
