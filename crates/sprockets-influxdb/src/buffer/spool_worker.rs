//! The spool worker: does on its own thread what would keep adding and sending threads waiting for
//! the disk. It prepares chunks, seals batches, syncs, removes files, retries a failed disk, and
//! adopts the slots of dead processes.

use std::time::Duration;

use super::Buffer;
use super::batch::Batch;
use super::bounds::MEMORY_BYTES;
use super::chunk::{CHUNK_BYTES, Chunk, SMALL_CHUNK_BYTES};
use crate::spool::{Adopted, Merging, SealedFile, Spool};
use crate::sync::{lock, wait};

/// Interval between syncs, in the modes that sync.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between attempts to use a failed disk again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Interval between looks for slots of dead processes and for what other processes use.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// The first such interval if there are slots that living processes hold: the one that this process
/// replaces may be about to end. It doubles up to [`LOOK_INTERVAL`].
const FIRST_LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The least interval between looks while the spool seems to be full.
const SHORT_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between checks that the disk answers, while it is used. One that was not used for so
/// long is checked before it is used again.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Interval between checks of a disk that does not answer.
const SUSPENDED_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at least between looks for files that other programs removed or cut.
const LOSS_INTERVAL: Duration = Duration::from_millis(100);
/// The part of the time that such looks may take, as a divisor.
const LOSS_SHARE: u32 = 100;
/// Segments that are created before other work is done.
const PREPARED_PER_STEP: usize = 64;
/// Files of an adopted slot that are inspected before other work is done.
const FILES_PER_STEP: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct SpoolWorker {
    next_sync: Duration,
    next_retry: Duration,
    last_look: Duration,
    next_look: Duration,
    look_interval: Duration,
    next_loss_look: Duration,
    /// Whether a look for slots goes on.
    is_looking: bool,
    /// When the disk is checked next. `None` while it is not used.
    next_check: Option<Duration>,
    /// What the buffer had done at the last check.
    activity: u64,
    adopted: Option<Adopted>,
    merging: Merging,
    warnings: Warnings,
}

impl SpoolWorker {
    /// Does everything there is to do. Returns when to step again, if not called before.
    pub(crate) fn step(&mut self, buffer: &Buffer) -> Duration {
        let Some(spool) = &buffer.spool else { return Duration::MAX };
        let is_check_due = self.is_check_due(buffer, spool);
        let Some(was_suspended) = self.check(is_check_due, spool) else {
            self.warn_of_failure(buffer, spool);
            return buffer.clock.now() + SUSPENDED_INTERVAL;
        };
        let _not_during_shutdown = lock(&buffer.disk_work);
        let now = buffer.clock.now();
        let is_first_use = self.next_check.is_none();
        let looks_for_losses = was_suspended || is_first_use || now >= self.next_loss_look;
        if looks_for_losses {
            buffer.look_for_losses(spool, was_suspended);
            let after = buffer.clock.now();
            self.next_loss_look = after + LOSS_INTERVAL.max(LOSS_SHARE * (after - now));
        }
        self.warn_of_failure(buffer, spool);
        if was_suspended {
            self.next_retry = now;
        }
        buffer.remove_leftovers(spool);
        if now >= self.last_look + SHORT_LOOK_INTERVAL && buffer.takes_lack_of_room() {
            self.next_look = now;
        }
        if !self.is_looking && now >= self.next_look {
            self.last_look = now;
            // Before files are made: what others use counts toward the bound.
            self.is_looking = true;
            if let Some(message) = spool.recovery.look() {
                tracing::warn!("{message}");
            }
            buffer.notify_decided(&lock(&buffer.queue));
        }
        if spool.health().is_failing() {
            self.retry(buffer, spool, now);
        }
        if !spool.health().is_failing() {
            prepare_chunks(buffer, spool);
            while buffer.write_unspooled(spool) {}
            while buffer.seal_to_disk(spool, MEMORY_BYTES) {
                buffer.remove_leftovers(spool);
                // However much there is to seal, syncs are in time.
                self.sync(buffer, spool);
            }
        }
        self.sync(buffer, spool);
        let has_more = self.adopt(buffer, spool, now);
        let mut next = self.next_look;
        if spool.is_synced() {
            next = next.min(self.next_sync);
        }
        if spool.health().is_failing() {
            next = next.min(self.next_retry);
        }
        next = next.min(self.set_next_check(is_check_due, buffer, spool));
        if has_more { now } else { next }
    }

