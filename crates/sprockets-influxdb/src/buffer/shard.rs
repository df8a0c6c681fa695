//! Shards: each thread writes its lines to one of a few, so that threads do not wait for each
//! other. What a shard may accept without the lock of the queue is granted to it beforehand.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use super::chunk::Chunk;
use super::counters::ShardCounters;
use super::records::Records;
use super::size::Size;
use super::types::Entry;
use crate::config::Precision;
use crate::record::{RecordHead, RecordValues};
use crate::spool::Segment;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, per_process, per_thread};

/// How many databases of a shard get chunks of full size, and keep them.
pub(super) const FULL_CHUNK_DATABASES: usize = 4;

/// A lock, in cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Shard(pub(super) Mutex<Open>);

/// The open chunks of a shard, one for each database and precision.
#[derive(Default)]
pub(super) struct Open {
    /// What may still be written without the lock of the queue.
    pub(super) grant: Size,
    /// The most that goes into one batch, and so into one chunk. A copy of the limit in force.
    pub(super) batch_limit: Size,
    pub(super) counters: ShardCounters,
    chunks: Vec<OpenChunk>,
    /// Granted and counted already. Encoded before a chunk is taken, replaced or moved.
    records: Records,
    /// The index of the chunk that was written to last.
    last: usize,
    /// The index of the chunk that makes place for the next database.
    next_evicted: usize,
    /// The index of a chunk that has just replaced a full one.
    successor: Option<usize>,
}

/// Databases with an open chunk in a shard. With more, each search would take too long, and the
/// chunks too much memory.
const MAX_DATABASES: usize = 64;

struct OpenChunk {
    database: Arc<str>,
    precision: Precision,
    chunk: Chunk,
}

impl Open {
    /// Writes a line, if the grant covers it and a chunk has room. Returns whether it did.
    #[inline]
    pub(super) fn push(&mut self, line: &Entry<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        let needed = line.size();
        if !self.grant.covers(needed) {
            return false;
        }
        let Some(index) = self.find(line.database, line.precision) else { return false };
        if !self.fits(index, line.len) {
            return false;
        }
        self.chunks[index].chunk.push(&line.write);
        self.last = index;
        self.grant -= needed;
        self.counters.add();
        true
    }

    /// Accepts a record, if the grant covers its line at the maximum length and a chunk has room
    /// for it. A chunk with a segment takes none: its lines are on disk when they are accepted.
    #[inline]
    pub(super) fn push_record(
        &mut self,
        head: &Arc<RecordHead>,
        timestamp: i64,
        values: &RecordValues<'_>,
    ) -> bool {
        let max_len = values.max_len(head);
        let needed = Size { lines: 1, bytes: max_len };
        let found = self.find(head.database.as_bytes(), head.precision);
        let Some(index) = found.filter(|_| self.grant.covers(needed)) else { return false };
        if self.records.are_due(index) {
            self.encode_records();
        }
        if self.chunks[index].chunk.writes_to_segment() || !self.fits(index, max_len) {
            return false;
        }
        self.records.push(index, head, timestamp, values);
        self.last = index;
        self.grant -= needed;
        self.counters.add();
        true
    }

    /// Takes what was granted and is not used. Records then use what their lines do.
    pub(super) fn take_grant(&mut self) -> Size {
        self.encode_records();
        std::mem::take(&mut self.grant)
    }

    fn encode_records(&mut self) {
        if let Some(index) = self.records.chunk() {
            self.grant.bytes += self.records.write_to(&mut self.chunks[index].chunk);
        }
    }

    /// Whether [`push`](Self::push) writes this line.
    pub(super) fn can_push(&self, line: &Entry<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        self.grant.covers(line.size()) && self.has_chunk(line)
    }

    /// Whether a chunk has room for a line.
    pub(super) fn has_chunk(&self, line: &Entry<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        self.find(line.database, line.precision).is_some_and(|index| self.fits(index, line.len))
    }

    /// Whether there is a chunk for the database of a line, with room or without.
    pub(super) fn has_database(&self, line: &Entry<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        self.find(line.database, line.precision).is_some()
    }

    #[inline]
    fn fits(&self, index: usize, len: usize) -> bool {
        let chunk = &self.chunks[index].chunk;
        let (lines, bytes) = self.records.reserved(index);
        let (lines, len) = (lines + chunk.lines(), bytes + len);
        let within_batch = lines == 0
            || lines < self.batch_limit.lines
                && chunk.bytes().len() + len <= self.batch_limit.bytes;
        within_batch && chunk.fits(1, len)
    }

