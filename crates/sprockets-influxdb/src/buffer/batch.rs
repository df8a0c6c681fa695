//! The lines of one request, for one database.

use std::sync::Arc;

use super::chunk::Chunk;
use super::{Amount, Order};
use crate::config::Precision;
use crate::line_protocol::split::{lines, lines_with_ends};
use crate::spool::{Stored, Twin};
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Whole lines for one database, in pieces, and how its delivery went so far.
#[derive(Debug)]
pub(crate) struct Batch {
    database: Arc<str>,
    precision: Precision,
    /// None while its lines are on disk only.
    chunks: Vec<Chunk>,
    amount: Amount,
    /// What has its lines on disk beside the twins of its chunks.
    held: Option<Arc<Held>>,
    /// Whether there is a file that has exactly its lines.
    is_stored: bool,
    /// No file takes its lines.
    pub(super) stays: bool,
    /// Leave to be on its way, for one that waited on disk.
    pub(super) turn: Option<Turn>,
    /// When it was sealed, among all batches. The parts of a batch keep its place.
    pub(super) order: Order,
    pub(crate) trials: Trials,
}

/// Files with the lines of a batch, or of a batch that it is a part of: not done with before all parts are.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) twins: Vec<Twin>,
    pub(super) stored: Option<Stored>,
    pub(super) above: Option<Arc<Held>>,
}

/// Counts the batches from disk that are on their way.
#[derive(Debug)]
pub(super) struct Turn(Arc<AtomicUsize>);

impl Turn {
    pub(super) fn new(turns: &Arc<AtomicUsize>) -> Self {
        turns.fetch_add(1, Ordering::Relaxed);
        Self(turns.clone())
    }
}

impl Clone for Turn {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the sender has to remember of a batch between two tries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trials {
    /// Requests made for it, or for the batch that it is a part of.
    pub(crate) requests: u32,
    /// It was sent again at once, as one kind of reply asks for.
    pub(crate) resent: bool,
    /// Replies that were not HTTP.
    pub(crate) unparsable: u32,
    /// The deliveries of others when the first of these came.
    pub(crate) unparsable_since: Option<u64>,
    /// Failures since which other batches were delivered.
    pub(crate) suspicion: u32,
    /// The deliveries that the sender had seen at the last failure.
    pub(crate) deliveries_seen: u64,
    /// While lines that the server did not name are looked for: requests left, for all parts together.
    pub(crate) search: Option<Arc<AtomicU32>>,
}

impl Batch {
    pub(crate) fn new(database: Arc<str>, precision: Precision) -> Self {
        Self::with_storage(database, precision, Vec::new())
    }

    /// An empty batch that keeps its chunks in a list that was used before, and is empty now.
    pub(super) fn with_storage(
        database: Arc<str>,
        precision: Precision,
        chunks: Vec<Chunk>,
    ) -> Self {
        Self {
            database,
            precision,
            chunks,
            amount: Amount::default(),
            held: None,
            is_stored: false,
            stays: false,
            turn: None,
            order: Order::default(),
            trials: Trials::default(),
        }
    }

    /// A batch whose lines are in a file.
    pub(super) fn of_stored(stored: Stored) -> Self {
        let mut batch = Self::new(stored.database.as_str().into(), stored.precision);
        batch.amount = Amount { lines: stored.lines, bytes: stored.bytes };
        batch.set_stored(stored);
        batch
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// How many lines.
    pub(crate) fn lines(&self) -> usize {
        self.amount.lines
    }

    /// How many bytes, line feeds included.
    pub(crate) fn len(&self) -> usize {
        self.amount.bytes
    }

    /// How many bytes of memory its lines take up.
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(Chunk::capacity).sum()
    }

    pub(crate) fn amount(&self) -> Amount {
        self.amount
    }

    /// Pieces of whole lines, each line with its line feed.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Chunk::bytes)
    }

