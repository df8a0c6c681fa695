//! Flushes: waiting until everything that was added before has been decided.

use std::time::Duration;

use super::Buffer;
use super::queue::{Intake, Queue};
use crate::stats::Report;
use crate::sync::{lock, wait};

impl Buffer {
    /// Seals all that was added before the call, and returns a handle to wait for what becomes of it.
    pub(crate) fn begin_flush(&self) -> u64 {
        self.close_for_flush(&mut lock(&self.queue))
    }

    /// Takes no more measurements, and flushes.
    pub(crate) fn begin_shutdown(&self) -> u64 {
        let mut queue = lock(&self.queue);
        queue.intake = Intake::Closed;
        let flush = self.close_for_flush(&mut queue);
        // Also those who found it full, and would not ask again.
        self.tell(&queue);
        flush
    }

    fn close_for_flush(&self, queue: &mut Queue) -> u64 {
        let before = queue.counters.sampled_out;
        self.close_batches(queue);
        let sampled_out = queue.counters.sampled_out - before;
        queue.begin_flush(sampled_out)
    }

    /// Whether everything that the flush covers is decided.
    pub(crate) fn is_flushed(&self, id: u64) -> bool {
        lock(&self.queue).is_flushed(id)
    }

    /// Waits until everything that the flush covers is decided, or until a time. Returns whether it is.
    pub(crate) fn await_flush(&self, id: u64, until: Duration) -> bool {
        let mut queue = lock(&self.queue);
        loop {
            let left = until.saturating_sub(self.clock.now());
            if queue.is_flushed(id) || left.is_zero() {
                return queue.is_flushed(id);
            }
            queue = wait(&self.decided, queue, Some(left));
        }
    }

    /// Forgets a flush, and tells what became of what it covers.
    pub(crate) fn end_flush(&self, id: u64) -> Report {
        lock(&self.queue).end_flush(id)
    }
}
