//! The counters of [`Stats`]. Each is changed under the lock of what it counts, so that they
//! balance at every moment. `Buffer::stats` takes them all at one moment.

use std::time::SystemTime;

use super::types::{EntryFlags, Outcome};
use crate::stats::{DropReason, Dropped, Stats};

/// What is counted under the lock of the queue.
#[derive(Default)]
pub(super) struct Counters {
    /// Lines of dead processes.
    pub(super) recovered: u64,
    delivered: u64,
    rejected: u64,
    pub(super) sampled_out: u64,
    pub(super) dropped: Dropped,
    requests: u64,
    retries: u64,
    bytes_sent: u64,
    last_error: Option<LastError>,
}

struct LastError {
    message: String,
    at: SystemTime,
}

impl Counters {
    pub(super) fn settle(&mut self, outcome: Outcome) {
        self.delivered += outcome.delivered as u64;
        self.rejected += outcome.rejected as u64;
    }

    pub(super) fn count_request(&mut self, bytes: u64, is_retry: bool) {
        self.requests += 1;
        self.retries += u64::from(is_retry);
        self.bytes_sent += bytes;
    }

    pub(super) fn note_error(&mut self, message: String) {
        self.last_error = Some(LastError { message, at: SystemTime::now() });
    }

    pub(super) fn to_stats(&self) -> Stats {
        Stats {
            added: self.recovered,
            recovered: self.recovered,
            delivered: self.delivered,
            rejected: self.rejected,
            sampled_out: self.sampled_out,
            dropped: self.dropped,
            batches: self.requests,
            retries: self.retries,
            bytes_sent: self.bytes_sent,
            last_error: self.last_error.as_ref().map(|error| error.message.clone()),
            last_error_at: self.last_error.as_ref().map(|error| error.at),
            ..Stats::default()
        }
    }
}

/// What is counted under the lock of a shard.
#[derive(Default)]
pub(super) struct ShardCounters {
    added: u64,
    dropped: Dropped,
    non_finite: u64,
    repaired: u64,
}

impl ShardCounters {
    #[inline]
    pub(super) fn add(&mut self) {
        self.added += 1;
    }

    /// Counts a measurement that was dropped when it was added.
    pub(super) fn drop_added(&mut self, reason: DropReason) {
        self.added += 1;
        self.dropped.add(reason, 1);
    }

    #[inline]
    pub(super) fn flag(&mut self, flags: EntryFlags) {
        self.repaired += u64::from(flags.repaired);
        self.non_finite += flags.non_finite as u64;
    }

    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.added += self.added;
        stats.dropped.add_all(&self.dropped);
        stats.non_finite += self.non_finite;
        stats.repaired += self.repaired;
    }
}
