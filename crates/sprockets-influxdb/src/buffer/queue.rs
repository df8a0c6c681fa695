//! What is shared by all threads: batches that are gathered, due, or on their way, the bounds, and the counters.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::chunk::Chunk;
use super::chunk_pool::{CHUNK_BYTES, ChunkPool, SMALL_CHUNK_BYTES};
use super::ready_queue::{QueueEnd, ReadyQueue};
use super::spool_worker::IN_MEMORY;
use super::{Batch, Limits, Size};
use crate::config::Precision;
use crate::spool::{OVERHEAD, SealedFiles, Segments, Spool};
use crate::stats::{DropReason, Dropped, Report};

/// The place of a batch among all that were sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceNumber(u64);

impl SequenceNumber {
    /// That of what other processes recorded: no flush of this one waits for it.
    const RECOVERED: Self = Self(u64::MAX);
}

/// Whether measurements are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    Disabled,
    Closed,
}

/// What became of the lines of a batch, or of a part of one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) delivered: usize,
    pub(crate) rejected: usize,
}

#[derive(Default)]
pub(super) struct Counters {
    /// Taken over from processes that are no more.
    pub(super) recovered: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) sampled_out: u64,
    pub(super) dropped: Dropped,
    pub(super) batches: u64,
    pub(super) retries: u64,
    pub(super) bytes_sent: u64,
    pub(super) last_error: Option<String>,
}

/// A `flush` that waits for every batch up to one.
struct Flush {
    id: u64,
    last: SequenceNumber,
    report: Report,
}

pub(super) struct Queue {
    pub(super) limits: Limits,
    pub(super) intake: Intake,
    pub(super) counters: Counters,
    /// Counts signals to the senders, so that none is missed between a look and a wait.
    pub(super) signals: u64,
    /// Senders that wait for a signal, and until when the last of them does at most.
    pub(super) listeners: usize,
    pub(super) listens_until: Duration,
    /// Threads that wait for room.
    pub(super) blocked: usize,
    /// Open or granted to shards.
    pub(super) granted: Size,
    /// In sealed batches, whether due or on their way.
    pub(super) batched: Size,
    /// When the oldest open line was added.
    pub(super) first_open: Option<Duration>,
    /// What is open is due now, whatever its age.
    pub(super) submit: bool,
    gathering: HashMap<Arc<str>, Vec<Batch>>,
    pub(super) ready: ReadyQueue,
    /// What files take that are being written for batches.
    pub(super) sealing: usize,
    pub(super) pool: ChunkPool,
    /// Set while there is something to do for who may wait for the disk, and not yet said.
    pub(super) worker_called: bool,
    newest: SequenceNumber,
    undecided: BTreeMap<SequenceNumber, usize>,
    flushes: Vec<Flush>,
    flushes_begun: u64,
}

impl Queue {
    pub(super) fn new(limits: Limits, intake: Intake, spool: Option<Arc<Spool>>) -> Self {
        let spool_bytes = limits.spool_bytes;
        Self {
            limits,
            intake,
            counters: Counters::default(),
            signals: 0,
            listeners: 0,
            listens_until: Duration::MAX,
            blocked: 0,
            granted: Size::default(),
            batched: Size::default(),
            first_open: None,
            submit: false,
            gathering: HashMap::new(),
            ready: ReadyQueue::default(),
            sealing: 0,
            pool: ChunkPool::new(spool, spool_bytes),
            worker_called: false,
            newest: SequenceNumber::default(),
            undecided: BTreeMap::new(),
            flushes: Vec::new(),
            flushes_begun: 0,
        }
    }

    /// What the bounds still allow: those of the spool, or while there is none that works those of the buffer.
    pub(super) fn room(&self) -> Size {
        let used = self.granted + self.batched;
        match &self.pool.spool {
            Some(spool) if !spool.is_failing() => {
                let bytes = self.room_for_files(spool) + self.pool.ready() * CHUNK_BYTES;
                Size { lines: bytes / OVERHEAD, bytes }
            }
            Some(_) => self.limits.buffer - (used - self.ready.on_disk()),
            None => self.limits.buffer - used,
        }
    }

