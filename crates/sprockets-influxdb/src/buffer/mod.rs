//! The buffer: measurements that wait to be sent, as lines of line protocol, by database. Any
//! thread adds; sender threads take batches.
//!
//! - Both bounds, lines and bytes, are exact. Every line is counted under the lock of what holds
//!   it.
//! - `adding` is for threads that add, `sending` for senders, `flush` for those who wait for the
//!   outcome. `queue` is what they share.
//! - Adding takes the lock of the thread's shard only, while its grant and its chunk last. A few
//!   times in a thousand lines it takes the lock of the [`Queue`] as well.
//! - Locks are taken in this order: queue, shard. A thread that writes a line to a disk that hangs
//!   waits in the kernel, and holds its shard. `shard_locks` keeps the other threads going.
//! - Files are read and written in `spool_io`, under neither lock. One exception: an adding thread
//!   creates a segment under both if the spool worker has not prepared one in time.
//! - A forked process gets an empty buffer of its own, and never touches this one: the parent
//!   delivers these chunks.

mod adding;
mod batch;
mod bounds;
mod chunk;
mod chunk_pool;
mod counters;
mod flush;
mod flushes;
mod open_batches;
mod open_lines;
mod queue;
mod ready_queue;
mod records;
mod sending;
mod shard;
mod shard_locks;
mod size;
mod spool_files;
mod spool_io;
pub(crate) mod spool_worker;
mod types;
mod waiters;

pub(crate) use batch::Batch;
pub(crate) use size::Size;
pub(crate) use types::{
    Entry, EntryFlags, FailureNote, FirstFailure, Hold, Intake, Limits, Outcome, PushOutcome,
    QueueEnd, RoomWait,
};

use std::sync::Arc;

use crate::clock::Clock;
use crate::spool::Spool;
use crate::stats::Stats;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use queue::Queue;
use shard::{FULL_CHUNK_DATABASES, Open, Shard};

pub(crate) struct Buffer {
    shards: Box<[Shard]>,
    queue: Mutex<Queue>,
    /// Set while nothing fits and the newest lines are dropped. Then an add need not lock the
    /// queue.
    is_full: AtomicBool,
    /// Set by the first drop since a sender looked, so that a sender logs it.
    has_drops: AtomicBool,
    /// Signals senders that there may be something to do.
    work: Condvar,
    /// Signals threads that wait for room or for a flush that lines were decided.
    decided: Condvar,
    /// Signals the spool worker that there is something to do.
    spool_work: Condvar,
    /// Held by the spool worker while it works, and at shutdown: a file that the worker created
    /// after that would stay.
    disk_work: Mutex<()>,
    spool: Option<Arc<Spool>>,
    clock: Clock,
}

impl Buffer {
    pub(crate) fn new(
        limits: Limits,
        intake: Intake,
        spool: Option<Arc<Spool>>,
        clock: Clock,
    ) -> Self {
        let buffer = Self {
            shards: (0..shard::count()).map(|_| Shard::default()).collect(),
            queue: Mutex::new(Queue::new(limits, intake, spool.clone())),
            is_full: AtomicBool::new(false),
            has_drops: AtomicBool::new(false),
            work: Condvar::new(),
            decided: Condvar::new(),
            spool_work: Condvar::new(),
            disk_work: Mutex::new(()),
            spool,
            clock,
        };
        buffer.set_batch_limits(&lock(&buffer.queue));
        buffer
    }

    /// Takes back what shards were granted and have not used. After that, what is granted is what
    /// is open.
    fn reclaim(&self, queue: &mut Queue) {
        for mut open in self.lock_shards() {
            queue.open.granted -= open.take_grant();
        }
    }

    /// Makes all open lines due. A sender closes their batches: adding threads do not do that work.
    fn submit(&self, queue: &mut Queue) {
        if queue.open.submit() {
            self.signal(queue);
        }
    }

