//! The classification of replies, for the fuzz targets.

use std::time::SystemTime;

use super::disposition::{Disposition, Failure, RejectedLines, Rejection};
use super::response::{Reply, classify};
use crate::buffer::Batch;
use crate::config::Api;

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
    let now = SystemTime::UNIX_EPOCH;
    let reply = Reply { api, status, retry_after, location, error_header, body, truncated, now };
    let batch = Batch::of("db", lines);
    assert_eq!(batch.iter_lines().count(), lines.len());
    let (rejected, reason) = match classify(&reply, &batch) {
        Disposition::Delivered => return Vec::new(),
        Disposition::Rejected(Rejection { lines, reason, .. }) => (lines, reason),
        Disposition::ResendOnce { reason }
        | Disposition::TooLarge { reason }
        | Disposition::MalformedReply { reason }
        | Disposition::Retry(Failure { reason, .. }) => (RejectedLines::All, reason),
    };
    assert!(reason.chars().count() < 800 && !reason.contains(char::is_control), "{reason:?}");
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