    /// The lines, without their line feeds.
    pub(crate) fn iter_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks().flat_map(lines)
    }

    /// The lines, each with its line feed.
    pub(super) fn iter_whole_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks().flat_map(lines_with_ends)
    }

    /// Whether its lines are on disk only.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.chunks.is_empty() && self.amount.lines > 0
    }

    /// Whether its lines are on disk, too.
    pub(super) fn is_spooled(&self) -> bool {
        self.held.is_some() || self.chunks.iter().all(Chunk::has_twin)
    }

    /// Whether it takes in the lines of others: one that has files of its own does not.
    pub(super) fn takes_in(&self) -> bool {
        self.held.is_none()
    }

    /// The file that has exactly its lines.
    pub(super) fn stored(&self) -> Option<&Stored> {
        self.held.as_ref()?.stored.as_ref().filter(|_| self.is_stored)
    }

    /// Has its lines in memory, too.
    pub(super) fn set_lines(&mut self, bytes: Vec<u8>, lines: usize) {
        self.is_stored &= lines == self.amount.lines;
        self.amount = Amount { lines, bytes: bytes.len() };
        self.chunks = vec![Chunk::of(bytes, lines)];
    }

    /// Has its lines on disk only, in a file that has just been written. Returns what it had them in before.
    pub(super) fn set_stored(&mut self, stored: Stored) -> (Vec<Chunk>, Option<Arc<Held>>) {
        let held = Held { stored: Some(stored), ..Held::default() };
        self.is_stored = true;
        (std::mem::take(&mut self.chunks), self.held.replace(Arc::new(held)))
    }

    /// Has its lines on disk only, if they are there. Returns what it had them in before.
    pub(super) fn unload(&mut self) -> Vec<Chunk> {
        if self.stored().is_some() { std::mem::take(&mut self.chunks) } else { Vec::new() }
    }

    /// Takes in a chunk. Where it fits into the last one, it is copied there and given back, to be cleared.
    pub(super) fn push_chunk(&mut self, chunk: Chunk) -> Option<Chunk> {
        let lines = chunk.lines();
        self.amount += Amount { lines, bytes: chunk.bytes().len() };
        if let Some(last) = self.chunks.last_mut().filter(|last| last.takes_in(&chunk)) {
            last.append(chunk.bytes(), lines);
            return Some(chunk);
        }
        self.chunks.push(chunk);
        None
    }

    /// Forgets its first line. Returns what that makes less, and a chunk that is empty now.
    pub(super) fn drop_first_line(&mut self) -> (Amount, Option<Chunk>) {
        let Some(first) = self.chunks.first_mut() else { return (Amount::default(), None) };
        let dropped = match first.drop_first_line() {
            Some(bytes) => Amount { lines: 1, bytes },
            None => Amount::default(),
        };
        self.amount -= dropped;
        let emptied = (first.lines() == 0).then(|| self.chunks.remove(0));
        (dropped, emptied)
    }

    /// The storage, for use by others.
    pub(super) fn into_storage(self) -> (Vec<Chunk>, Option<Arc<Held>>) {
        (self.chunks, self.held)
    }

    /// In two, about half of the bytes each; the second is `None` where there is only one line.
    pub(crate) fn split(self) -> (Self, Option<Self>) {
        if self.lines() < 2 {
            return (self, None);
        }
        let half = self.len() / 2;
        let mut first = 0;
        let mut taken = 0;
        for line in self.iter_lines() {
            if first > 0 && (taken + line.len() > half || first + 1 == self.lines()) {
                break;
            }
            taken += line.len() + 1;
            first += 1;
        }
        let mut index = 0;
        let (head, tail) = self.partition(|_| {
            index += 1;
            index <= first
        });
        (head, Some(tail))
    }

    /// In parts of at most so many lines and bytes; a single line may be longer.
    pub(crate) fn split_to(self, limit: Amount) -> Vec<Self> {
        let mut whole = vec![self];
        let mut parts = Vec::new();
        while let Some(batch) = whole.pop() {
            if batch.lines() <= limit.lines && batch.len() <= limit.bytes {
                parts.push(batch);
                continue;
            }
            let (head, tail) = batch.split();
            match tail {
                Some(tail) => whole.extend([tail, head]),
                None => parts.push(head),
            }
        }
        parts
    }

    /// The lines that `chosen` is true for, and the others.
    pub(crate) fn partition(mut self, mut chosen: impl FnMut(&[u8]) -> bool) -> (Self, Self) {
        let mut parts = [(Vec::new(), 0), (Vec::new(), 0)];
        for line in self.iter_lines() {
            let (bytes, lines) = &mut parts[usize::from(!chosen(line))];
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            *lines += 1;
        }
        let twins: Vec<_> = self.chunks.iter_mut().filter_map(Chunk::take_twin).collect();
        if !twins.is_empty() {
            let above = self.held.take();
            self.held = Some(Arc::new(Held { twins, stored: None, above }));
        }
        let [chosen, others] = parts.map(|(bytes, lines)| {
            let mut part = Self::new(self.database.clone(), self.precision);
            if lines > 0 {
                part.order = self.order;
                part.turn = self.turn.clone();
                part.held = self.held.clone();
                part.trials = self.trials.clone();
                part.push_chunk(Chunk::of(bytes, lines));
            }
            part
        });
        (chosen, others)
    }
}

