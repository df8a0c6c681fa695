//! The buffer: measurements that wait to be sent, as lines of line protocol, by database. Any
//! thread adds; sender threads take batches.
//!
//! - Both bounds, lines and bytes, are exact. Every line is counted under the lock of what holds
//!   it.
//! - Adding takes the lock of the thread's shard only, while its grant and its chunk last. A few
//!   times in a thousand lines it takes the lock of the [`Queue`] as well.
//! - Locks are taken in this order: queue, shard. A thread that writes a line to a disk that hangs
//!   waits in the kernel, and holds its shard. `shard_locks` keeps the other threads going.
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
    Entry, EntryFlags, FirstFailure, Hold, Intake, Limits, Outcome, PushOutcome, QueueEnd,
};

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Overflow;
use crate::interruption;
use crate::spool::Spool;
use crate::stats::{DropReason, Stats};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};
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

    /// Adds a line, or counts why it was dropped. If it is [`PushOutcome::Blocked`], the caller has
    /// to start a sender and to call again. With a timeout it waits that long for room in a
    /// full buffer, whatever the configuration says.
    #[inline]
    pub(crate) fn push(
        &self,
        line: Entry<'_, impl Fn(&mut Vec<u8>)>,
        flags: EntryFlags,
        timeout: Option<Duration>,
    ) -> PushOutcome {
        let mut open = self.lock_own_shard();
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
        self.push_slowly(&line, timeout)
    }

    /// Counts a measurement that was dropped before it became a line.
    #[cold]
    pub(crate) fn drop_added(&self, reason: DropReason, flags: EntryFlags) -> PushOutcome {
        let mut open = self.lock_own_shard();
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

    /// Adds a line that needs a grant or a chunk, makes room for it, or drops it.
    #[cold]
    fn push_slowly(
        &self,
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
            // The thread that reached the trigger may not have come to it.
            self.submit_if_triggered(&mut queue);
            let is_first = queue.open.is_empty();
            match self.grant(&mut queue, line) {
                Ok(Some(open)) => {
                    self.push_granted(queue, open, line);
                    return if is_first { PushOutcome::FirstOpen } else { PushOutcome::Accepted };
                }
                Ok(None) => {}
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
                Overflow::Block if queue.announces_block() => return PushOutcome::Blocked,
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
        self.lock_own_shard().counters.drop_added(reason);
        drop(queue);
        self.announce_drop()
    }

    /// Pushes a line for which a shard has a grant and a chunk. Does not hold the lock of the queue
    /// meanwhile: the disk may hang.
    fn push_granted(
        &self,
        queue: MutexGuard<'_, Queue>,
        mut open: MutexGuard<'_, Open>,
        line: &Entry<'_, impl Fn(&mut Vec<u8>)>,
    ) {
        let is_triggered = queue.is_triggered();
        drop(queue);
        open.push(line);
        drop(open);
        if is_triggered {
            self.submit_if_triggered(&mut lock(&self.queue));
        }
    }

    /// Submits the open lines if there are enough, without what was granted and is not used.
    fn submit_if_triggered(&self, queue: &mut Queue) {
        if queue.is_triggered() {
            self.reclaim(queue);
            if queue.is_triggered() {
                self.submit(queue);
            }
        }
    }

    /// Gets a grant and a chunk for this thread's shard. Returns the shard, or `None` if the line
    /// does not fit.
    fn grant<'a>(
        &'a self,
        queue: &mut Queue,
        line: &Entry<'_, impl Fn(&mut Vec<u8>)>,
    ) -> Result<Option<MutexGuard<'a, Open>>, OutOfMemory> {
        let needed = line.size();
        let mut open = self.lock_own_shard();
        if !open.grant.covers(needed) && queue.grant(needed).is_none() {
            drop(open);
            self.reclaim(queue);
            open = self.lock_own_shard();
        }
        if !open.grant.covers(needed) {
            let Some(grant) = queue.grant(needed) else { return Ok(None) };
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
                return Ok(None);
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
        Ok(open.can_push(line).then_some(open))
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
            let _ = self.spool.as_ref().map(|spool| spool.check_frozen());
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
        for mut open in self.lock_shards() {
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
        let (mut unused, mut locked) = (Size::default(), 0);
        for mut open in self.lock_shards() {
            unused += open.grant;
            locked += 1;
            let released = open.collect(FULL_CHUNK_DATABASES, |database, precision, chunk| {
                let mut copied = queue.gather(database, precision, chunk)?;
                queue.pool.renew(&mut copied, database, precision);
                Some(copied)
            });
            drop(open);
            queue.pool.recycle(released);
        }
        if locked == self.shards.len() {
            unused = queue.open.granted;
        }
        if queue.close_batches(unused, self.clock.now()) {
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
