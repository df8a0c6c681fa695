//! The verdict, for the fuzz targets.

use std::time::SystemTime;

use super::transport::{Verdict, Which};
use super::verdict::{Reply, verdict};
use crate::buffer::Batch;
use crate::config::Api;

/// The lines, by index from 0, that a reply to these lines names as refused. Panics where a verdict is not one that the
/// sender can act on.
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
    let (which, reason) = match verdict(&reply, &batch) {
        Verdict::Delivered => return Vec::new(),
        Verdict::Rejected { which, reason, .. } => (which, reason),
        Verdict::ResendOnce { reason }
        | Verdict::TooLarge { reason }
        | Verdict::Unparsable { reason }
        | Verdict::Retry { reason, .. } => (Which::All, reason),
    };
    assert!(reason.chars().count() < 800 && !reason.contains(char::is_control), "{reason:?}");
    match which {
        Which::All | Which::Unknown { count: None } => Vec::new(),
        Which::Unknown { count: Some(count) } => {
            assert!(count <= lines.len());
            Vec::new()
        }
        Which::Lines(named) => {
            let named: Vec<_> = named.into_iter().map(|(index, _)| index).collect();
            assert!(named.is_sorted_by(|a, b| a < b) && named.last() < Some(&lines.len()));
            named
        }
    }
}
