//! What a forwarder did.

use std::time::Duration;

use serde_json::json;
use sprockets_influxdb::Stats;

use crate::format::counted;
use crate::report::Report;

#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// Messages taken, redelivered ones included.
    pub(super) messages: u64,
    /// Of those, the ones that had been delivered before.
    pub(super) redelivered: u64,
    pub(super) acknowledged: u64,
    /// Messages that were not decided when the command ended.
    pub(super) returned: u64,
    /// Messages with lines, or as a whole, that are not line protocol.
    pub(super) set_aside: u64,
    /// Lines in them that are not.
    pub(super) bad_lines: u64,
    pub(super) lines: u64,
    /// Bytes of payloads.
    pub(super) bytes: u64,
    /// Rejected lines that could not be kept.
    pub(super) lost: u64,
    /// Why it ended before it was told to.
    pub(super) problem: Option<String>,
    pub(super) elapsed: Duration,
    pub(super) stats: Stats,
}

/// Adds the counters of one client to others.
pub(super) fn add(sum: &mut Stats, stats: &Stats) {
    sum.added += stats.added;
    sum.delivered += stats.delivered;
    sum.rejected += stats.rejected;
    sum.pending += stats.pending;
    sum.batches += stats.batches;
    sum.retries += stats.retries;
    sum.bytes_sent += stats.bytes_sent;
    if stats.last_error.is_some() {
        sum.last_error.clone_from(&stats.last_error);
    }
}

impl Totals {
    pub(super) fn report(self) -> Report {
        let (messages, seconds) = (counted(self.messages, "message"), self.elapsed.as_secs_f64());
        let notes = [
            (self.redelivered, "delivered to a forwarder before"),
            (self.returned, "not decided, for another forwarder"),
        ];
        let notes = notes.into_iter().filter(|(count, _)| *count > 0);
        Report {
            heading: format!("{messages} with {}; {seconds:.1} s", counted(self.lines, "line")),
            delivered: self.stats.delivered,
            undelivered: vec![
                ("rejected", self.stats.rejected, "rejected by the server: see `quarantine list`"),
                (
                    "set_aside",
                    self.set_aside,
                    "messages are not line protocol, at least in part: set aside",
                ),
                ("not_kept", self.lost, "rejected lines could not be kept"),
            ],
            failures: Vec::new(),
            last_error: self.stats.last_error,
            ended_early: self.problem,
            notes: notes
                .map(|(count, what)| format!("{} {what}", counted(count, "message")))
                .collect(),
            json: json!({
                "messages": self.messages,
                "redelivered": self.redelivered,
                "acknowledged": self.acknowledged,
                "returned": self.returned,
                "bad_lines": self.bad_lines,
                "lines": self.lines,
                "requests": self.stats.batches,
                "retries": self.stats.retries,
                "bytes": self.bytes,
                "bytes_sent": self.stats.bytes_sent,
                "seconds": seconds,
            }),
        }
    }
}