    /// What files may take that are made for lines to come.
    pub(super) fn room_for_files(&self, spool: &Spool) -> usize {
        let batch = self.limits.batch;
        // Who adds and the spool worker may each be about to make one.
        let mut kept_free = 2 * Segments::file_size(CHUNK_BYTES);
        // Where batches move to files of their own, each is there twice for a moment.
        if self.limits.spool_bytes > IN_MEMORY {
            let file = SealedFiles::max_file_size(batch.lines, batch.bytes);
            kept_free += file.min(self.limits.spool_bytes / 4);
        }
        self.room_on_disk(spool).saturating_sub(kept_free)
    }

    /// What files may take at all.
    fn room_on_disk(&self, spool: &Spool) -> usize {
        let most = self.limits.spool_bytes as u64;
        let others = spool.recovery.used_by_others().min(most);
        let on_disk = self.ready.on_disk();
        let own = spool.segments.bytes() + on_disk.bytes + OVERHEAD * on_disk.lines + self.sealing;
        ((most - others) as usize).saturating_sub(own)
    }

    /// Whether a line is within the bounds that goes into another chunk.
    pub(super) fn takes(&self, needed: Size) -> bool {
        match &self.pool.spool {
            Some(spool) if !spool.is_failing() => {
                needed.bytes <= CHUNK_BYTES && self.pool.ready() > 0
                    || self.room_for_files(spool) >= needed.bytes.max(OVERHEAD)
            }
            _ => self.room().covers(needed),
        }
    }

    /// Whether the spool's bound has no room for another chunk's file.
    pub(super) fn lacks_file(&self, needed: Size) -> bool {
        let has_disk = self.pool.spool.as_ref().is_some_and(|spool| !spool.is_failing());
        has_disk && !self.takes(needed)
    }

    /// The capacity of another chunk: small for a database that is one of many, if there is room for its file.
    pub(super) fn chunk_capacity(&self, is_full_size: bool) -> usize {
        let has_file = self.pool.spool.as_ref().is_none_or(|spool| {
            self.pool.has_small() || self.room_for_files(spool) > 0 || spool.is_failing()
        });
        if is_full_size || !has_file { CHUNK_BYTES } else { SMALL_CHUNK_BYTES }
    }

    /// Where the oldest batch is that is to be written to disk, if there is more in memory than so many bytes. What has
    /// files of its own already may stay there, if the bound leaves no room for another.
    pub(super) fn find_to_seal(&self, beyond: usize) -> Option<usize> {
        let room = self.room_on_disk(self.pool.spool.as_ref()?);
        let has_room =
            |batch: &Batch| SealedFiles::max_file_size(batch.lines(), batch.len()) <= room;
        self.ready.find_beyond(beyond, |batch| !batch.is_spooled() || has_room(batch))
    }

    /// Takes that batch; with what its file takes, which counts as [`sealing`](Self::sealing) from here on.
    pub(super) fn take_to_seal(&mut self, beyond: usize) -> Option<(Batch, usize)> {
        let index = self.find_to_seal(beyond)?;
        let batch = self.ready.due.remove(index)?;
        let file = SealedFiles::max_file_size(batch.lines(), batch.len());
        self.sealing += file;
        Some((batch, file))
    }

    /// What to grant a shard that needs `needed`: a part of what is left before the bounds or the trigger, so that
    /// other shards get theirs.
    pub(super) fn grant(&self, needed: Size) -> Option<Size> {
        let room = self.room();
        let mut lines = room.lines;
        if !self.submit {
            lines = lines.min(self.limits.trigger_size.saturating_sub(self.granted.lines));
        }
        if lines < needed.lines || !self.takes(needed) {
            return None;
        }
        let lines = (lines / 8).clamp(lines.min(16), 256);
        let bytes = (room.bytes / 8).clamp(needed.bytes, needed.bytes.max(CHUNK_BYTES));
        Some(Size { lines, bytes })
    }

    /// Whether enough is open to submit it.
    pub(super) fn is_triggered(&self) -> bool {
        !self.submit
            && (self.granted.lines >= self.limits.trigger_size
                || self.granted.bytes >= self.limits.batch.bytes)
    }

    /// When what is open is due by its age.
    pub(super) fn due_at(&self) -> Option<Duration> {
        if self.submit {
            return Some(Duration::ZERO);
        }
        self.first_open.map(|first| first.saturating_add(self.limits.submission_interval))
    }

    /// The name of a database as it is shared by all that refer to it.
    pub(super) fn database(&mut self, name: &[u8]) -> Arc<str> {
        let name = String::from_utf8_lossy(name);
        if let Some((name, _)) = self.gathering.get_key_value(&*name) {
            return name.clone();
        }
        let name: Arc<str> = name.into();
        self.gathering.insert(name.clone(), Vec::new());
        name
    }

