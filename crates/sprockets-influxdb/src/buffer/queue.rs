//! What is shared by all threads: batches that are gathered, due, or on their way, the bounds, and the books.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::chunk::Chunk;
use super::{Amount, Batch, Limits};
use crate::config::Precision;
use crate::stats::{DropReason, Dropped, Report};

/// Chunks of this size are used again. It is a compromise: small enough that many databases and threads cost little,
/// large enough that asking for the next one is rare.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Unused chunks that are kept: at most 4 MiB.
const SPARE_CHUNKS: usize = 64;

/// Unused lists of chunks that are kept.
const SPARE_LISTS: usize = 8;

/// The place of a batch among all that were sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(u64);

/// Whether measurements are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
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
pub(super) struct Books {
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
    last: Order,
    report: Report,
}

pub(super) struct Queue {
    pub(super) limits: Limits,
    pub(super) door: Door,
    pub(super) books: Books,
    /// Counts signals to the senders, so that none is missed between a look and a wait.
    pub(super) signals: u64,
    /// Senders that wait for a signal, and until when the last of them does at most.
    pub(super) listeners: usize,
    pub(super) listens_until: Duration,
    /// Threads that wait for room.
    pub(super) blocked: usize,
    /// Open or granted to shards.
    pub(super) granted: Amount,
    /// In sealed batches, whether due or on their way.
    pub(super) sealed: Amount,
    /// When the oldest open line was added.
    pub(super) first_open: Option<Duration>,
    /// What is open is due now, whatever its age.
    pub(super) submit: bool,
    gathering: HashMap<Arc<str>, Vec<Batch>>,
    due: VecDeque<Batch>,
    spare: Vec<Chunk>,
    /// Empty lists of chunks, so that a new batch need not allocate one.
    spare_lists: Vec<Vec<Chunk>>,
    newest: Order,
    undecided: BTreeMap<Order, usize>,
    flushes: Vec<Flush>,
    flushes_begun: u64,
}

impl Queue {
    pub(super) fn new(limits: Limits, door: Door) -> Self {
        Self {
            limits,
            door,
            books: Books::default(),
            signals: 0,
            listeners: 0,
            listens_until: Duration::MAX,
            blocked: 0,
            granted: Amount::default(),
            sealed: Amount::default(),
            first_open: None,
            submit: false,
            gathering: HashMap::new(),
            due: VecDeque::new(),
            spare: Vec::new(),
            spare_lists: Vec::new(),
            newest: Order::default(),
            undecided: BTreeMap::new(),
            flushes: Vec::new(),
            flushes_begun: 0,
        }
    }

    /// What the buffer's bounds still allow.
    pub(super) fn room(&self) -> Amount {
        self.limits.buffer - self.granted - self.sealed
    }

