//! Sends a batch that an InfluxDB 3.x rejected over another API to its own endpoint as well. Over
//! the API of 1.x it names one bad line in a reply, over that of 2.x none.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::delivery::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection};
use crate::delivery::response::LIMIT_REACHED;

/// What only InfluxDB 3.x says of bad lines, up to 3.9 and later, over the APIs of 1.x and 2.x.
const BAD_LINES: [&str; 4] = [
    "parsing failed for write_lp endpoint",
    "line protocol parsing error",
    "write buffer error: parsing for line protocol failed",
    "write buffer error: line protocol parse failed",
];

#[derive(Debug)]
pub(super) struct PartialWrites {
    /// Until the endpoint shows that it is not for us.
    is_enabled: AtomicBool,
}

impl Default for PartialWrites {
    fn default() -> Self {
        Self { is_enabled: AtomicBool::new(true) }
    }
}

impl PartialWrites {
    /// Whether the endpoint is likely to say more than this reply.
    pub(super) fn apply_to(&self, disposition: &Disposition) -> bool {
        let Disposition::Rejected(Rejection { rest_stored: false, reason, .. }) = disposition
        else {
            return false;
        };
        BAD_LINES.iter().any(|text| reason.contains(text))
            && self.is_enabled.load(Ordering::Relaxed)
    }

    /// Whether the endpoint's answer decides. If not, the answer of the other API does.
    pub(super) fn accept(&self, disposition: &Disposition) -> bool {
        match disposition {
            Disposition::Delivered
            | Disposition::Rejected(Rejection { lines: RejectedLines::Named(_), .. }) => true,
            // No line is bad: they wait for a higher limit.
            Disposition::Retry(failure) if failure.reason.starts_with(LIMIT_REACHED) => true,
            // The server has an error of its own, or fails on this batch.
            Disposition::MalformedReply { .. }
            | Disposition::Retry(Failure {
                cause: Cause::Busy | Cause::Unreachable | Cause::Timeout | Cause::Unknown,
                ..
            }) => false,
            _ => {
                self.is_enabled.store(false, Ordering::Relaxed);
                false
            }
        }
    }
}
