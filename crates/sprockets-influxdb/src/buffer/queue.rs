//! What all threads share under one lock: open lines, closed batches, flushes and counters. The
//! methods here keep these parts consistent.

mod seal;

use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::bounds::Bounds;
use super::chunk::Chunk;
use super::chunk_pool::ChunkPool;
use super::counters::Counters;
use super::flushes::Flushes;
use super::open_batches::OpenBatches;
use super::open_lines::OpenLines;
use super::ready_queue::{Mergeable, ReadyQueue};
use super::size::Size;
use super::types::{Entry, FailureNote, Intake, Limits, Outcome, QueueEnd, SequenceNumber};
use super::waiters::Waiters;
use crate::config::Precision;
use crate::spool::{MAX_LINE_BYTES, Spool};
use crate::stats::DropReason;

/// Batches that are closed under one lock.
const MAX_CLOSED: usize = 10_000;

pub(super) struct Queue {
    pub(super) limits: Limits,
    pub(super) intake: Intake,
    pub(super) open: OpenLines,
    pub(super) pool: ChunkPool,
    pub(super) counters: Counters,
    pub(super) flushes: Flushes,
    pub(super) waiters: Waiters,
    spool: Option<Arc<Spool>>,
    open_batches: OpenBatches,
    ready: ReadyQueue,
    /// The size of closed batches, whether they wait or are being sent.
    batched: Size,
    /// Lines of batches that were taken, to be sent or sealed, and are in memory only.
    taken_unspooled: usize,
    /// The size of files that are being written for batches, in bytes.
    being_sealed: usize,
}

