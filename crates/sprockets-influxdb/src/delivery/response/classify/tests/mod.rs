//! The table of replies, row by row. Reasons are left out where they are not what the test is
//! about.

mod foreign_replies;
mod hostile;
mod influxdb;
mod influxdb3;
mod others;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::config::{Api, Config, Names};
use crate::delivery::disposition::Rejection;
use crate::delivery::sanitize::Secrets;

/// Line 1 (from 0) has no value, 3 and 4 an integer where floats are stored.
const LINES: [&str; 5] =
    ["m f=1 1", "m f= 2", "n,t=\"q\" s=\"it's\nhere\",f=2 3", "m f=3i 4", "m f=4i 5"];

/// The names of the settings of a client whose user and password are in the environment.
static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let credentials = ["INFLUXDB_USER", "INFLUXDB_PASSWORD"];
    let lookup = |variable: &str| credentials.contains(&variable).then(|| "x".into());
    names(Config::new().with_lookup(lookup))
});

fn names(config: Config) -> Names {
    config.resolve().unwrap().server.names
}

fn reply(api: Api, status: u16, body: &str) -> Reply<'_> {
    static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    static NO_SECRETS: LazyLock<Secrets> = LazyLock::new(Secrets::default);
    Reply {
        api,
        status,
        headers: &NO_HEADERS,
        body: body.as_bytes(),
        truncated: false,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        secrets: &NO_SECRETS,
        names: &NAMES,
    }
}

fn headers<const N: usize>(headers: [(&'static str, &[u8]); N]) -> HeaderMap {
    let value = |value| HeaderValue::from_bytes(value).unwrap();
    headers.into_iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
}

/// What an InfluxDB 1.x adds to each reply.
fn version_header() -> HeaderMap {
    headers([("x-influxdb-version", b"1.8.10")])
}

fn disposition(reply: &Reply<'_>) -> Disposition {
    without_reason(classify(reply, &Batch::of("nope", &LINES)).disposition)
}

fn reason(reply: &Reply<'_>) -> String {
    classify(reply, &Batch::of("nope", &LINES)).disposition.reason().to_owned()
}

fn lines(lines: &[(usize, &str)]) -> RejectedLines {
    RejectedLines::Named(
        lines.iter().map(|(index, reason)| (*index, (*reason).to_owned())).collect(),
    )
}

fn rejected(lines: RejectedLines, rest_stored: bool) -> Disposition {
    Disposition::Rejected(Rejection { lines, rest_stored, reason: String::new() })
}

fn later(cause: Cause, scope: Scope) -> Disposition {
    Disposition::Retry(Failure { cause, scope, after: None, reason: String::new() })
}

fn without_reason(mut disposition: Disposition) -> Disposition {
    match &mut disposition {
        Disposition::Delivered => {}
        Disposition::Rejected(Rejection { reason, .. })
        | Disposition::ResendOnce { reason }
        | Disposition::TooLarge { reason, .. }
        | Disposition::MalformedReply { reason }
        | Disposition::Retry(Failure { reason, .. }) => reason.clear(),
    }
    disposition
}

fn none() -> RejectedLines {
    RejectedLines::Unnamed { count: None }
}

fn some(count: usize) -> RejectedLines {
    RejectedLines::Unnamed { count: Some(count) }
}

/// The message in the JSON of influxd 1.x.
fn v1(message: &str) -> String {
    format!("{}\n", serde_json::json!({ "error": message }))
}

/// The message in the JSON of InfluxDB 2.x and Cloud.
fn v2(code: &str, message: &str) -> String {
    serde_json::json!({ "code": code, "message": message }).to_string()
}

fn too_large(is_from_server: bool) -> Disposition {
    Disposition::TooLarge { is_from_server, reason: String::new() }
}

/// Checks each reply without a header of InfluxDB's: proxies may remove them.
#[track_caller]
fn check(api: Api, table: &[(u16, String, Disposition)]) {
    check_with(&HeaderMap::new(), api, table);
}

#[track_caller]
fn check_with(headers: &HeaderMap, api: Api, table: &[(u16, String, Disposition)]) {
    for (status, body, expected) in table {
        let reply = Reply { headers, ..reply(api, *status, body) };
        assert_eq!(&disposition(&reply), expected, "{status} {body}");
    }
}
