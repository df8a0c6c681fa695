//! The buffer: measurements that wait to be sent, as lines of line protocol, by database. Any
//! thread adds; sender threads take batches.
//!
//! - Both bounds, lines and bytes, are exact. Every line is counted under the lock of what holds
//!   it.
//! - Adding takes the lock of the thread's shard only, while its grant and its chunk last. A few
//!   times in a thousand lines it takes the lock of the [`Queue`] as well.
//! - Locks are taken in this order: queue, shard.
//! - Files are read and written in `spool_io`, under neither lock. One exception: an adding thread
//!   creates a segment under both if the spool worker has not prepared one in time.
//! - A forked process gets an empty buffer of its own, and never touches this one: the parent
//!   delivers these chunks.

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
mod size;
mod spool_files;
mod spool_io;
pub(crate) mod spool_worker;
mod types;
mod waiters;

pub(crate) use batch::Batch;
pub(crate) use size::Size;
pub(crate) use types::{
    Entry, EntryFlags, FirstFailure, Hold, Intake, Limits, Outcome, PushOutcome, QueueEnd,
};

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Overflow;
use crate::interruption;
use crate::record::{Record, RecordHead};
use crate::spool::Spool;
use crate::stats::{DropReason, Stats};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};
use queue::Queue;
use shard::{FULL_CHUNK_DATABASES, Shard};

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

