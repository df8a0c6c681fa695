//! The buffer as threads that add use it.

use std::sync::Arc;

use super::Buffer;
use super::queue::Queue;
use super::shard::{FULL_CHUNK_DATABASES, Open};
use super::types::{Entry, EntryFlags, Intake, PushOutcome, RoomWait};
use crate::config::Overflow;
use crate::interruption;
use crate::record::{RecordHead, RecordValues};
use crate::stats::DropReason;
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, lock, wait};

/// The memory for a line cannot be had.
struct OutOfMemory;

impl Buffer {
    /// Adds a line, or counts why it was dropped. If it is [`PushOutcome::Blocked`], the caller has
    /// to start a sender and to call again. With `room` it waits for room in a full buffer,
    /// whatever the configuration says.
    #[inline]
    pub(crate) fn push(
        &self,
        line: Entry<'_, impl Fn(&mut Vec<u8>)>,
        flags: EntryFlags,
        room: Option<RoomWait>,
    ) -> PushOutcome {
        let mut open = self.lock_own_shard();
        open.counters.flag(flags);
        if open.push(&line) {
            return PushOutcome::Accepted;
        }
        if room.is_none() && self.is_full.load(Ordering::Relaxed) {
            open.counters.drop_added(DropReason::Newest);
            drop(open);
            return self.announce_drop();
        }
        let needs_chunk = !open.has_chunk(&line);
        drop(open);
        if needs_chunk {
            self.check_disk_now();
        } else {
            self.check_disk();
        }
        self.push_slowly(&line, room)
    }

    /// Adds a record, with a timestamp in nanoseconds. Returns false if it has to be encoded at
    /// once.
    #[inline]
    pub(crate) fn push_record(
        &self,
        head: &Arc<RecordHead>,
        timestamp: i64,
        values: &RecordValues<'_>,
    ) -> bool {
        self.lock_own_shard().push_record(head, timestamp, values)
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
        room: Option<RoomWait>,
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
            let overflow = room.map_or(queue.limits.overflow, |_| Overflow::Block);
            match overflow {
                Overflow::Oldest => {
                    if !self.make_room(&mut queue, line) {
                        break DropReason::Newest;
                    }
                }
                Overflow::Block if queue.announces_block() => return PushOutcome::Blocked,
                Overflow::Block => {
                    let now = self.clock.now();
                    let timeout = room.map_or(queue.limits.block_timeout, |room| room.timeout);
                    let until = *blocked_until.get_or_insert(now.saturating_add(timeout));
                    let flush = room.and_then(|room| room.flush);
                    let is_refused = flush.is_some_and(|id| queue.flushes.is_refused(id));
                    if now >= until || is_refused {
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
    /// meanwhile: the disk may hang, and the system may take its time to provide memory.
    fn push_granted(
        &self,
        queue: MutexGuard<'_, Queue>,
        mut open: MutexGuard<'_, Open>,
        line: &Entry<'_, impl Fn(&mut Vec<u8>)>,
    ) {
        let is_triggered = queue.is_triggered();
        drop(queue);
        open.populate_successor();
        open.push(line);
        drop(open);
        if is_triggered {
            self.submit_if_triggered(&mut lock(&self.queue));
        }
    }

    /// Submits the open lines if there are enough, without what was granted and is not used.
    pub(super) fn submit_if_triggered(&self, queue: &mut Queue) {
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
            // All threads wait while this one writes to a file, so not to one that is frozen. The
            // answer of just now usually holds.
            let _ = self.spool.as_ref().map(|spool| spool.check_frozen());
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
                    if queue.pool.note_full(&full) {
                        self.signal(queue);
                    }
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
}
