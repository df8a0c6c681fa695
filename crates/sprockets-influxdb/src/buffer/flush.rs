//! Flush and shutdown: they wait until everything that was added before is decided.

use std::time::Duration;

use super::Buffer;
use super::queue::Queue;
use super::types::Intake;
use crate::stats::{DropReason, Report};
use crate::sync::{lock, wait};

impl Buffer {
    /// Makes everything that was added before the call due. Returns an id to wait for it.
    pub(crate) fn begin_flush(&self) -> u64 {
        self.check_disk_now();
        self.close_for_flush(&mut lock(&self.queue))
    }

    /// Accepts no more measurements, and begins a flush.
    pub(crate) fn begin_shutdown(&self) -> u64 {
        self.check_disk_now();
        let mut queue = lock(&self.queue);
        queue.intake = Intake::Closed;
        let flush = self.close_for_flush(&mut queue);
        // Blocked adds have to return, and `is_full` has to be cleared: it would hide that the
        // buffer is closed.
        self.notify_decided(&queue);
        flush
    }

    /// Drops everything that no sender has taken.
    pub(crate) fn drop_pending(&self) {
        let mut queue = lock(&self.queue);
        self.close_batches(&mut queue);
        queue.drop_all(DropReason::Disabled);
        self.notify_decided(&queue);
    }

    fn close_for_flush(&self, queue: &mut Queue) -> u64 {
        let before = queue.counters.sampled_out;
        self.close_batches(queue);
        let sampled_out = queue.counters.sampled_out - before;
        queue.flushes.begin(sampled_out, queue.open.granted.lines)
    }

    /// Whether everything that a flush covers is decided.
    pub(crate) fn is_flushed(&self, id: u64) -> bool {
        lock(&self.queue).flushes.is_done(id)
    }

    /// Waits until everything that a flush covers is decided, at most until a time. Returns whether
    /// it is.
    pub(crate) fn await_flush(&self, id: u64, until: Duration) -> bool {
        let mut queue = lock(&self.queue);
        loop {
            let left = until.saturating_sub(self.clock.now());
            if queue.flushes.is_done(id) || left.is_zero() {
                return queue.flushes.is_done(id);
            }
            queue = wait(&self.decided, queue, Some(left));
        }
    }

    /// Ends a flush. Returns what became of what it covers.
    pub(crate) fn end_flush(&self, id: u64) -> Report {
        lock(&self.queue).flushes.end(id)
    }
}