/// The memory for a line cannot be had.
struct OutOfMemory;

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

    /// Adds a line, or counts why it was dropped. With a timeout it waits that long for room in a
    /// full buffer, whatever the configuration says.
    #[inline]
    pub(crate) fn push(
        &self,
        line: Entry<'_, impl Fn(&mut Vec<u8>)>,
        flags: EntryFlags,
        timeout: Option<Duration>,
    ) -> PushOutcome {
        let shard = self.shard();
        let mut open = lock(&shard.0);
        open.counters.flag(flags);
        if open.push(&line) {
            return PushOutcome::Accepted;
        }
        if timeout.is_none() && self.is_full.load(Ordering::Relaxed) {
            open.counters.drop_added(DropReason::Newest);
            drop(open);
            return self.announce_drop();
        }
        drop(open);
        self.check_disk();
        self.push_slowly(shard, &line, timeout)
    }

    /// Adds a line of at most this length that may be encoded later. Returns false if it has to be
    /// encoded at once.
    #[inline]
    pub(crate) fn push_record(
        &self,
        head: &RecordHead,
        max_len: usize,
        make: impl FnOnce() -> Record,
    ) -> bool {
        lock(&self.shard().0).push_record(head, max_len, make)
    }

    /// Counts a measurement that was dropped before it became a line.
    #[cold]
    pub(crate) fn drop_added(&self, reason: DropReason, flags: EntryFlags) -> PushOutcome {
        let mut open = lock(&self.shard().0);
        open.counters.drop_added(reason);
        open.counters.flag(EntryFlags { repaired: false, ..flags });
        drop(open);
        self.announce_drop()
    }

    /// Wakes a sender for the first drop since one looked. Called without a lock.
    fn announce_drop(&self) -> PushOutcome {
        let is_first = !self.has_drops.load(Ordering::Relaxed)
            && !self.has_drops.swap(true, Ordering::Relaxed);
        if !is_first {
            return PushOutcome::Dropped;
        }
        self.wake();
        PushOutcome::FirstDrop
    }

    #[inline]
    fn shard(&self) -> &Shard {
        &self.shards[shard::index_for_this_thread(self.shards.len())]
    }

    /// Adds a line that needs a grant or a chunk, makes room for it, or drops it.
    #[cold]
    fn push_slowly(
        &self,
        shard: &Shard,
        line: &Entry<'_, impl Fn(&mut Vec<u8>)>,
        timeout: Option<Duration>,
    ) -> PushOutcome {
        let mut blocked_until = None;
        let mut queue = lock(&self.queue);
        let reason = loop {
            match queue.intake {
                Intake::Open => {}
                Intake::Disabled => break DropReason::Disabled,
                Intake::Closed => break DropReason::Closed,
            }
            let is_first = queue.open.is_empty();
            match self.push_granted(&mut queue, shard, line) {
                Ok(true) if is_first => return PushOutcome::FirstOpen,
                Ok(true) => return PushOutcome::Accepted,
                Ok(false) => {}
                Err(OutOfMemory) => break DropReason::Newest,
            }
            self.ask_for_room(&mut queue);
            let overflow = timeout.map_or(queue.limits.overflow, |_| Overflow::Block);
            match overflow {
                Overflow::Oldest => {
                    if !self.make_room(&mut queue, line) {
                        break DropReason::Newest;
                    }
                }
                Overflow::Block => {
                    let now = self.clock.now();
                    let timeout = timeout.unwrap_or(queue.limits.block_timeout);
                    let until = *blocked_until.get_or_insert(now.saturating_add(timeout));
                    if now >= until {
                        break DropReason::BlockTimeout;
                    }
                    self.submit(&mut queue);
                    queue.waiters.blocked += 1;
                    let slice_end = until.min(now + interruption::INTERVAL);
                    queue = wait(&self.decided, queue, Some(slice_end - now));
                    queue.waiters.blocked -= 1;
                    if self.clock.now() >= slice_end {
                        // The runtime may run any code, so not under the lock.
                        drop(queue);
                        let is_interrupted = interruption::is_interrupted();
                        queue = lock(&self.queue);
                        if is_interrupted {
                            break DropReason::BlockTimeout;
                        }
                    }
                }
                Overflow::Newest => {
                    self.submit(&mut queue);
                    let is_full = queue.bounds().room().lines == 0;
                    self.is_full.store(is_full, Ordering::Relaxed);
                    break DropReason::Newest;
                }
            }
        };
        lock(&shard.0).counters.drop_added(reason);
        drop(queue);
        self.announce_drop()
    }

    /// Gets a grant and a chunk for a shard, and pushes the line. Returns false if it does not fit.
    fn push_granted(
        &self,
        queue: &mut Queue,
        shard: &Shard,
        line: &Entry<'_, impl Fn(&mut Vec<u8>)>,
    ) -> Result<bool, OutOfMemory> {
        let needed = line.size();
        let mut open = lock(&shard.0);
        if !open.grant.covers(needed) && queue.grant(needed).is_none() {
            drop(open);
            self.reclaim(queue);
            open = lock(&shard.0);
        }
        if !open.grant.covers(needed) {
            let Some(grant) = queue.grant(needed) else { return Ok(false) };
            queue.open.granted += grant;
            open.grant += grant;
        }
        if queue.open.is_empty() {
            let Queue { open, limits, .. } = &mut *queue;
            open.begin(self.clock.now(), limits);
            // A waiting sender usually wakes up in time by itself: no system call is needed.
            let due = open.due_at(limits).unwrap_or_default();
            if !queue.waiters.sender_wakes_by(due) {
                self.signal(queue);
            }
        }
        if !open.has_chunk(line) {
            // Others may have created files since the grant.
            if queue.bounds().lacks_file(needed) {
                return Ok(false);
            }
            if !open.has_database(line) {
                if let Some((database, precision, chunk)) = open.evict() {
                    let mut emptied = queue.gather_small(&database, precision, chunk);
                    emptied.iter_mut().for_each(|chunk| queue.pool.retire(chunk));
                    queue.pool.recycle(emptied);
                }
            }
            let is_full_size = open.databases() < FULL_CHUNK_DATABASES;
            let (database, chunk) = queue.chunk_for(line, is_full_size);
            if !chunk.fits(1, line.len) {
                queue.pool.recycle([chunk]);
                return Err(OutOfMemory);
            }
            if let Some(full) = open.replace_chunk(&database, line.precision, chunk) {
                let is_empty = full.lines() == 0;
                let mut emptied = if is_empty {
                    Some(full)
                } else {
                    queue.gather(&database, line.precision, full)
                };
                emptied.iter_mut().for_each(|chunk| queue.pool.retire(chunk));
                queue.pool.recycle(emptied);
            }
            self.call_spool_worker(queue);
        }
        let is_pushed = open.push(line);
        drop(open);
        if queue.is_triggered() {
            self.reclaim(queue);
            if queue.is_triggered() {
                self.submit(queue);
            }
        }
        Ok(is_pushed)
    }

    /// Has the spool worker see whether the spool is as full as its account says.
    fn ask_for_room(&self, queue: &mut Queue) {
        if self.spool.is_some() && !queue.waiters.lacks_room {
            queue.waiters.lacks_room = true;
            queue.waiters.is_worker_called = true;
            self.spool_work.notify_all();
        }
    }

    /// Drops the oldest lines until a line fits. Open lines can only be dropped once their batches
    /// are closed.
    fn make_room(&self, queue: &mut Queue, line: &Entry<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        let mut has_room = queue.drop_oldest(line.size());
        if !has_room {
            self.close_batches(queue);
            has_room = queue.drop_oldest(line.size());
        }
        if !self.has_drops.swap(true, Ordering::Relaxed) {
            self.signal(queue);
        }
        if queue.is_awaited() {
            self.decided.notify_all();
        }
        has_room
    }

    /// Takes back what shards were granted and have not used. After that, what is granted is what
    /// is open.
    fn reclaim(&self, queue: &mut Queue) {
        for shard in &self.shards {
            let mut open = lock(&shard.0);
            queue.open.granted -= std::mem::take(&mut open.grant);
        }
    }

    /// Makes all open lines due. A sender closes their batches: adding threads do not do that work.
    fn submit(&self, queue: &mut Queue) {
        if queue.open.submit() {
            self.signal(queue);
        }
    }

    /// Gathers the open lines of all shards, and closes their batches.
    fn close_batches(&self, queue: &mut Queue) {
        for shard in &self.shards {
            let mut open = lock(&shard.0);
            let released = open.collect(FULL_CHUNK_DATABASES, |database, precision, chunk| {
                let mut copied = queue.gather(database, precision, chunk)?;
                queue.pool.renew(&mut copied, database, precision);
                Some(copied)
            });
            drop(open);
            queue.pool.recycle(released);
        }
        if queue.close_batches() {
            self.notify_decided(queue);
        }
        self.call_spool_worker(queue);
        self.signal(queue);
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
        for shard in &self.shards {
            lock(&shard.0).batch_limit = queue.limits.batch;
        }
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
        self.reclaim(&mut queue);
        if queue.is_triggered() {
            self.submit(&mut queue);
        }
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

    /// The counters at one moment.
    pub(crate) fn stats(&self) -> Stats {
        let queue = lock(&self.queue);
        let shards: Vec<MutexGuard<'_, shard::Open>> =
            self.shards.iter().map(|shard| lock(&shard.0)).collect();
        let mut stats = queue.counters.to_stats();
        let mut unused = Size::default();
        let mut unspooled = queue.unspooled();
        for open in shards {
            open.counters.add_to(&mut stats);
            unspooled += open.unspooled();
            unused += open.grant;
        }
        let pending = queue.pending(unused);
        stats.pending = pending as u64;
        if self.spool.is_some() {
            stats.spooled = pending.saturating_sub(unspooled) as u64;
        }
        stats
    }
}

#[cfg(test)]
mod tests;
