//! Threads that wait for the buffer. The condition variables are those of the buffer; this has what
//! is known of the waiting threads under its lock, so that no signal is lost and none is needless.

use std::time::Duration;

pub(super) struct Waiters {
    /// Counts signals to the senders, so that none is lost between a look and a wait.
    pub(super) signals: u64,
    /// Senders that wait for a signal.
    senders: usize,
    /// When the sender that began to wait last wakes up by itself.
    sender_wakes_at: Duration,
    /// Adding threads that wait for room.
    pub(super) blocked: usize,
    /// Whether a caller was told that it has to wait for room.
    pub(super) has_announced_block: bool,
    /// Whether the spool worker was called, and has not noticed it yet.
    pub(super) is_worker_called: bool,
    /// Whether a line did not fit since the spool worker looked.
    pub(super) lacks_room: bool,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self {
            signals: 0,
            senders: 0,
            sender_wakes_at: Duration::MAX,
            blocked: 0,
            has_announced_block: false,
            is_worker_called: false,
            lacks_room: false,
        }
    }

    /// Counts a signal. Returns whether a sender waits for it.
    pub(super) fn signal(&mut self) -> bool {
        self.signals += 1;
        self.senders > 0
    }

    /// Whether a sender wakes up by itself until then.
    pub(super) fn sender_wakes_by(&self, time: Duration) -> bool {
        self.senders > 0 && self.sender_wakes_at <= time
    }

    pub(super) fn begin_sender(&mut self, until: Duration) {
        self.senders += 1;
        self.sender_wakes_at = until;
    }

    pub(super) fn end_sender(&mut self) {
        self.senders -= 1;
        self.sender_wakes_at = Duration::MAX;
    }
}