    #[inline]
    fn find(&self, database: &[u8], precision: Precision) -> Option<usize> {
        let is_it =
            |open: &OpenChunk| open.database.as_bytes() == database && open.precision == precision;
        if self.chunks.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.chunks.iter().position(is_it)
    }

    /// Sets the chunk of a database and precision. Returns the previous one.
    pub(super) fn replace_chunk(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        chunk: Chunk,
    ) -> Option<Chunk> {
        self.encode_records();
        match self.find(database.as_bytes(), precision) {
            Some(index) => {
                let before = std::mem::replace(&mut self.chunks[index].chunk, chunk);
                self.successor = (before.lines() > 0).then_some(index);
                Some(before)
            }
            None => {
                self.chunks.push(OpenChunk { database: database.clone(), precision, chunk });
                None
            }
        }
    }

    /// Populates a chunk that has just replaced a full one. Others may get a few lines only.
    pub(super) fn populate_successor(&mut self) {
        let successor = self.successor.take().and_then(|index| self.chunks.get_mut(index));
        successor.into_iter().for_each(|open| open.chunk.populate());
    }

    /// Removes the chunk of one database if there are too many. It makes place for another.
    pub(super) fn evict(&mut self) -> Option<(Arc<str>, Precision, Chunk)> {
        if self.chunks.len() < MAX_DATABASES {
            return None;
        }
        self.encode_records();
        // Those with chunks of full size stay.
        let small = MAX_DATABASES - FULL_CHUNK_DATABASES;
        self.next_evicted = (self.next_evicted + 1) % small;
        let index = FULL_CHUNK_DATABASES + self.next_evicted;
        let OpenChunk { database, precision, chunk } = self.chunks.swap_remove(index);
        Some((database, precision, chunk))
    }

    /// Lines in memory only.
    pub(super) fn unspooled(&self) -> usize {
        let chunks = self.chunks.iter().map(|open| &open.chunk);
        let lines: usize = chunks.filter(|chunk| !chunk.has_segment()).map(Chunk::lines).sum();
        lines + self.records.lines()
    }

    /// Ends chunks whose segments are lost.
    pub(super) fn end_lost_chunks(&mut self) {
        self.chunks.iter_mut().for_each(|open| open.chunk.end_if_lost());
    }

    /// Takes the segments of all chunks, so that nothing more is written to them.
    pub(super) fn take_segments(&mut self) -> Vec<Segment> {
        self.chunks.iter_mut().filter_map(|open| open.chunk.take_segment()).collect()
    }

    /// The number of chunks.
    pub(super) fn databases(&self) -> usize {
        self.chunks.len()
    }

    /// Hands every chunk with lines to `gather`, which may return it empty. Returns the chunks of
    /// more databases than `kept`.
    pub(super) fn collect(
        &mut self,
        kept: usize,
        mut gather: impl FnMut(&Arc<str>, Precision, Chunk) -> Option<Chunk>,
    ) -> Vec<Chunk> {
        self.encode_records();
        for open in &mut self.chunks {
            if open.chunk.lines() > 0 {
                let chunk = std::mem::take(&mut open.chunk);
                open.chunk = gather(&open.database, open.precision, chunk).unwrap_or_default();
            }
        }
        self.chunks.drain(kept.min(self.chunks.len())..).map(|open| open.chunk).collect()
    }
}

/// The number of shards: a power of two, and a spare one. Few in a model, so that threads share
/// them.
pub(super) fn count() -> usize {
    if cfg!(all(loom, test)) {
        return 2;
    }
    let cores = thread::available_parallelism().map_or(4, usize::from);
    (4 * cores).next_power_of_two().clamp(4, 64) + 1
}

/// How many of them threads use while the disk answers. In a model the spare one too.
#[inline]
pub(super) fn usual(count: usize) -> usize {
    if cfg!(all(loom, test)) { count } else { count - 1 }
}

/// The index of this thread's shard. `count` is a power of two.
#[inline]
pub(super) fn index_for_this_thread(count: usize) -> usize {
    per_process! {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
    }
    per_thread! {
        static INDEX: Cell<Option<usize>> = Cell::new(None);
    }
    INDEX.with(|index| {
        let mine = index.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            index.set(Some(next));
            next
        });
        mine & (count - 1)
    })
}
