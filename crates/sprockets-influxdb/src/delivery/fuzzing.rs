//! The classification of replies, for the fuzz targets.

use std::sync::LazyLock;
use std::time::SystemTime;

use ureq::http::header::{LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::disposition::{Disposition, Failure, RejectedLines, Rejection};
use super::response::{Reply, classify};
use super::sanitize::Secrets;
use crate::buffer::Batch;
use crate::config::{Api, Config, Names};
use crate::printable::is_printable;

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Config::new().resolve().expect("the defaults").server.names);

/// The lines, by index from 0, that a reply to these lines names as rejected. Panics where the
/// disposition is not one that the sender can act on.
pub fn refused(
    (api, status): (Api, u16),
    [retry_after, location]: [Option<&str>; 2],
    error_header: Option<&[u8]>,
    body: &[u8],
    truncated: bool,
    lines: &[&str],
) -> Vec<usize> {
    let mut headers = HeaderMap::new();
    let error_name = HeaderName::from_static("x-influxdb-error");
    for (name, value) in [
        (RETRY_AFTER, retry_after.map(str::as_bytes)),
        (LOCATION, location.map(str::as_bytes)),
        (error_name, error_header),
    ] {
        // What no header can hold is a reply that cannot be read.
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
    let reply = Reply {
        api,
        status,
        headers: &headers,
        body,
        truncated,
        now: SystemTime::UNIX_EPOCH,
        secrets: &Secrets::default(),
        names: &NAMES,
    };
    let batch = Batch::of("db", lines);
    assert_eq!(batch.iter_lines().count(), lines.len());
    let has_header = headers.contains_key("x-influxdb-error");
    let (rejected, reason) = match classify(&reply, &batch).disposition {
        Disposition::Delivered => {
            let is_confirmed = status == 204
                || (200..300).contains(&status) && has_header && body.is_empty() && !truncated
                // InfluxDB Enterprise keeps the points for another node.
                || status >= 500 && contains(body, error_header, "hinted handoff queue not empty");
            assert!(is_confirmed, "{status} is no delivery");
            return Vec::new();
        }
        Disposition::Rejected(Rejection { lines, reason, rest_stored }) => {
            // The other lines are delivered then. An escape may hide the words.
            let is_partial = ["partial write", "metric parse error", "\\"]
                .iter()
                .any(|text| contains(body, error_header, text));
            assert!(!rest_stored || is_partial, "{status} confirms no line");
            (lines, reason)
        }
        Disposition::ResendOnce { reason }
        | Disposition::TooLarge { reason, .. }
        | Disposition::MalformedReply { reason }
        | Disposition::Retry(Failure { reason, .. }) => (RejectedLines::All, reason),
    };
    assert!(reason.chars().count() < 800 && reason.chars().all(is_printable), "{reason:?}");
    match rejected {
        RejectedLines::All | RejectedLines::Unnamed { count: None } => Vec::new(),
        RejectedLines::Unnamed { count: Some(count) } => {
            assert!(count <= lines.len());
            Vec::new()
        }
        RejectedLines::Named(named) => {
            let named: Vec<_> = named.into_iter().map(|(index, _)| index).collect();
            assert!(named.is_sorted_by(|a, b| a < b) && named.last() < Some(&lines.len()));
            named
        }
    }
}

fn contains(body: &[u8], header: Option<&[u8]>, text: &str) -> bool {
    [Some(body), header].into_iter().flatten().any(|bytes| {
        // The text may be escaped in JSON, as any text.
        let json = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
        String::from_utf8_lossy(bytes).contains(text) || json.to_string().contains(text)
    })
}