    /// Takes in a shard's chunk. It is given back, to be cleared, where it could be copied.
    pub(super) fn gather(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        chunk: Chunk,
    ) -> Option<Chunk> {
        let limit = self.limits.batch;
        let size = Size { lines: chunk.lines(), bytes: chunk.bytes().len() };
        let batches = self.gathering.entry(database.clone()).or_default();
        match batches.last_mut() {
            Some(last) if last.precision() == precision && limit.covers(last.size() + size) => {
                last.push_chunk(chunk)
            }
            _ => {
                let mut batch = Batch::with_storage(database.clone(), precision, self.pool.list());
                let back = batch.push_chunk(chunk);
                batches.push(batch);
                back
            }
        }
    }

    /// Seals all that was gathered into batches that are due, or samples them out. Returns whether some were sampled
    /// out, which leaves room.
    pub(super) fn close_batches(&mut self) -> bool {
        let sampled_out = self.counters.sampled_out;
        let mut closed: Vec<Batch> = Vec::new();
        for batches in self.gathering.values_mut() {
            closed.append(batches);
        }
        // A name that is not in use any more is forgotten in time.
        if self.gathering.len() > 1_000 {
            self.gathering.clear();
        }
        for batch in closed {
            let lines = batch.lines();
            if fastrand::f64() >= self.limits.sample_probability {
                self.counters.sampled_out += lines as u64;
                self.pool.recycle_batch(batch);
                continue;
            }
            self.batched += batch.size();
            if let Some(mut batch) = self.merge(batch) {
                self.newest = SequenceNumber(self.newest.0 + 1);
                self.undecided.insert(self.newest, lines);
                batch.sequence = self.newest;
                self.ready.due.push_back(batch);
            }
        }
        self.granted = Size::default();
        self.first_open = None;
        self.submit = false;
        self.counters.sampled_out > sampled_out
    }

    /// Adds a batch to one that waits for the same database and has room, so that a trickle during an outage does not
    /// become a queue of tiny batches. Batches that a flush waits for stay as they are.
    fn merge(&mut self, batch: Batch) -> Option<Batch> {
        let limit = self.limits.batch;
        let flushed = self.flushes.iter().map(|flush| flush.last).max();
        let waiting = self.ready.due.iter_mut().rev().take(16).find(|waiting| {
            waiting.database() == batch.database()
                && waiting.precision() == batch.precision()
                && waiting.retry.requests == 0
                && waiting.takes_in()
                && flushed.is_none_or(|flushed| waiting.sequence > flushed)
                && limit.covers(waiting.size() + batch.size())
        });
        let Some(waiting) = waiting else { return Some(batch) };
        *self.undecided.entry(waiting.sequence).or_default() += batch.lines();
        let (mut chunks, _) = batch.into_storage();
        let mut kept = 0;
        for index in 0..chunks.len() {
            if let Some(mut copied) = waiting.push_chunk(std::mem::take(&mut chunks[index])) {
                self.pool.retire(&mut copied);
                chunks[kept] = copied;
                kept += 1;
            }
        }
        chunks.truncate(kept);
        self.pool.recycle_list(chunks);
        None
    }

    /// Takes the first due batch of a database that `is_open`, cut down to the limits and to `most_bytes`.
    pub(super) fn take(
        &mut self,
        most_bytes: usize,
        is_open: impl Fn(&str) -> bool,
    ) -> Option<Batch> {
        let is_readable = self.pool.spool.as_ref().is_some_and(|spool| !spool.is_unreadable());
        let batch = self.ready.take(is_readable, is_open)?;
        if batch.is_on_disk() { Some(batch) } else { self.cut(batch, most_bytes) }
    }

    /// The first part of a batch that the limits allow; the others wait again.
    pub(super) fn cut(&mut self, batch: Batch, most_bytes: usize) -> Option<Batch> {
        let bytes = self.limits.batch.bytes.min(most_bytes);
        let mut parts = batch.split_to(Size { bytes, ..self.limits.batch });
        let rest = parts.split_off(1.min(parts.len()));
        for part in rest.into_iter().rev() {
            self.ready.put_back(part, QueueEnd::Front);
        }
        parts.pop()
    }

