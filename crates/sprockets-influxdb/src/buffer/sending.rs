//! The buffer as senders use it.

use std::time::Duration;

use super::Buffer;
use super::batch::Batch;
use super::chunk::{CHUNK_BYTES, Chunk};
use super::types::{FailureNote, Intake, Outcome, QueueEnd};
use crate::sync::atomic::Ordering;
use crate::sync::{lock, wait};

/// A sender with nothing to do waits at least so long.
const MIN_WAIT: Duration = Duration::from_secs(1);

impl Buffer {
    /// Closes the open batches if they are due by their number of lines or by their age.
    pub(crate) fn close_due(&self) {
        let now = self.clock.now();
        if self.due_at().is_none_or(|due| due > now) {
            return;
        }
        self.check_disk_now();
        let mut queue = lock(&self.queue);
        if queue.open.due_at(&queue.limits).is_some_and(|due| due <= now) {
            self.close_batches(&mut queue);
        }
    }

    /// Prepares chunks, so that adding threads need not wait for memory. With a spool, its worker
    /// does.
    pub(crate) fn prepare_chunks(&self) {
        let missing = || {
            let queue = lock(&self.queue);
            let is_needed = self.spool.is_none() && queue.intake == Intake::Open;
            if is_needed { queue.pool.missing() } else { 0 }
        };
        for _ in 0..missing() {
            let mut chunk = Chunk::with_capacity(CHUNK_BYTES);
            if chunk.capacity() == 0 {
                return;
            }
            chunk.populate();
            lock(&self.queue).pool.recycle([chunk]);
        }
    }

    /// Takes the first batch that `may_go`, of at most `max_bytes` of it. It stays pending until it
    /// is settled, as a whole or in parts.
    pub(crate) fn take(
        &self,
        max_bytes: impl Fn(&Batch) -> usize,
        may_go: impl Fn(&Batch) -> bool,
    ) -> Option<Batch> {
        lock(&self.queue).take(max_bytes, may_go)
    }

    /// Puts back a batch that was taken, or a part of one.
    pub(crate) fn put_back(&self, batch: Batch, end: QueueEnd) {
        let mut queue = lock(&self.queue);
        queue.put_back(batch, end);
        self.call_spool_worker(&mut queue);
        self.signal(&mut queue);
    }

    /// Counts what became of a batch, or of a part of one: each line is delivered or rejected.
    pub(crate) fn settle(&self, batch: Batch, outcome: Outcome) {
        debug_assert_eq!(outcome.delivered + outcome.rejected, batch.lines());
        self.check_disk_now();
        let mut queue = lock(&self.queue);
        queue.settle(batch, outcome);
        self.call_spool_worker(&mut queue);
        self.notify_decided(&queue);
    }

    /// Counts a request.
    pub(crate) fn count_request(&self, bytes: u64, is_retry: bool) {
        lock(&self.queue).counters.count_request(bytes, is_retry);
    }

    /// Keeps the newest failure, for [`Stats`](crate::Stats), and ends the waits that it refuses.
    pub(crate) fn note_failure(&self, failure: FailureNote<'_>) {
        let mut queue = lock(&self.queue);
        let is_refusal = failure.refused_request_sent_at.is_some();
        queue.note_failure(failure);
        if is_refusal && queue.is_awaited() {
            self.decided.notify_all();
        }
    }

    /// Whether something was dropped since [`see_drops`](Self::see_drops).
    pub(crate) fn has_drops(&self) -> bool {
        self.has_drops.load(Ordering::Relaxed)
    }

    /// Has to be called before the counters are read. Later drops are announced again.
    pub(crate) fn see_drops(&self) {
        self.has_drops.store(false, Ordering::Relaxed);
    }

    /// Whether a line was added so far, for the server in force.
    pub(crate) fn has_begun(&self) -> bool {
        lock(&self.queue).open.has_begun()
    }

    /// When the open lines are due. `None` if there are none.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        let queue = lock(&self.queue);
        queue.open.due_at(&queue.limits)
    }

    /// The number of signals so far. Taken before a look at the buffer, it tells
    /// [`wait`](Self::wait) whether there was a signal since.
    pub(crate) fn signals(&self) -> u64 {
        lock(&self.queue).waiters.signals
    }

    /// Waits for a signal after `seen`, at most until a time. Never waits longer than a measurement
    /// that is added meanwhile may.
    pub(crate) fn wait(&self, seen: u64, until: Option<Duration>) {
        let mut queue = lock(&self.queue);
        if queue.waiters.signals != seen {
            return;
        }
        let now = self.clock.now();
        let interval = queue.limits.submission_interval.max(MIN_WAIT);
        let until = until.unwrap_or(Duration::MAX).min(now.saturating_add(interval));
        queue.waiters.begin_sender(until);
        queue = wait(&self.work, queue, Some(until.saturating_sub(now)));
        queue.waiters.end_sender();
    }

    /// Wakes every sender.
    pub(crate) fn wake(&self) {
        self.signal(&mut lock(&self.queue));
    }
}
