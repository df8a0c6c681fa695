//! What the spool asks for that has to wait for the disk: done by a thread of its own, never by those that add or send,
//! and never under a lock.

use std::sync::Arc;
use std::time::Duration;

use super::chunk_pool::CHUNK_BYTES;
use super::queue::Queue;
use super::{Batch, Buffer, QueueEnd, Size};
use crate::config::SpoolSync;
use crate::spool::{Adopted, SealOutcome, Spool};
use crate::sync::{lock, wait};

/// SealOutcome batches that are kept in memory beside the disk: what a server that answers takes soon.
pub(super) const IN_MEMORY: usize = 16 << 20;
/// How often what was written is synced, where it is to survive a loss of power.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often a disk that fails is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How often slots are looked for whose processes are no more, and how much others use.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Files of such slots that are looked at before there is time for something else.
const FILES_AT_ONCE: usize = 16;

/// Keeps the spool of one buffer.
#[derive(Debug, Default)]
pub(crate) struct SpoolWorker {
    next_sync: Duration,
    next_retry: Duration,
    next_look: Duration,
    adopted: Option<Adopted>,
}

impl SpoolWorker {
    /// Does what there is to do. Returns when to come again, if not called before.
    pub(crate) fn step(&mut self, buffer: &Buffer) -> Duration {
        let Some(spool) = &buffer.spool else { return Duration::MAX };
        let _not_at_the_end = lock(&buffer.disk_work);
        let now = buffer.clock.now();
        if let Some(failure) = spool.take_failure() {
            tracing::warn!("{failure}; measurements wait in memory only, until it works again");
            self.next_retry = now + RETRY_EVERY;
        }
        buffer.remove_leftovers(spool);
        if spool.is_failing() {
            self.retry(buffer, spool, now);
        } else {
            buffer.prepare_chunks(spool);
            while buffer.seal_to_disk(spool, IN_MEMORY) {
                buffer.remove_leftovers(spool);
                // However much there is to move, what was added meanwhile is not kept waiting.
                self.sync(buffer, spool);
            }
        }
        self.sync(buffer, spool);
        let has_more = self.adopt(buffer, spool, now);
        let mut next = self.next_look;
        if spool.is_synced() {
            next = next.min(self.next_sync);
        }
        if spool.is_failing() {
            next = next.min(self.next_retry);
        }
        if has_more { now } else { next }
    }

    fn sync(&mut self, buffer: &Buffer, spool: &Spool) {
        let now = buffer.clock.now();
        if spool.is_synced() && now >= self.next_sync {
            buffer.sync_and_reuse(spool);
            self.next_sync = now + SYNC_EVERY;
        }
    }

    fn retry(&mut self, buffer: &Buffer, spool: &Spool, now: Duration) {
        if now < self.next_retry {
            return;
        }
        self.next_retry = now + RETRY_EVERY;
        // Our own files may be what fills the disk.
        let wanted = lock(&buffer.queue).pool.release_unused();
        buffer.remove_leftovers(spool);
        // The very thing that failed is tried again, if there is still a need for it.
        let has_more = lock(&buffer.queue).find_to_seal(IN_MEMORY).is_some();
        let works = !has_more || buffer.seal_to_disk(spool, IN_MEMORY);
        let segments = if works { spool.segments.retry(CHUNK_BYTES, wanted) } else { None };
        if let Some(segments) = segments {
            tracing::info!("the spool works again");
            let mut queue = lock(&buffer.queue);
            segments.into_iter().for_each(|segment| queue.pool.add_segment(segment));
            buffer.tell(&queue);
            buffer.signal(&mut queue);
        }
    }

    /// Takes over what processes have left that are no more. Returns whether there is more of it.
    fn adopt(&mut self, buffer: &Buffer, spool: &Spool, now: Duration) -> bool {
        if self.adopted.is_none() && now >= self.next_look {
            spool.recovery.measure();
            buffer.tell(&lock(&buffer.queue));
            match spool.recovery.adopt() {
                Some(Ok(adopted)) => self.adopted = Some(adopted),
                Some(Err(problem)) => {
                    tracing::warn!("{problem}");
                    return true;
                }
                None => {
                    self.next_look = now + LOOK_EVERY;
                    spool.recovery.set_complete();
                }
            }
        }
        let Some(adopted) = &mut self.adopted else { return false };
        for _ in 0..FILES_AT_ONCE {
            match spool.recovery.next_file(adopted) {
                Some(Ok(sealed)) => {
                    let mut queue = lock(&buffer.queue);
                    queue.recover(Batch::from_sealed(sealed));
                    buffer.signal(&mut queue);
                }
                Some(Err(problem)) => tracing::warn!("{problem}"),
                None => {
                    self.adopted = None;
                    break;
                }
            }
        }
        true
    }
}

impl Buffer {
    pub(crate) fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    /// Waits until there is something to do for the spool worker, or until a time.
    pub(crate) fn await_spool_work(&self, until: Duration) {
        let mut queue = lock(&self.queue);
        while !std::mem::take(&mut queue.worker_called) {
            let left = until.saturating_sub(self.clock.now());
            if left.is_zero() {
                return;
            }
            queue = wait(&self.spool_work, queue, Some(left));
        }
    }

