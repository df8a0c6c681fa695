//! Replies of compatible and of other servers, and the reasons that they give.

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
    assert_eq!(
        reason(&reply(Api::V1, 400, &table[1].1)),
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
    let headers = headers([("x-influxdb-error", b"metric parse error")]);
    let table = [
        (400, text.to_owned(), rejected(some(3), true)),
        (400, one.to_owned(), rejected(some(1), true)),
        (400, v1("gzip: invalid header"), rejected(RejectedLines::All, false)),
    ];
    check_with(&headers, Api::V1, &table);
    // influxdb_v2_listener takes all or none.
    let all_or_none = v2("invalid", "metric parse error: expected field at 2:4: \"m f= 2\"");
    let table = [
        (400, all_or_none, rejected(none(), false)),
        (413, String::new(), too_large(false)),
        (429, String::new(), later(Cause::Busy, Scope::Server)),
    ];
    check(Api::V2, &table);
}

#[test]
fn every_other_status_of_an_influxdb_keeps_the_batch() {
    let headers = version_header();
    for status in (0..1000).filter(|status| !(200..300).contains(status)) {
        let reply = Reply { headers: &headers, ..reply(Api::V1, status, "something") };
        let known = match status {
            400 | 422 => rejected(none(), false),
            413 => too_large(true),
            408 | 504 => later(Cause::Timeout, Scope::Server),
            425 | 429 | 503 => later(Cause::Busy, Scope::Server),
            300..=399 | 401 | 402 | 405 | 407 | 415 | 501 | 511 => {
                later(Cause::Configuration, Scope::Server)
            }
            499 => later(Cause::Unknown, Scope::Server),
            403..=498 => later(Cause::Configuration, Scope::Database),
            _ => later(Cause::Unknown, Scope::Server),
        };
        assert_eq!(disposition(&reply), known, "{status}");
    }
}

#[test]
fn retry_after_is_the_least_wait() {
    let headers = headers([("retry-after", b"7")]);
    let reply = Reply { headers: &headers, ..reply(Api::V2, 429, "") };
    match classify(&reply, &Batch::of("nope", &LINES)).disposition {
        Disposition::Retry(Failure { after, .. }) => {
            assert_eq!(after, Some(Duration::from_secs(7)))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn reasons_say_what_to_do_and_no_secrets() {
    assert_eq!(
        reason(&reply(Api::V1, 404, &v1("database not found: \"nope\""))),
        "database \"nope\" does not exist: create it, or correct the name (server: 404: database \
         not found: \"nope\")"
    );
    assert_eq!(
        reason(&reply(Api::V2, 404, "404 page not found\n")),
        "the server does not have this API: check INFLUXDB_API and INFLUXDB_SCHEME, INFLUXDB_HOST \
         and INFLUXDB_PORT (server: 404: 404 page not found)"
    );
    assert!(
        reason(&reply(Api::V2, 404, &v2("not found", "bucket \"nope\" not found")))
            .starts_with("bucket \"nope\" does")
    );
    assert!(
        reason(&reply(Api::V1, 401, "")).contains("INFLUXDB_PASSWORD (server: 401 without a text)")
    );
    let tls = "Client sent an HTTP request to an HTTPS server.\n";
    assert!(
        reason(&reply(Api::V1, 400, tls))
            .starts_with("the server speaks TLS: set INFLUXDB_SCHEME=https")
    );
    let (headers, long) = (version_header(), format!("a\u{1}b\nc{}", "é".repeat(1000)));
    let long = Reply { headers: &headers, ..reply(Api::V1, 500, &long) };
    assert_eq!(reason(&long), format!("500: a b c{}…", "é".repeat(495)));
    assert_eq!(reason(&reply(Api::V1, 500, "")), "500 without a text");
}

#[test]
fn a_redirect_shows_no_secret_of_its_location() {
    for (location, shown) in [
        (
            "https://u:secret@influx.example/write?u=a&p=secret#secret",
            "https://influx.example/write",
        ),
        ("/login?next=https://u:secret@influx.example/", "/login"),
        ("//u:secret@influx.example", "//influx.example"),
        ("https://sso.example/to/https://u:secret@influx.example/", "https://sso.example/…"),
        ("https://sso.example/u%3Asecret%40influx.example/", "https://sso.example/…"),
        ("https://sso.example/in;token=secret", "https://sso.example/in"),
    ] {
        let headers = headers([("location", location.as_bytes())]);
        let reply = Reply { headers: &headers, ..reply(Api::V1, 308, "") };
        assert_eq!(
            reason(&reply),
            format!(
                "the server redirects to {shown}, and redirects are not followed: correct \
                 INFLUXDB_SCHEME, INFLUXDB_HOST and INFLUXDB_PORT"
            )
        );
        let names = names(Config::new().url("http://db"));
        let by_url = Reply { names: &names, ..reply };
        assert!(reason(&by_url).ends_with(": correct the argument url"));
    }
}
