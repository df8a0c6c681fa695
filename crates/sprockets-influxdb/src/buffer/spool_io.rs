//! Disk I/O of the buffer, never under the lock of the queue or of a shard:
//!
//! - [`load`](Buffer::load) runs on a sender's thread.
//! - [`sync`](Buffer::sync) and [`persist_pending`](Buffer::persist_pending) run on a thread that a
//!   flush or shutdown starts, and waits for until its deadline.
//! - [`check_disk`](Buffer::check_disk) runs on any thread, before it takes a lock.
//! - The other functions run on the spool worker's thread, and in `persist_pending`.
//!
//! One operation is elsewhere: in `ChunkPool::chunk` an adding thread creates a segment, under both
//! locks, if the spool worker has not prepared one in time.

use std::cell::Cell;
use std::sync::Arc;

use super::Buffer;
use super::batch::Batch;
use super::size::Size;
use super::types::QueueEnd;
use crate::config::SpoolSync;
use crate::printable::plural;
use crate::spool::{Losses, SealOutcome, Spool};
use crate::sync::{lock, per_thread};

impl Buffer {
    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }

    pub(crate) fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    /// Prepares a thread that may write to segments, when it first does. Has to be called without a
    /// lock. If the disk was not used for a while, checks that it answers: a thread that writes to
    /// a frozen disk waits in the kernel, with its locks, until it is thawed.
    pub(super) fn check_disk(&self) {
        per_thread! {
            static IS_PREPARED: Cell<bool> = Cell::new(false);
        }
        let Some(spool) = &self.spool else { return };
        if !IS_PREPARED.with(|is_prepared| is_prepared.replace(true)) {
            spool.prepare_thread();
        }
        if spool.health().is_unchecked() {
            spool.check();
            // It checks again while the disk is used.
            self.wake_spool_worker();
        }
    }

    /// The same before files are made or lines are moved under the lock of the queue. Always
    /// prepares the thread, which may have changed its signal mask. Always looks whether the disk
    /// is frozen: a thread that waits for it with that lock holds up all others.
    pub(super) fn check_disk_now(&self) {
        let Some(spool) = &self.spool else { return };
        spool.prepare_thread();
        self.check_disk();
        let was_suspended = spool.health().is_suspended();
        if spool.check_frozen() && !was_suspended {
            self.wake_spool_worker();
        }
    }

    /// Requires a check of the disk before it is used again. Without grants, each add is seen.
    pub(super) fn expire_check(&self, spool: &Spool) {
        spool.health().set_unchecked(true);
        self.reclaim(&mut lock(&self.queue));
    }

    /// A number that changes when the disk is used.
    pub(super) fn activity(&self) -> u64 {
        let stats = self.stats();
        stats.added + stats.delivered + stats.rejected + stats.dropped.total()
    }

    /// Whether a flush waits for the disk.
    pub(crate) fn syncs_at_flush(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.sync_level() == SpoolSync::Always)
    }

    /// Reads the lines of a batch that has them on disk only. Returns `None` if none of them is
    /// left, or if the batch waits again because the disk does not work.
    pub(crate) fn load(&self, mut batch: Batch, max_bytes: usize) -> Option<Batch> {
        let (Some(spool), true) = (&self.spool, batch.is_on_disk()) else { return Some(batch) };
        let Some(loaded) = spool.sealed.load(batch.sealed_file()?) else {
            lock(&self.queue).put_back(batch, QueueEnd::Back);
            self.wake_spool_worker();
            return None;
        };
        let expected = batch.size();
        batch.set_lines(loaded.bytes, loaded.lines);
        let mut queue = lock(&self.queue);
        queue.correct(batch.sequence, expected, batch.size());
        if batch.size() == Size::default() {
            queue.pool.recycle_batch(batch);
            self.call_spool_worker(&mut queue);
            self.notify_decided(&queue);
            return None;
        }
        Some(queue.cut(batch, max_bytes))
    }

    /// In the sync level `always`, makes everything that was added so far survive a loss of
    /// power.
    pub(crate) fn sync(&self) {
        if let Some(spool) = self.spool.as_ref().filter(|s| s.sync_level() == SpoolSync::Always) {
            spool.segments.sync();
        }
    }

    /// Writes everything that is pending to disk, at shutdown. Later additions stay in memory.
    pub(crate) fn persist_pending(&self) {
        let Some(spool) = &self.spool else { return };
        let _spool_worker_is_idle = lock(&self.disk_work);
        // Those for which a shutdown had no time.
        self.check_disk_now();
        while self.close_batches(&mut lock(&self.queue)) {}
        // Each file that is removed makes room for the next one.
        lock(&self.queue).pool.close();
        while self.seal_to_disk(spool, 0) {
            self.remove_leftovers(spool);
        }
        {
            let mut queue = lock(&self.queue);
            for mut open in self.lock_shards() {
                queue.pool.give_up(open.take_segments());
            }
            queue.pool.close();
        }
        if spool.is_synced() {
            self.sync_and_reuse(spool);
        }
        self.remove_leftovers(spool);
        spool.release_slot();
    }

    /// Seals the oldest batch, if batches in memory take more than `max_bytes`. Returns whether
    /// there may be more to seal.
    pub(super) fn seal_to_disk(&self, spool: &Spool, max_bytes: usize) -> bool {
        let taken = lock(&self.queue).begin_seal(max_bytes);
        let Some(sealing) = taken else { return false };
        let batch = &sealing.batch;
        let lines = batch.iter_lines_with_ends();
        let outcome = spool.sealed.seal(batch.database(), batch.precision(), lines);
        let mut queue = lock(&self.queue);
        match outcome {
            SealOutcome::Sealed(sealed) => {
                queue.end_seal(sealing, sealed);
                self.signal(&mut queue);
                true
            }
            SealOutcome::TooLong => {
                queue.cancel_seal(sealing, true);
                true
            }
            SealOutcome::NoRoom | SealOutcome::Failed => {
                queue.cancel_seal(sealing, false);
                false
            }
        }
    }

    /// Writes a batch to segments that is in memory only: it was added while the disk failed, or
    /// another program removed its files. It stays in memory as well. Returns whether there may be
    /// more.
    pub(super) fn write_unspooled(&self, spool: &Spool) -> bool {
        let taken = lock(&self.queue).take_unspooled();
        let Some(mut batch) = taken else { return false };
        let lost = batch.write_segments(|bytes| spool.segments.create(bytes));
        let is_written = batch.is_spooled();
        let mut queue = lock(&self.queue);
        queue.pool.give_up(lost);
        queue.put_back(batch, QueueEnd::Front);
        self.signal(&mut queue);
        is_written
    }

    /// Closes the open batches if lines of theirs are in memory only, so that they are written.
    pub(super) fn close_unspooled(&self) {
        let mut queue = lock(&self.queue);
        let in_shards: usize = self.lock_shards().map(|open| open.unspooled()).sum();
        if in_shards + queue.unspooled_open() > 0 {
            self.close_batches(&mut queue);
        }
    }

    /// Finds files that another program removed or cut. Their lines in memory are to be written to
    /// new ones. Lines that were on disk only are dropped as damaged.
    pub(super) fn look_for_losses(&self, spool: &Spool, was_suspended: bool) {
        if was_suspended {
            spool.segments.acknowledge_losses();
        }
        let losses = spool.segments.find_losses();
        if was_suspended || losses != Losses::default() {
            let mut queue = lock(&self.queue);
            self.lock_shards().for_each(|mut open| open.end_lost_chunks());
            queue.pool.give_up_lost();
            drop(queue);
            self.close_unspooled();
        }
        let sealed = lock(&self.queue).sealed_paths();
        let gone = spool.sealed.find_removed(sealed);
        let lines = lock(&self.queue).drop_removed(&gone);
        if losses.removed > 0 {
            tracing::warn!(
                "another program removed or cut {} of the spool: their measurements are written to \
                 new files",
                plural(losses.removed as u64, "file", "files"),
            );
        }
        if lines > 0 {
            tracing::error!(
                "another program removed {} of the spool: {} lost",
                plural(gone.len() as u64, "file", "files"),
                plural(lines as u64, "measurement is", "measurements are"),
            );
        }
        if lines > 0 {
            self.notify_decided(&lock(&self.queue));
        }
    }

    /// Removes files that are no longer needed.
    pub(super) fn remove_leftovers(&self, spool: &Spool) {
        let leftovers = lock(&self.queue).pool.take_leftovers();
        let makes_room = !leftovers.segments.is_empty();
        for segment in leftovers.segments {
            spool.segments.remove(segment);
        }
        if makes_room {
            self.notify_decided(&lock(&self.queue));
        }
        for sealed in leftovers.sealed {
            if let Some(message) = spool.sealed.remove(&sealed) {
                tracing::error!("{message}");
            }
        }
    }

    /// Makes everything that was written survive a loss of power. After that, segments whose lines
    /// were copied are used again.
    pub(super) fn sync_and_reuse(&self, spool: &Spool) {
        let retired = lock(&self.queue).pool.take_retired();
        let is_synced = spool.segments.sync();
        lock(&self.queue).pool.end_sync(retired, is_synced);
    }
}
