//! Statistics: every measurement that was added is counted in exactly one column, at every moment.

use std::fmt;
use std::time::SystemTime;

/// What became of the measurements that were added to a client so far.
///
/// The counters are read together. At every moment
///
/// ```text
/// added = delivered + rejected + sampled_out + dropped.total() + pending
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Measurements passed to `add_measurement`, whatever became of them, and
    /// [`recovered`](Self::recovered) ones.
    pub added: u64,
    /// Of those added, the ones found in the spool, where dead processes had left them.
    pub recovered: u64,
    /// Stored by the server, according to its replies.
    pub delivered: u64,
    /// Rejected by the server. The log and the hook
    /// [`Config::on_rejected`](crate::Config::on_rejected) have the reasons.
    pub rejected: u64,
    /// In batches that were not submitted because of the sample probability.
    pub sampled_out: u64,
    /// Dropped by the client, by reason.
    pub dropped: Dropped,
    /// Waiting in the buffer, or being sent.
    pub pending: u64,
    /// Of those pending, the ones that are in the spool, so that they outlive the process. Always 0
    /// without a spool.
    pub spooled: u64,
    /// Requests made to write a batch, retries included.
    pub batches: u64,
    /// Of those, requests for a batch, or for a part of one, that was sent before.
    pub retries: u64,
    /// Bytes of request bodies sent, after compression.
    pub bytes_sent: u64,
    /// Fields that were left out because they were NaN or infinite.
    pub non_finite: u64,
    /// Measurements with a name or a tag that was repaired: see
    /// [`Measurement`](crate::Measurement).
    pub repaired: u64,
    /// The message of the newest failure to deliver.
    pub last_error: Option<String>,
    /// When that failure happened, by the clock of this host.
    pub last_error_at: Option<SystemTime>,
}

impl Stats {
    /// Every counter with its name, for logs and dashboards. `dropped` is the total of all reasons.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("added", self.added),
            ("recovered", self.recovered),
            ("delivered", self.delivered),
            ("rejected", self.rejected),
            ("sampled_out", self.sampled_out),
            ("dropped", self.dropped.total()),
            ("pending", self.pending),
            ("spooled", self.spooled),
            ("batches", self.batches),
            ("retries", self.retries),
            ("bytes_sent", self.bytes_sent),
            ("non_finite", self.non_finite),
            ("repaired", self.repaired),
        ]
        .into_iter()
    }

    /// Whether the counters balance. They do, unless this crate has a bug.
    pub fn is_balanced(&self) -> bool {
        self.added == self.decided() + self.pending
    }

    /// Measurements that wait no more.
    pub(crate) fn decided(&self) -> u64 {
        self.delivered + self.rejected + self.sampled_out + self.dropped.total()
    }
}

/// Why the client dropped a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// It was added after the client was shut down.
    Closed,
    /// The client is disabled (`INFLUXDB_ENABLED`).
    Disabled,
    /// No server could store it. The caller got an error.
    Invalid,
    /// All of its fields were NaN or infinite.
    NonFinite,
    /// The buffer was full when it was added (overflow policy `newest`, or nothing was there to
    /// drop for it), or the memory for it could not be had.
    Newest,
    /// It was the oldest when the buffer was full (overflow policy `oldest`).
    Oldest,
    /// The buffer stayed full until the block timeout (overflow policy `block`).
    BlockTimeout,
    /// Its file in the spool was damaged.
    Damaged,
}

impl DropReason {
    /// All reasons, in the order of [`Dropped::iter`].
    pub const ALL: &'static [Self] = &[
        Self::Closed,
        Self::Disabled,
        Self::Invalid,
        Self::NonFinite,
        Self::Newest,
        Self::Oldest,
        Self::BlockTimeout,
        Self::Damaged,
    ];

    /// The reason as a word for logs and dashboards.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Disabled => "disabled",
            Self::Invalid => "invalid",
            Self::NonFinite => "non_finite",
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::BlockTimeout => "block_timeout",
            Self::Damaged => "damaged",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A count for each [`DropReason`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// How many measurements were dropped for this reason.
    pub fn count(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many measurements were dropped in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count, also counts of 0.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().copied().zip(self.0)
    }

    pub(crate) fn add(&mut self, reason: DropReason, count: u64) {
        self.0[reason as usize] += count;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().filter(|(_, count)| *count > 0).map(|(r, n)| (r.as_str(), n)))
            .finish()
    }
}

/// The result of `flush` and `shutdown`: what became of the measurements that were pending when it
/// was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Stored by the server.
    pub delivered: u64,
    /// Rejected by the server.
    pub rejected: u64,
    /// Not submitted because of the sample probability.
    pub sampled_out: u64,
    /// Dropped by the client while they waited.
    pub dropped: u64,
    /// Not decided at the deadline. They stay in the buffer.
    pub pending: u64,
    /// Added before the call, but after the client was shut down: dropped ([`DropReason::Closed`]).
    pub closed: u64,
}

impl Report {
    /// Whether everything was decided before the deadline, and nothing was added after the
    /// shutdown.
    pub fn is_complete(&self) -> bool {
        self.pending == 0 && self.closed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_reasons_index_their_counts() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index, "{reason}");
        }
    }
}