    /// Wakes the spool worker, whether or not there is something to do.
    pub(crate) fn wake_spool_worker(&self) {
        lock(&self.queue).worker_called = true;
        self.spool_work.notify_all();
    }

    /// Calls the spool worker if there is something to do.
    pub(super) fn call_spool_worker(&self, queue: &mut Queue) {
        let Some(spool) = self.spool.as_ref().filter(|_| !queue.worker_called) else { return };
        let lacks_chunks = queue.pool.missing() > 0 && queue.room_for_files(spool) > 0;
        let has_more = || queue.find_to_seal(IN_MEMORY).is_some();
        if !queue.pool.leftovers.is_empty() || lacks_chunks || has_more() {
            queue.worker_called = true;
            self.spool_work.notify_all();
        }
    }

    fn remove_leftovers(&self, spool: &Spool) {
        let leftovers = std::mem::take(&mut lock(&self.queue).pool.leftovers);
        let makes_room = !leftovers.segments.is_empty();
        for segment in leftovers.segments {
            spool.segments.remove(segment);
        }
        if makes_room {
            self.tell(&lock(&self.queue));
        }
        for sealed in leftovers.sealed {
            if let Some(told) = spool.sealed.remove(&sealed) {
                tracing::error!("{told}");
            }
        }
    }

    fn prepare_chunks(&self, spool: &Spool) {
        loop {
            let queue = lock(&self.queue);
            if queue.pool.missing() == 0 || queue.room_for_files(spool) == 0 {
                return;
            }
            drop(queue);
            let Some(segment) = spool.segments.create(CHUNK_BYTES) else { return };
            lock(&self.queue).pool.add_segment(segment);
        }
    }

    /// Writes a batch to a file of its own, if there is more in memory than so many bytes.
    pub(super) fn seal_to_disk(&self, spool: &Spool, beyond: usize) -> bool {
        let taken = lock(&self.queue).take_to_seal(beyond);
        let Some((mut batch, file)) = taken else { return false };
        let lines = batch.iter_whole_lines();
        let sealed = spool.sealed.seal(batch.database(), batch.precision(), lines);
        let mut queue = lock(&self.queue);
        queue.sealing -= file;
        let sealed = match sealed {
            SealOutcome::Sealed(sealed) => sealed,
            SealOutcome::TooLong | SealOutcome::Failed => {
                batch.stays = matches!(sealed, SealOutcome::TooLong);
                let has_more = batch.stays;
                queue.ready.due.push_front(batch);
                return has_more;
            }
        };
        let (chunks, files) = batch.set_sealed(sealed);
        queue.pool.recycle_list(chunks);
        queue.pool.release(files);
        queue.ready.put_back(batch, QueueEnd::Back);
        self.signal(&mut queue);
        true
    }

    /// Reads the lines of a batch that has them on disk only. `None` if none of them is there any more, or if it waits again
    /// until the disk works.
    pub(crate) fn load(&self, mut batch: Batch, most_bytes: usize) -> Option<Batch> {
        let (Some(spool), true) = (&self.spool, batch.is_on_disk()) else { return Some(batch) };
        let Some(loaded) = spool.sealed.load(batch.sealed_file()?) else {
            lock(&self.queue).ready.put_back(batch, QueueEnd::Back);
            self.wake_spool_worker();
            return None;
        };
        let was = batch.size();
        batch.set_lines(loaded.bytes, loaded.lines);
        let mut queue = lock(&self.queue);
        queue.correct(batch.sequence, was, batch.size());
        if batch.size() == Size::default() {
            queue.pool.recycle_batch(batch);
            self.call_spool_worker(&mut queue);
            self.tell(&queue);
            return None;
        }
        queue.cut(batch, most_bytes)
    }

    /// Has all that waits on disk, for the end of the process; what is recorded from here on is not.
    pub(crate) fn persist_pending(&self) {
        let Some(spool) = &self.spool else { return };
        let _nothing_is_made = lock(&self.disk_work);
        // Each file that goes makes room for the next.
        lock(&self.queue).pool.clear();
        while self.seal_to_disk(spool, 0) {
            self.remove_leftovers(spool);
        }
        {
            let mut queue = lock(&self.queue);
            for shard in &self.shards {
                let segments = lock(&shard.0).take_segments();
                queue.pool.leftovers.segments.extend(segments);
            }
            queue.pool.clear();
        }
        if spool.is_synced() {
            self.sync_and_reuse(spool);
        }
        self.remove_leftovers(spool);
        spool.release_slot();
    }

    /// Has all that was written survive a loss of power; then files are used again whose lines were copied to others.
    fn sync_and_reuse(&self, spool: &Spool) {
        let retired = std::mem::take(&mut lock(&self.queue).pool.retired);
        let is_synced = spool.segments.sync();
        let pool = &mut lock(&self.queue).pool;
        if is_synced {
            pool.reuse(retired);
        } else {
            pool.retired.extend(retired);
        }
    }

    /// Has what was added so far survive a loss of power, where it is to.
    pub(crate) fn sync(&self) {
        if let Some(spool) = self.spool.as_ref().filter(|s| s.sync_level() == SpoolSync::Always) {
            spool.segments.sync();
        }
    }

    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }
}
