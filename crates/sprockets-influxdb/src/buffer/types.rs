//! Types that the files of the buffer share. This file uses none of them.

use std::sync::Arc;
use std::time::Duration;

use super::size::Size;
use crate::config::{Overflow, Precision};
use crate::sync::atomic::AtomicU32;

/// The bounds of the buffer, and when its lines are due.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most that may wait, in memory.
    pub(crate) buffer: Size,
    /// The most in one batch. A single line may have more bytes.
    pub(crate) batch: Size,
    /// Lines that are due as soon as there are so many.
    pub(crate) trigger_size: usize,
    /// Fewer lines are due when the first of them has waited so long.
    pub(crate) submission_interval: Duration,
    /// The same for the first batch, if that is less: it shows early whether writing works.
    pub(crate) first_interval: Duration,
    /// The probability that a batch is submitted at all.
    pub(crate) sample_probability: f64,
    pub(crate) overflow: Overflow,
    /// How long an add may wait for room, with [`Overflow::Block`].
    pub(crate) block_timeout: Duration,
    /// The most on disk in bytes. Applies instead of `buffer` while there is a spool that works.
    pub(crate) spool_bytes: usize,
}

/// Whether the buffer accepts measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    Disabled,
    /// After a shutdown, for good.
    Closed,
}

/// A line to add: where it belongs, and a function that appends its bytes.
pub(crate) struct Entry<'a, W: Fn(&mut Vec<u8>)> {
    /// UTF-8. Bytes, because comparing them is all that a hit of the current chunk needs.
    pub(crate) database: &'a [u8],
    pub(crate) precision: Precision,
    /// How many bytes `write` appends.
    pub(crate) len: usize,
    pub(crate) write: W,
}

impl<W: Fn(&mut Vec<u8>)> Entry<'_, W> {
    #[inline]
    pub(super) fn size(&self) -> Size {
        Size { lines: 1, bytes: self.len }
    }
}

/// What to count of a measurement beside its line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryFlags {
    /// Fields that were left out.
    pub(crate) non_finite: usize,
    pub(crate) repaired: bool,
}

/// What became of a line that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Accepted,
    /// Accepted, while no other line was open. A sender has to wait until it is due.
    FirstOpen,
    Dropped,
    /// Dropped, the first since a sender looked. A sender has to log it.
    FirstDrop,
    /// Not added yet: it has to wait for room, and nothing that makes room runs yet.
    Blocked,
}

impl PushOutcome {
    /// Whether the caller has to see to it that a sender waits for the buffer.
    #[inline]
    pub(crate) fn needs_sender(self) -> bool {
        matches!(self, Self::FirstOpen | Self::FirstDrop | Self::Blocked)
    }

    pub(crate) fn is_dropped(self) -> bool {
        matches!(self, Self::Dropped | Self::FirstDrop)
    }
}

/// The number of a batch, in the order in which batches were closed. Parts of a batch keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceNumber(u64);

impl SequenceNumber {
    /// The number of all batches of dead processes. No flush waits for them.
    pub(super) const RECOVERED: Self = Self(u64::MAX);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What became of the lines of a batch, or of a part of one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) delivered: usize,
    pub(crate) rejected: usize,
}

/// A failure to deliver, as counters and reports show it.
#[derive(Debug)]
pub(crate) struct FailureNote<'a> {
    pub(crate) reason: String,
    /// The database that it is about. `None`: all of them.
    pub(crate) database: Option<&'a str>,
    /// If lines wait until an operator changes something: when the refused request was sent.
    pub(crate) refused_request_sent_at: Option<Duration>,
}

/// How long an add waits for room, whatever the configuration says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomWait {
    pub(crate) timeout: Duration,
    /// The tracked flush whose refusal ends the wait.
    pub(crate) flush: Option<u64>,
}

/// The end of the queue at which a batch waits again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum QueueEnd {
    Front,
    Back,
}

/// What the sender knows about a batch between two attempts. Parts of a batch start with a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryState {
    /// Requests made for the batch, or for the one that it is a part of.
    pub(crate) requests: u32,
    /// Whether it was resent at once, as one kind of reply asks for.
    pub(crate) resent: bool,
    /// Failures of exactly these lines, while other batches were answered.
    pub(crate) failures: u32,
    /// Failures of these lines, alone or with others, that count in the failure rate.
    pub(crate) failures_counted: u32,
    /// Whether it is a part of a batch that failed while others were answered.
    pub(crate) is_suspect: bool,
    /// The number of answers that the server had given at the last failure.
    pub(crate) answers_seen: Option<u64>,
    /// Set when exactly these lines fail.
    pub(crate) first_failure: Option<FirstFailure>,
    /// Requests left to find lines that the server did not name, shared by all parts of a batch.
    pub(crate) search: Option<Arc<AtomicU32>>,
    /// Set while the batch waits by itself.
    pub(crate) hold: Option<Hold>,
}

/// What had happened when some lines failed for the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstFailure {
    /// Requests that the server had answered.
    pub(crate) answers: u64,
    /// Requests that had failed by chance.
    pub(crate) failures: u64,
}

/// How long a batch waits by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) until: Duration,
    /// When its last request was sent; in a slow search, when the wait began.
    pub(crate) sent: Duration,
}