    /// Gathers the open lines of all shards, and closes their batches. Returns whether there are
    /// more: those are due.
    fn close_batches(&self, queue: &mut Queue) -> bool {
        let (mut unused, mut locked) = (Size::default(), 0);
        for mut open in self.lock_shards() {
            unused += open.take_grant();
            locked += 1;
            let released = open.collect(FULL_CHUNK_DATABASES, |database, precision, chunk| {
                let mut copied = queue.gather(database, precision, chunk)?;
                queue.pool.renew(&mut copied, database, precision);
                Some(copied)
            });
            drop(open);
            queue.pool.recycle(released);
        }
        queue.pool.note_closed();
        let unused = (locked < self.shards.len()).then_some(unused);
        let sampled_out = queue.counters.sampled_out;
        let has_more = queue.close_batches(unused, self.clock.now());
        // That makes room.
        if queue.counters.sampled_out > sampled_out {
            self.notify_decided(queue);
        }
        self.call_spool_worker(queue);
        self.signal(queue);
        has_more
    }

    /// Signals senders.
    fn signal(&self, queue: &mut Queue) {
        // Without a waiting thread it would still be a system call.
        if queue.waiters.signal() {
            self.work.notify_all();
        }
    }

    /// Signals threads that wait for room, or for a flush. There may be room again.
    fn notify_decided(&self, queue: &Queue) {
        self.is_full.store(false, Ordering::Relaxed);
        if queue.is_awaited() {
            self.decided.notify_all();
        }
    }

    /// Calls the spool worker if there is something to do for it.
    fn call_spool_worker(&self, queue: &mut Queue) {
        let is_needed = self.spool.is_some() && !queue.waiters.is_worker_called;
        if is_needed && queue.has_spool_work() {
            queue.waiters.is_worker_called = true;
            self.spool_work.notify_all();
        }
    }

    fn set_batch_limits(&self, queue: &Queue) {
        if let Some(spool) = &self.spool {
            spool.set_max_bytes(queue.limits.spool_bytes, bounds::reserve(&queue.limits));
        }
        self.lock_shards().for_each(|mut open| open.batch_limit = queue.limits.batch);
    }

    /// Changes the limits, also for lines that wait. Open lines stay open unless the new limits
    /// make them due.
    pub(crate) fn set_limits(&self, limits: Limits, intake: Intake) {
        let mut queue = lock(&self.queue);
        queue.limits = limits;
        if queue.intake != Intake::Closed {
            queue.intake = intake;
        }
        self.set_batch_limits(&queue);
        self.submit_if_triggered(&mut queue);
        self.is_full.store(false, Ordering::Relaxed);
        self.signal(&mut queue);
        self.decided.notify_all();
    }

    /// The next batch is sent soon, as the first one was: where it goes has changed.
    pub(crate) fn restart(&self) {
        let mut queue = lock(&self.queue);
        let Queue { open, limits, .. } = &mut *queue;
        open.restart(self.clock.now(), limits);
        self.signal(&mut queue);
    }

    /// The counters at one moment. While threads that wait for the disk hold shards, what these
    /// dropped is missing, and what they were granted counts as pending.
    pub(crate) fn stats(&self) -> Stats {
        let queue = lock(&self.queue);
        let shards: Vec<MutexGuard<'_, Open>> = self.lock_shards().collect();
        let mut stats = queue.counters.to_stats();
        let mut unused = Size::default();
        let mut unspooled = queue.unspooled();
        let is_complete = shards.len() == self.shards.len();
        for open in shards {
            open.counters.add_to(&mut stats);
            unspooled += open.unspooled();
            unused += open.grant;
        }
        let pending = queue.pending(unused);
        stats.pending = pending as u64;
        if !is_complete {
            stats.added = stats.decided() + stats.pending;
        }
        if self.spool.is_some() {
            stats.spooled = pending.saturating_sub(unspooled) as u64;
        }
        stats
    }
}

#[cfg(test)]
mod tests;