#[cfg(any(test, fuzzing))]
impl Batch {
    /// A batch of these lines, for tests.
    pub(crate) fn of(database: &str, lines: &[&str]) -> Self {
        let mut batch = Self::new(database.into(), Precision::Nanoseconds);
        for line in lines {
            let mut chunk = Chunk::with_capacity(line.len() + 1);
            chunk.append(format!("{line}\n").as_bytes(), 1);
            batch.push_chunk(chunk);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: usize) -> Batch {
        let lines: Vec<_> =
            (0..lines).map(|n| format!("m s=\"{}\n\" {n}", "x".repeat(n))).collect();
        Batch::of("db", &lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn text(batches: &[Batch]) -> Vec<u8> {
        batches.iter().flat_map(Batch::chunks).collect::<Vec<_>>().concat()
    }

    #[test]
    fn splitting_keeps_every_line_and_its_place() {
        for lines in 1..20 {
            let whole = text(&[batch(lines)]);
            let (head, tail) = batch(lines).split();
            assert_eq!(tail.is_none(), lines == 1);
            let parts: Vec<_> = std::iter::once(head).chain(tail).collect();
            assert_eq!(text(&parts), whole);
            assert_eq!(parts.iter().map(Batch::lines).sum::<usize>(), lines);
            assert_eq!(parts.iter().map(Batch::len).sum::<usize>(), whole.len());
            assert!(parts.iter().all(|part| part.lines() > 0));
        }
    }

    #[test]
    fn split_to_holds_both_limits() {
        let limit = Amount { lines: 7, bytes: 200 };
        let parts = batch(100).split_to(limit);
        assert_eq!(text(&parts), text(&[batch(100)]));
        assert!(parts.iter().all(|part| part.lines() <= 7 && part.len() <= 200));
        let single = Batch::of("db", &["m f=\"too long for any limit\" 1"]);
        assert_eq!(single.split_to(Amount { lines: 1, bytes: 5 }).len(), 1);
    }

    #[test]
    fn the_first_line_can_be_dropped_until_none_is_left() {
        let mut batch = batch(5);
        let whole = batch.len();
        let mut dropped = 0;
        for left in (0..5).rev() {
            let (amount, _) = batch.drop_first_line();
            dropped += amount.bytes;
            assert_eq!((amount.lines, batch.lines()), (1, left));
        }
        assert_eq!((dropped, batch.len()), (whole, 0));
        assert_eq!(batch.drop_first_line().0, Amount::default());
    }
}