    /// Checks that the disk answers, if it is time to. Returns whether it did not answer until now,
    /// or `None` if it still does not.
    fn check(&self, is_due: bool, spool: &Spool) -> Option<bool> {
        let was_suspended = spool.health().is_suspended();
        if is_due || was_suspended {
            spool.health().set_unchecked(true);
        }
        spool.check().then_some(was_suspended)
    }

    fn is_check_due(&self, buffer: &Buffer, spool: &Spool) -> bool {
        spool.health().is_unchecked()
            || self.next_check.is_some_and(|next| next <= buffer.clock.now())
    }

    /// Sets when to check next, and returns it. If the disk was not used since the last time, its
    /// next use has to check instead.
    fn set_next_check(&mut self, is_due: bool, buffer: &Buffer, spool: &Spool) -> Duration {
        if let (Some(next), false) = (self.next_check, is_due) {
            return next;
        }
        let before = self.activity;
        self.activity = buffer.activity();
        if is_due && self.activity == before {
            self.next_check = None;
            buffer.expire_check(spool);
            return Duration::MAX;
        }
        let next = buffer.clock.now() + CHECK_INTERVAL;
        self.next_check = Some(next);
        next
    }

    fn warn_of_failure(&mut self, buffer: &Buffer, spool: &Spool) {
        if let Some(failure) = spool.health().take_failure() {
            tracing::warn!(
                "{failure}; measurements wait in memory only until the disk works again"
            );
            self.next_retry = buffer.clock.now() + RETRY_INTERVAL;
        }
    }

    fn sync(&mut self, buffer: &Buffer, spool: &Spool) {
        let now = buffer.clock.now();
        if spool.is_synced() && now >= self.next_sync {
            buffer.sync_and_reuse(spool);
            self.next_sync = now + SYNC_INTERVAL;
        }
    }

    fn retry(&mut self, buffer: &Buffer, spool: &Spool, now: Duration) {
        if now < self.next_retry {
            return;
        }
        self.next_retry = now + RETRY_INTERVAL;
        // Unused segments may be what fills the disk.
        let count = lock(&buffer.queue).pool.give_up_unused();
        buffer.remove_leftovers(spool);
        // Sealing may be what failed. It is retried if it is still needed.
        let has_to_seal = lock(&buffer.queue).has_to_seal();
        let works = !has_to_seal || buffer.seal_to_disk(spool, MEMORY_BYTES);
        let segments = if works { spool.segments.retry(CHUNK_BYTES, count) } else { None };
        let Some(segments) = segments else { return };
        {
            let mut queue = lock(&buffer.queue);
            segments.into_iter().for_each(|segment| queue.pool.add_segment(segment));
            buffer.notify_decided(&queue);
            buffer.signal(&mut queue);
        }
        buffer.close_unspooled();
        while buffer.write_unspooled(spool) {}
        if spool.health().is_failing() {
            // There was no room for all of it. The next attempt goes on, without another warning.
            spool.health().take_failure();
        } else {
            tracing::info!("the spool works again");
        }
    }

    fn next_look_interval(&mut self, spool: &Spool) -> Duration {
        self.look_interval = match spool.recovery.is_look_due_soon() {
            true => (2 * self.look_interval).clamp(FIRST_LOOK_INTERVAL, LOOK_INTERVAL),
            false => LOOK_INTERVAL,
        };
        self.look_interval
    }

