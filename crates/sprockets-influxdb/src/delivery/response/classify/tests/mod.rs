//! The table of replies, row by row. Reasons are left out where they are not what the test is
//! about.

mod hostile;
mod influxdb;
mod others;

use std::time::{Duration, SystemTime};

use super::*;

/// Line 1 (from 0) has no value, 3 and 4 an integer where floats are stored.
const LINES: [&str; 5] =
    ["m f=1 1", "m f= 2", "n,t=\"q\" s=\"it's\nhere\",f=2 3", "m f=3i 4", "m f=4i 5"];

fn reply(api: Api, status: u16, body: &str) -> Reply<'_> {
    let (retry_after, location, error_header) = (None, None, None);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Reply {
        api,
        status,
        retry_after,
        location,
        error_header,
        body: body.as_bytes(),
        truncated: false,
        now,
    }
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
        | Disposition::TooLarge { reason }
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

#[track_caller]
fn check(api: Api, table: &[(u16, String, Disposition)]) {
    let batch = Batch::of("nope", &LINES);
    for (status, body, expected) in table {
        let found = classify(&reply(api, *status, body), &batch);
        assert_eq!(&without_reason(found), expected, "{status} {body}");
    }
}
