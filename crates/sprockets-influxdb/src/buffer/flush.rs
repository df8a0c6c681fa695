//! Flush and shutdown: they wait until everything that was added before is decided.

use std::time::Duration;

use super::Buffer;
use super::queue::Queue;
use super::types::Intake;
use crate::stats::{DropReason, Report};
use crate::sync::{MutexGuard, lock, wait};

impl Buffer {
    /// Makes everything that was added before the call due. Returns an id to wait for it. Returns
    /// soon after a time, however many databases there are.
    pub(crate) fn begin_flush(&self, until: Duration) -> u64 {
        self.check_disk_now();
        self.close_for_flush(lock(&self.queue), until)
    }

    /// Accepts no more measurements, and begins a flush.
    pub(crate) fn begin_shutdown(&self, until: Duration) -> u64 {
        self.check_disk_now();
        let mut queue = lock(&self.queue);
        queue.intake = Intake::Closed;
        // Blocked adds have to return, and `is_full` has to be cleared: it would hide that the
        // buffer is closed.
        self.notify_decided(&queue);
        self.close_for_flush(queue, until)
    }

    /// Drops everything that no sender has taken.
    pub(crate) fn drop_pending(&self) {
        let mut queue = lock(&self.queue);
        while self.close_batches(&mut queue) {}
        queue.drop_all(DropReason::Disabled);
        self.notify_decided(&queue);
    }

    /// Begins a flush of what is added to a database from now on, until
    /// [`end_additions`](Self::end_additions). Returns an id. Requests that were sent before `now`
    /// cannot refuse it.
    pub(crate) fn begin_tracked_flush(&self, database: &str, now: Duration) -> u64 {
        let mut queue = self.close_until(lock(&self.queue), Duration::MAX);
        queue.flushes.track(database, now)
    }

    /// Makes everything due that a tracked flush covers. It covers nothing that is added later.
    /// Returns soon after `until`. Only requests that are sent from `now` on can refuse it.
    pub(crate) fn end_additions(&self, id: u64, now: Duration, until: Duration) {
        self.check_disk_now();
        let mut queue = self.close_until(lock(&self.queue), until);
        let held = queue.open.granted.lines;
        queue.flushes.end_additions(id, held, now);
    }

    /// Closes the open batches. What is not closed in time counts as pending.
    fn close_for_flush<'a>(&'a self, queue: MutexGuard<'a, Queue>, until: Duration) -> u64 {
        let before = queue.counters.sampled_out;
        let mut queue = self.close_until(queue, until);
        let sampled_out = queue.counters.sampled_out - before;
        let held = queue.open.granted.lines;
        queue.flushes.begin(sampled_out, held)
    }

    /// Closes the open batches, at most until a time. Others may lock the queue in between.
    fn close_until<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        until: Duration,
    ) -> MutexGuard<'a, Queue> {
        while self.close_batches(&mut queue) && self.clock.now() < until {
            drop(queue);
            queue = lock(&self.queue);
        }
        queue
    }

    /// Whether everything that a flush covers is decided.
    pub(crate) fn is_flushed(&self, id: u64) -> bool {
        lock(&self.queue).flushes.is_done(id)
    }

    /// Waits until everything that a flush covers is decided, or refused, at most until a time.
    /// Returns whether it is.
    pub(crate) fn await_flush(&self, id: u64, until: Duration) -> bool {
        let mut queue = lock(&self.queue);
        loop {
            let left = until.saturating_sub(self.clock.now());
            let is_over = queue.flushes.is_done(id) || queue.flushes.is_refused(id);
            if is_over || left.is_zero() {
                return is_over;
            }
            queue = wait(&self.decided, queue, Some(left));
        }
    }

    /// Ends a flush. Returns what became of what it covers.
    pub(crate) fn end_flush(&self, id: u64) -> Report {
        self.end_tracked_flush(id).0
    }

    /// As [`end_flush`](Self::end_flush), with the newest failure that is about what it covers.
    pub(crate) fn end_tracked_flush(&self, id: u64) -> (Report, Option<String>) {
        lock(&self.queue).flushes.end(id)
    }
}
