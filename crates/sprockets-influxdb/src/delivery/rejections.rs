//! Reports rejected lines: in the log and the counters, to the quarantine, and to the application's
//! hook.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::bisect::Reasons;
use super::rate_limited_log::RateLimitedLog;
use crate::buffer::{Batch, Buffer, FailureNote};
use crate::config::{OnRejected, Rejected};

pub(super) struct RejectionReporter {
    buffer: Arc<Buffer>,
    log: Arc<RateLimitedLog>,
}

impl RejectionReporter {
    pub(super) fn new(buffer: Arc<Buffer>, log: Arc<RateLimitedLog>) -> Self {
        Self { buffer, log }
    }

    /// Reports every line of `lines`.
    pub(super) fn report(&self, lines: &Batch, reasons: &Reasons, hook: Option<&OnRejected>) {
        let reason = reasons.of(0);
        self.log.rejected(lines.lines() as u64, lines.database(), reason);
        self.buffer.note_failure(FailureNote {
            reason: reason.to_owned(),
            database: Some(lines.database()),
            refused_request_sent_at: None,
        });
        self.quarantine(lines, reasons);
        if let Some(hook) = hook {
            call_hook(hook, lines, reasons);
        }
    }

    fn quarantine(&self, lines: &Batch, reasons: &Reasons) {
        let Some(spool) = self.buffer.spool() else { return };
        let entries = lines.iter_lines().enumerate().map(|(index, line)| (line, reasons.of(index)));
        let kept = if spool.health().is_suspended() {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"))
        } else {
            spool.quarantine.keep(lines.database(), lines.precision(), entries)
        };
        if let Err(error) = kept {
            self.log.not_quarantined(lines.lines() as u64, &error);
        }
    }
}

fn call_hook(hook: &OnRejected, lines: &Batch, reasons: &Reasons) {
    for (index, line) in lines.iter_lines().enumerate() {
        let line = String::from_utf8_lossy(line);
        let rejected = Rejected::new(lines.database(), &line, reasons.of(index));
        // The hook is the application's. Its panic must not cost other measurements.
        if catch_unwind(AssertUnwindSafe(|| hook(&rejected))).is_err() {
            tracing::error!("the application's on_rejected hook panicked");
        }
    }
}