    /// Adopts files of dead processes. Returns whether there are more.
    fn adopt(&mut self, buffer: &Buffer, spool: &Spool, now: Duration) -> bool {
        if !self.is_looking {
            return false;
        }
        for _ in 0..FILES_PER_STEP {
            let Some(adopted) = &mut self.adopted else {
                match spool.recovery.adopt() {
                    Some(Ok(adopted)) => self.adopted = Some(adopted),
                    Some(Err(message)) => self.warnings.add(&message),
                    None => {
                        recover(buffer, self.merging.finish(&spool.sealed));
                        self.warnings.end();
                        self.is_looking = false;
                        self.next_look = now + self.next_look_interval(spool);
                        spool.recovery.set_complete();
                        return false;
                    }
                }
                continue;
            };
            match spool.recovery.next_file(adopted) {
                Some(Ok(file)) => recover(buffer, self.merging.add(&spool.sealed, file)),
                Some(Err(message)) => self.warnings.add(&message),
                None => self.adopted = None,
            }
        }
        true
    }
}

/// Warnings about files that are left alone: a few of each look, and the number of the others.
#[derive(Debug, Default)]
struct Warnings {
    count: usize,
}

impl Warnings {
    const MAX: usize = 8;

    fn add(&mut self, message: &str) {
        self.count += 1;
        if self.count <= Self::MAX {
            tracing::warn!("{message}");
        }
    }

    fn end(&mut self) {
        let more = std::mem::take(&mut self.count).saturating_sub(Self::MAX);
        if more > 0 {
            tracing::warn!("{more} more files or directories of the spool are left alone");
        }
    }
}

/// Adds files of dead processes to the backlog.
fn recover(buffer: &Buffer, files: Vec<SealedFile>) {
    if files.is_empty() {
        return;
    }
    let mut queue = lock(&buffer.queue);
    for file in files {
        queue.recover(Batch::from_sealed(file));
    }
    buffer.signal(&mut queue);
}

/// Creates segments, so that adding threads need not. Not more than [`PREPARED_PER_STEP`]: what is
/// to be sealed waits meanwhile.
fn prepare_chunks(buffer: &Buffer, spool: &Spool) {
    if lock(&buffer.queue).lacks_small_chunk() {
        let Some(segment) = spool.segments.create(SMALL_CHUNK_BYTES) else { return };
        lock(&buffer.queue).pool.add_small(segment);
    }
    for _ in 0..PREPARED_PER_STEP {
        if !lock(&buffer.queue).lacks_chunks() {
            return;
        }
        let bare = lock(&buffer.queue).pool.take_bare();
        let mut chunk = bare.unwrap_or_else(|| Chunk::with_capacity(CHUNK_BYTES));
        if chunk.capacity() == 0 {
            return;
        }
        chunk.populate();
        let Some(segment) = spool.segments.create(CHUNK_BYTES) else {
            lock(&buffer.queue).pool.recycle([chunk]);
            return;
        };
        lock(&buffer.queue).pool.add_ready(chunk, segment);
    }
}

impl Buffer {
    /// Waits until there is something to do for the spool worker, at most until a time.
    pub(crate) fn await_spool_work(&self, until: Duration) {
        let mut queue = lock(&self.queue);
        while !std::mem::take(&mut queue.waiters.is_worker_called) {
            let left = until.saturating_sub(self.clock.now());
            if left.is_zero() {
                return;
            }
            queue = wait(&self.spool_work, queue, Some(left));
        }
    }

    /// Whether lines did not fit since the last call.
    fn takes_lack_of_room(&self) -> bool {
        std::mem::take(&mut lock(&self.queue).waiters.lacks_room)
    }

    /// Wakes the spool worker, whether or not there is something to do.
    pub(crate) fn wake_spool_worker(&self) {
        lock(&self.queue).waiters.is_worker_called = true;
        self.spool_work.notify_all();
    }
}