    /// What to grant a shard that needs `needed`: a part of what is left before the bounds or the trigger, so that
    /// other shards get theirs.
    pub(super) fn grant(&self, needed: Amount) -> Option<Amount> {
        let room = self.room();
        let mut lines = room.lines;
        if !self.submit {
            lines = lines.min(self.limits.trigger_size.saturating_sub(self.granted.lines));
        }
        if lines < needed.lines || room.bytes < needed.bytes {
            return None;
        }
        let lines = (lines / 8).clamp(lines.min(16), 256);
        let bytes = (room.bytes / 8).clamp(needed.bytes, needed.bytes.max(CHUNK_BYTES));
        Some(Amount { lines, bytes })
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

    /// A chunk of that capacity, or of the one `needed` if that is more.
    pub(super) fn fresh_chunk(&mut self, capacity: usize, needed: usize) -> Chunk {
        let capacity = capacity.max(needed);
        let spare = if capacity == CHUNK_BYTES { self.spare.pop() } else { None };
        spare.unwrap_or_else(|| Chunk::with_capacity(capacity))
    }

    pub(super) fn recycle(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        for mut chunk in chunks {
            if chunk.capacity() == CHUNK_BYTES && self.spare.len() < SPARE_CHUNKS {
                chunk.clear();
                self.spare.push(chunk);
            }
        }
    }

    /// Keeps the storage of a batch that is done with.
    pub(super) fn recycle_batch(&mut self, batch: Batch) {
        self.recycle_list(batch.into_chunks());
    }

    fn recycle_list(&mut self, mut chunks: Vec<Chunk>) {
        self.recycle(chunks.drain(..));
        if chunks.capacity() >= SPARE_CHUNKS && self.spare_lists.len() < SPARE_LISTS {
            self.spare_lists.push(chunks);
        }
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

    /// Takes in a shard's chunk. It is given back empty where it could be copied.
    pub(super) fn gather(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        chunk: Chunk,
    ) -> Option<Chunk> {
        let limit = self.limits.batch;
        let amount = Amount { lines: chunk.lines(), bytes: chunk.bytes().len() };
        let batches = self.gathering.entry(database.clone()).or_default();
        match batches.last_mut() {
            Some(last) if last.precision() == precision && limit.covers(last.amount() + amount) => {
                last.push_chunk(chunk)
            }
            _ => {
                let spare = self.spare_lists.pop();
                let chunks = spare.unwrap_or_else(|| Vec::with_capacity(SPARE_CHUNKS));
                let mut batch = Batch::with_storage(database.clone(), precision, chunks);
                let back = batch.push_chunk(chunk);
                batches.push(batch);
                back
            }
        }
    }

    /// Seals all that was gathered into batches that are due, or samples them out. Returns whether some were sampled
    /// out, which leaves room.
    pub(super) fn seal(&mut self) -> bool {
        let sampled_out = self.books.sampled_out;
        let mut sealed: Vec<Batch> = Vec::new();
        for batches in self.gathering.values_mut() {
            sealed.append(batches);
        }
        // A name that is not in use any more is forgotten in time.
        if self.gathering.len() > 1_000 {
            self.gathering.clear();
        }
        for batch in sealed {
            let lines = batch.lines();
            if fastrand::f64() >= self.limits.sample_probability {
                self.books.sampled_out += lines as u64;
                self.recycle_batch(batch);
                continue;
            }
            self.sealed += batch.amount();
            if let Some(mut batch) = self.merge(batch) {
                self.newest = Order(self.newest.0 + 1);
                self.undecided.insert(self.newest, lines);
                batch.order = self.newest;
                self.due.push_back(batch);
            }
        }
        self.granted = Amount::default();
        self.first_open = None;
        self.submit = false;
        self.books.sampled_out > sampled_out
    }

    /// Adds a batch to one that waits for the same database and has room, so that a trickle during an outage does not
    /// become a queue of tiny batches. Batches that a flush waits for stay as they are.
    fn merge(&mut self, batch: Batch) -> Option<Batch> {
        let limit = self.limits.batch;
        let flushed = self.flushes.iter().map(|flush| flush.last).max();
        let waiting = self.due.iter_mut().rev().take(16).find(|waiting| {
            waiting.database() == batch.database()
                && waiting.precision() == batch.precision()
                && waiting.trials.requests == 0
                && flushed.is_none_or(|flushed| waiting.order > flushed)
                && limit.covers(waiting.amount() + batch.amount())
        });
        let Some(waiting) = waiting else { return Some(batch) };
        *self.undecided.entry(waiting.order).or_default() += batch.lines();
        let mut chunks = batch.into_chunks();
        let mut kept = 0;
        for index in 0..chunks.len() {
            if let Some(emptied) = waiting.push_chunk(std::mem::take(&mut chunks[index])) {
                chunks[kept] = emptied;
                kept += 1;
            }
        }
        chunks.truncate(kept);
        self.recycle_list(chunks);
        None
    }

    /// Takes the first due batch of a database that `is_open`, cut down to the limits and to `most_bytes`.
    pub(super) fn take(
        &mut self,
        most_bytes: usize,
        is_open: impl Fn(&str) -> bool,
    ) -> Option<Batch> {
        let index = self.due.iter().position(|batch| is_open(batch.database()))?;
        let batch = self.due.remove(index)?;
        let bytes = self.limits.batch.bytes.min(most_bytes);
        let mut parts = batch.split_to(Amount { bytes, ..self.limits.batch }).into_iter();
        let first = parts.next();
        for (place, part) in parts.enumerate() {
            self.due.insert(index + place, part);
        }
        first
    }

    pub(super) fn put_back(&mut self, batch: Batch, place: Place) {
        match place {
            Place::Front => self.due.push_front(batch),
            Place::Back => self.due.push_back(batch),
        }
    }

    /// Enters in the books what became of so much of a batch.
    pub(super) fn settle(&mut self, order: Order, amount: Amount, outcome: Outcome) {
        self.sealed -= amount;
        self.books.delivered += outcome.delivered as u64;
        self.books.rejected += outcome.rejected as u64;
        self.decide(order, amount.lines, |report| {
            report.delivered += outcome.delivered as u64;
            report.rejected += outcome.rejected as u64;
        });
    }

    /// Drops the oldest lines that wait until `needed` fits. Returns false if that cannot be.
    pub(super) fn drop_oldest(&mut self, needed: Amount) -> bool {
        while !self.room().covers(needed) {
            let Some(oldest) = self.due.front_mut() else { return false };
            let order = oldest.order;
            let (dropped, emptied) = oldest.drop_first_line();
            if oldest.lines() == 0 {
                if let Some(emptied) = self.due.pop_front() {
                    self.recycle_batch(emptied);
                }
            }
            self.recycle(emptied);
            self.sealed -= dropped;
            self.books.dropped.add(DropReason::Oldest, dropped.lines as u64);
            self.decide(order, dropped.lines, |report| report.dropped += dropped.lines as u64);
        }
        true
    }

    fn decide(&mut self, order: Order, lines: usize, note: impl Fn(&mut Report)) {
        if let Some(undecided) = self.undecided.get_mut(&order) {
            *undecided = undecided.saturating_sub(lines);
            if *undecided == 0 {
                self.undecided.remove(&order);
            }
        }
        for flush in self.flushes.iter_mut().filter(|flush| flush.last >= order) {
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

/// Where a batch goes that waits again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Front,
    Back,
}