impl Queue {
    pub(super) fn new(limits: Limits, intake: Intake, spool: Option<Arc<Spool>>) -> Self {
        Self {
            intake,
            open: OpenLines::default(),
            pool: ChunkPool::new(spool.clone(), limits.spool_bytes),
            counters: Counters::default(),
            flushes: Flushes::default(),
            waiters: Waiters::new(),
            spool,
            open_batches: OpenBatches::default(),
            ready: ReadyQueue::default(),
            batched: Size::default(),
            taken_unspooled: 0,
            being_sealed: 0,
            limits,
        }
    }

    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds {
            limits: &self.limits,
            spool: self.spool.as_deref(),
            pool: &self.pool,
            used: self.open.granted + self.batched,
            on_disk: self.ready.on_disk(),
            being_sealed: self.being_sealed,
        }
    }

    /// What to grant to a shard that needs this much. `None` if it does not fit.
    pub(super) fn grant(&self, needed: Size) -> Option<Size> {
        self.bounds().grant(needed, self.open.lines_to_trigger(&self.limits))
    }

    /// Whether there are enough open lines to submit them.
    pub(super) fn is_triggered(&self) -> bool {
        self.open.is_triggered(&self.limits)
    }

    /// The number of lines that are neither delivered nor dropped. `unused` was granted to shards,
    /// which have not used it.
    pub(super) fn pending(&self, unused: Size) -> usize {
        (self.open.granted - unused + self.batched).lines
    }

    /// Lines that are in memory only, beside those of the shards.
    pub(super) fn unspooled(&self) -> usize {
        self.open_batches.unspooled() + self.ready.unspooled() + self.taken_unspooled
    }

    /// Lines of open batches that are in memory only.
    pub(super) fn unspooled_open(&self) -> usize {
        self.open_batches.unspooled()
    }

    /// A batch leaves the queue for a time.
    fn note_taken(&mut self, batch: &mut Batch) {
        if self.spool.is_some() && !batch.is_spooled() {
            batch.is_counted_unspooled = true;
            self.taken_unspooled += batch.lines();
        }
    }

    /// A batch that was taken, or a part of it, is back or decided.
    fn note_returned(&mut self, batch: &mut Batch) {
        if std::mem::take(&mut batch.is_counted_unspooled) {
            self.taken_unspooled -= batch.lines();
        }
    }

    /// Whether a thread waits for decisions.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiters.blocked > 0 || self.flushes.has_any()
    }

    /// Whether an add has to wait for room, while none succeeded yet, so that no sender runs: files
    /// of other processes fill the spool. True once.
    pub(super) fn announces_block(&mut self) -> bool {
        let is_first = self.spool.is_some() && !self.open.has_begun();
        is_first && !std::mem::replace(&mut self.waiters.has_announced_block, true)
    }

    /// A new chunk for a line, and the shared name of its database.
    pub(super) fn chunk_for(
        &mut self,
        line: &Entry<'_, impl Fn(&mut Vec<u8>)>,
        is_full_size: bool,
    ) -> (Arc<str>, Chunk) {
        let capacity = self.bounds().chunk_capacity(is_full_size, line.len);
        let database = self.open_batches.database(line.database);
        let chunk = self.pool.chunk(capacity, line.len, &database, line.precision);
        (database, chunk)
    }

    /// Moves the lines of a shard's chunk to an open batch. If they were copied, returns the chunk,
    /// which the caller has to clear.
    pub(super) fn gather(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        chunk: Chunk,
    ) -> Option<Chunk> {
        let limit = self.limits.batch;
        self.open_batches.add(database, precision, chunk, limit, &mut self.pool)
    }

    /// Moves the lines of a chunk to an open batch, for a shard that has too many databases. Copies
    /// them, so that each database takes little memory.
    pub(super) fn gather_small(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        mut chunk: Chunk,
    ) -> Option<Chunk> {
        if chunk.lines() == 0 {
            return Some(chunk);
        }
        let old = if chunk.has_segment() { None } else { chunk.shrink() };
        let copied = self.gather(database, precision, chunk);
        self.pool.recycle(old);
        copied
    }

    /// Closes open batches: they are due, or sampled out. With many databases it closes a part, so
    /// that it does not take long. If some shards could not be locked, `unused` was granted to the
    /// others. Returns whether there are more.
    pub(super) fn close_batches(&mut self, unused: Option<Size>, now: Duration) -> bool {
        let (batches, left) = self.open_batches.take(MAX_CLOSED);
        let has_more = left.lines > 0;
        let closed = batches.iter().fold(Size::default(), |sum, batch| sum + batch.size());
        let held = unused.map_or(left, |unused| self.open.granted - unused - closed);
        let mut mergeable = self.ready.mergeable(&batches, self.flushes.newest_awaited());
        let mut kept = false;
        for mut batch in batches {
            let lines = batch.lines();
            if fastrand::f64() >= self.limits.sample_probability {
                self.counters.sampled_out += lines as u64;
                self.flushes.sample_out(batch.database(), lines);
                self.pool.recycle_batch(batch);
                continue;
            }
            kept = true;
            self.batched += batch.size();
            if self.ready.is_long() {
                let (chunks, list) = batch.shrink();
                self.pool.recycle(chunks);
                self.pool.recycle_storage(list, None);
            }
            if let Some(mut batch) = self.merge(batch, &mergeable) {
                batch.sequence = self.flushes.number(batch.shared_database(), lines);
                self.ready.push(batch, &mut mergeable);
            }
        }
        self.open.clear(kept, held, has_more, now);
        has_more
    }

    /// Adds the lines of a batch to one that waits, so that a few lines at a time do not become a
    /// queue of tiny batches during an outage. Returns the batch if there is no such batch.
    fn merge(&mut self, batch: Batch, mergeable: &Mergeable) -> Option<Batch> {
        let found = self.ready.find_mergeable(mergeable, &batch, self.limits.batch);
        let Some(waiting) = found else { return Some(batch) };
        self.flushes.extend(waiting.sequence, waiting.shared_database(), batch.lines());
        let (mut chunks, files) = batch.into_storage();
        let mut kept = 0;
        for index in 0..chunks.len() {
            if let Some(mut copied) = waiting.push_chunk(std::mem::take(&mut chunks[index])) {
                self.pool.retire(&mut copied);
                chunks[kept] = copied;
                kept += 1;
            }
        }
        chunks.truncate(kept);
        self.pool.recycle_storage(chunks, files);
        None
    }

    /// Takes the first batch that `may_go`, cut down to the limits and to `max_bytes` of it. The
    /// lines of a batch on disk are not loaded.
    pub(super) fn take(
        &mut self,
        max_bytes: impl Fn(&Batch) -> usize,
        may_go: impl Fn(&Batch) -> bool,
    ) -> Option<Batch> {
        let is_readable = self.spool.as_ref().is_some_and(|spool| !spool.health().is_unreadable());
        let batch = self.ready.take(is_readable, may_go)?;
        let max_bytes = max_bytes(&batch);
        let mut batch = if batch.is_on_disk() { batch } else { self.cut(batch, max_bytes) };
        self.note_taken(&mut batch);
        Some(batch)
    }

    /// Returns the first part of a batch that is within the limits. The rest waits again, in parts
    /// that are as large as possible: the limits may be higher when their turn comes.
    pub(super) fn cut(&mut self, mut batch: Batch, max_bytes: usize) -> Batch {
        let bytes = self.limits.batch.bytes.min(max_bytes);
        let limit = Size { bytes, ..self.limits.batch };
        while !limit.covers(batch.size()) {
            let (head, tail) = batch.split();
            batch = head;
            let Some(tail) = tail else { break };
            self.ready.put_back(tail, QueueEnd::Front);
        }
        batch
    }

    /// Puts back a batch, or a part of one. If a sealed file has its lines, they leave memory.
    pub(super) fn put_back(&mut self, mut batch: Batch, end: QueueEnd) {
        self.note_returned(&mut batch);
        let chunks = batch.unload();
        self.pool.recycle(chunks);
        self.ready.put_back(batch, end);
    }

    /// Adds a batch of a dead process.
    pub(super) fn recover(&mut self, mut batch: Batch) {
        batch.sequence = SequenceNumber::RECOVERED;
        self.counters.recovered += batch.lines() as u64;
        self.batched += batch.size();
        self.ready.put_back(batch, QueueEnd::Back);
    }

    /// Counts the difference between the expected and the actual size of a batch that was loaded.
    pub(super) fn correct(&mut self, sequence: SequenceNumber, expected: Size, actual: Size) {
        self.batched = self.batched + actual - expected;
        // The name of the file says fewer lines than it has.
        self.counters.recovered += actual.lines.saturating_sub(expected.lines) as u64;
        let lost = expected.lines.saturating_sub(actual.lines);
        if lost > 0 {
            self.count_dropped(sequence, DropReason::Damaged, lost);
        }
    }

    /// Counts what became of a batch, or of a part of one, and recycles it.
    pub(super) fn settle(&mut self, mut batch: Batch, outcome: Outcome) {
        self.note_returned(&mut batch);
        self.batched -= batch.size();
        self.counters.settle(outcome);
        self.flushes.decide(batch.sequence, batch.lines(), |report| {
            report.delivered += outcome.delivered as u64;
            report.rejected += outcome.rejected as u64;
        });
        self.pool.recycle_batch(batch);
    }

    /// Drops the oldest lines until `needed` fits: first batches on disk, each as a whole, then
    /// lines in memory. Returns false if that is not enough.
    pub(super) fn drop_oldest(&mut self, needed: Size) -> bool {
        while !self.bounds().fits(needed) {
            // The memory for a line that is too long for a file does not depend on those on disk.
            let makes_room = needed.bytes <= MAX_LINE_BYTES;
            let on_disk = if makes_room { self.ready.take_oldest_on_disk() } else { None };
            if let Some(oldest) = on_disk {
                let (sequence, size) = (oldest.sequence, oldest.size());
                self.pool.recycle_batch(oldest);
                self.batched -= size;
                self.count_dropped(sequence, DropReason::Oldest, size.lines);
                continue;
            }
            let Some(oldest) = self.ready.oldest() else { return false };
            let sequence = oldest.sequence;
            let (size, emptied) = oldest.drop_first_line();
            if oldest.lines() == 0 {
                if let Some(emptied) = self.ready.take_oldest() {
                    self.pool.recycle_batch(emptied);
                }
            }
            self.pool.recycle(emptied);
            self.batched -= size;
            self.count_dropped(sequence, DropReason::Oldest, size.lines);
        }
        true
    }

    /// Drops all batches that wait.
    pub(super) fn drop_all(&mut self, reason: DropReason) {
        while let Some(batch) =
            self.ready.take_oldest_on_disk().or_else(|| self.ready.take_oldest())
        {
            let (sequence, size) = (batch.sequence, batch.size());
            self.pool.recycle_batch(batch);
            self.batched -= size;
            self.count_dropped(sequence, reason, size.lines);
        }
    }

    /// Keeps a failure for the counters, and for those who wait for the lines that it is about.
    pub(super) fn note_failure(&mut self, failure: FailureNote<'_>) {
        self.flushes.fail(&failure);
        self.counters.note_error(failure.reason);
    }

    fn count_dropped(&mut self, sequence: SequenceNumber, reason: DropReason, lines: usize) {
        self.counters.dropped.add(reason, lines as u64);
        self.flushes.decide(sequence, lines, |report| report.dropped += lines as u64);
    }
}
