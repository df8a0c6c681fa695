//! Where a thread writes its lines. Each thread has one of a few shards, so that threads that add at once do not wait
//! for each other; what a shard may take without asking is granted to it beforehand.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use super::chunk::Chunk;
use super::{Entry, Size};
use crate::config::Precision;
use crate::spool::Segment;
use crate::stats::{DropReason, Dropped};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, per_process, per_thread};

/// A lock of its own in cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Shard(pub(super) Mutex<Open>);

/// What is open: written to, not yet part of a batch.
#[derive(Default)]
pub(super) struct Open {
    /// What may still be written here before asking the queue.
    pub(super) grant: Size,
    /// The most that goes into one batch, and so into one chunk.
    pub(super) batch_limit: Size,
    pub(super) counters: ShardCounters,
    chunks: Vec<OpenChunk>,
    /// The index of the one written last.
    last: usize,
}

struct OpenChunk {
    database: Arc<str>,
    precision: Precision,
    chunk: Chunk,
}

/// A shard's part of the counters.
#[derive(Default)]
pub(super) struct ShardCounters {
    pub(super) added: u64,
    pub(super) dropped: Dropped,
    pub(super) non_finite: u64,
    pub(super) repaired: u64,
}

impl ShardCounters {
    pub(super) fn drop_added(&mut self, reason: DropReason) {
        self.added += 1;
        self.dropped.add(reason, 1);
    }
}

impl Open {
    /// Writes a line, if all that it needs is at hand.
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
        self.counters.added += 1;
        true
    }

    /// Whether there is a chunk that takes a line.
    pub(super) fn has_chunk(&self, line: &Entry<'_, impl Fn(&mut Vec<u8>)>) -> bool {
        self.find(line.database, line.precision).is_some_and(|index| self.fits(index, line.len))
    }

    #[inline]
    fn fits(&self, index: usize, len: usize) -> bool {
        let chunk = &self.chunks[index].chunk;
        let within_batch = chunk.lines() == 0
            || chunk.lines() < self.batch_limit.lines
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

    /// Puts a chunk in place for a database. Returns the one that was there.
    pub(super) fn replace_chunk(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        chunk: Chunk,
    ) -> Option<Chunk> {
        match self.find(database.as_bytes(), precision) {
            Some(index) => Some(std::mem::replace(&mut self.chunks[index].chunk, chunk)),
            None => {
                self.chunks.push(OpenChunk { database: database.clone(), precision, chunk });
                None
            }
        }
    }

    /// Lines here that are in memory only.
    pub(super) fn unspooled(&self) -> usize {
        let chunks = self.chunks.iter().map(|open| &open.chunk);
        chunks.filter(|chunk| !chunk.has_segment()).map(Chunk::lines).sum()
    }

    /// Takes what is open away from its files, which are done with: nothing more is to be written.
    pub(super) fn take_segments(&mut self) -> Vec<Segment> {
        self.chunks.iter_mut().filter_map(|open| open.chunk.take_segment()).collect()
    }

    /// How many databases have a chunk here.
    pub(super) fn databases(&self) -> usize {
        self.chunks.len()
    }

    /// Hands every chunk to `gather`, which may give it back empty. Chunks of more databases than `kept` are returned.
    pub(super) fn collect(
        &mut self,
        kept: usize,
        mut gather: impl FnMut(&Arc<str>, Precision, Chunk) -> Option<Chunk>,
    ) -> Vec<Chunk> {
        for open in &mut self.chunks {
            if open.chunk.lines() > 0 {
                let chunk = std::mem::take(&mut open.chunk);
                open.chunk = gather(&open.database, open.precision, chunk).unwrap_or_default();
            }
        }
        self.grant = Size::default();
        self.chunks.drain(kept.min(self.chunks.len())..).map(|open| open.chunk).collect()
    }
}

/// How many shards there are: a power of two, and in a model so few that threads have to share them.
pub(super) fn count() -> usize {
    if cfg!(all(loom, test)) {
        return 2;
    }
    let cores = thread::available_parallelism().map_or(4, usize::from);
    (4 * cores).next_power_of_two().clamp(4, 64)
}

/// Which of so many shards is this thread's. `count` is a power of two.
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