    /// Puts back a batch, or a part of one. What can wait on disk does.
    pub(super) fn put_back(&mut self, mut batch: Batch, end: QueueEnd) {
        let chunks = batch.unload();
        self.pool.recycle(chunks);
        self.ready.put_back(batch, end);
    }

    /// Counts what a process that is no more has left.
    pub(super) fn recover(&mut self, mut batch: Batch) {
        batch.sequence = SequenceNumber::RECOVERED;
        self.counters.recovered += batch.lines() as u64;
        self.batched += batch.size();
        self.ready.put_back(batch, QueueEnd::Back);
    }

    /// Counts that a batch from disk has other lines than its file had.
    pub(super) fn correct(&mut self, sequence: SequenceNumber, was: Size, is: Size) {
        self.batched = self.batched + is - was;
        // A name that tells less than its file has.
        self.counters.recovered += is.lines.saturating_sub(was.lines) as u64;
        let lost = was.lines.saturating_sub(is.lines);
        if lost > 0 {
            self.counters.dropped.add(DropReason::Damaged, lost as u64);
            self.decide(sequence, lost, |report| report.dropped += lost as u64);
        }
    }

    /// Counts what became of so much of a batch.
    pub(super) fn settle(&mut self, sequence: SequenceNumber, size: Size, outcome: Outcome) {
        self.batched -= size;
        self.counters.delivered += outcome.delivered as u64;
        self.counters.rejected += outcome.rejected as u64;
        self.decide(sequence, size.lines, |report| {
            report.delivered += outcome.delivered as u64;
            report.rejected += outcome.rejected as u64;
        });
    }

    /// Drops the oldest lines that wait until `needed` fits: of what is on disk a batch at a time. Returns false if that
    /// cannot be.
    pub(super) fn drop_oldest(&mut self, needed: Size) -> bool {
        while !self.takes(needed) {
            if let Some(oldest) = self.ready.take_oldest_on_disk() {
                let (sequence, size) = (oldest.sequence, oldest.size());
                self.pool.recycle_batch(oldest);
                self.dropped(sequence, size);
                continue;
            }
            let Some(oldest) = self.ready.oldest() else { return false };
            let sequence = oldest.sequence;
            let (dropped, emptied) = oldest.drop_first_line();
            if oldest.lines() == 0 {
                if let Some(emptied) = self.ready.due.pop_front() {
                    self.pool.recycle_batch(emptied);
                }
            }
            self.pool.recycle(emptied);
            self.dropped(sequence, dropped);
        }
        true
    }

    fn dropped(&mut self, sequence: SequenceNumber, size: Size) {
        self.batched -= size;
        self.counters.dropped.add(DropReason::Oldest, size.lines as u64);
        self.decide(sequence, size.lines, |report| report.dropped += size.lines as u64);
    }

    fn decide(&mut self, sequence: SequenceNumber, lines: usize, note: impl Fn(&mut Report)) {
        if let Some(undecided) = self.undecided.get_mut(&sequence) {
            *undecided = undecided.saturating_sub(lines);
            if *undecided == 0 {
                self.undecided.remove(&sequence);
            }
        }
        for flush in self.flushes.iter_mut().filter(|flush| flush.last >= sequence) {
            note(&mut flush.report);
        }
    }

    /// Registers a flush of all batches sealed so far; `sampled_out` of what it covers were just sampled out.
    pub(super) fn begin_flush(&mut self, sampled_out: u64) -> u64 {
        self.flushes_begun += 1;
        let report = Report { sampled_out, ..Report::default() };
        self.flushes.push(Flush { id: self.flushes_begun, last: self.newest, report });
        self.flushes_begun
    }

    /// Whether a thread waits for decisions.
    pub(super) fn is_awaited(&self) -> bool {
        self.blocked > 0 || !self.flushes.is_empty()
    }

    pub(super) fn is_flushed(&self, id: u64) -> bool {
        self.flushes
            .iter()
            .find(|flush| flush.id == id)
            .is_none_or(|flush| self.undecided.range(..=flush.last).next().is_none())
    }

    pub(super) fn end_flush(&mut self, id: u64) -> Report {
        let Some(index) = self.flushes.iter().position(|flush| flush.id == id) else {
            return Report::default();
        };
        let mut flush = self.flushes.swap_remove(index);
        let pending: usize = self.undecided.range(..=flush.last).map(|(_, lines)| lines).sum();
        flush.report.pending = pending as u64;
        flush.report
    }
}
