//! Unused chunks and lists of chunks. With a spool, a chunk keeps its segment: creating a file
//! takes hundreds of times as long as using one again.

use std::sync::Arc;

use super::batch::Batch;
use super::chunk::{CHUNK_BYTES, Chunk, SMALL_CHUNK_BYTES};
use super::spool_files::{Leftovers, SpoolFiles};
use crate::config::Precision;
use crate::spool::{MAX_LINE_BYTES, Segment, Spool};

/// Unused chunks that are kept: at most 4 MiB.
const MAX_SPARE: usize = 64;

/// Unused chunks of each size that are kept with a spool: at most 8 MiB in memory and on disk, less
/// with a small spool.
const MAX_SPARE_WITH_SEGMENTS: usize = 128;

/// Maximum number of chunks without segments that senders prepare.
const MAX_READY: usize = 8;

/// Unused lists of chunks that are kept.
const MAX_SPARE_LISTS: usize = 8;

/// Chunks with segments that are prepared, once the first small ones are used up.
const MIN_READY: usize = 4;

/// The first chunks of a process with a spool are small: many processes live for a few lines.
const FIRST_SMALL: usize = 16;

pub(super) struct ChunkPool {
    spool: Option<Arc<Spool>>,
    spare: Vec<Chunk>,
    /// Small chunks. With a spool only.
    spare_small: Vec<Chunk>,
    /// Empty lists, so that a new batch need not allocate one.
    spare_lists: Vec<Vec<Chunk>>,
    /// The number of small chunks with segments that were made.
    made_small: usize,
    leftovers: Leftovers,
    /// Segments whose lines were copied to others that are not synced yet.
    retired: Vec<Segment>,
    /// How many chunks are kept ready: with segments by the spool worker, or in memory by senders.
    target: usize,
    /// Whether a chunk was filled since batches were closed.
    was_filled: bool,
    /// How many chunks of each size are kept.
    max_spare: usize,
}

impl ChunkPool {
    /// `spool_bytes` is the most that the spool may have on disk.
    pub(super) fn new(spool: Option<Arc<Spool>>, spool_bytes: usize) -> Self {
        let max_spare = match spool {
            Some(_) => (spool_bytes / CHUNK_BYTES / 8).clamp(MIN_READY, MAX_SPARE_WITH_SEGMENTS),
            None => MAX_SPARE,
        };
        Self {
            spool,
            spare: Vec::new(),
            spare_small: Vec::new(),
            spare_lists: Vec::new(),
            made_small: 0,
            leftovers: Leftovers::default(),
            retired: Vec::new(),
            target: 0,
            was_filled: false,
            max_spare,
        }
    }

    /// A chunk for lines of this database and precision, with a capacity of at least `needed`.
    pub(super) fn chunk(
        &mut self,
        capacity: usize,
        needed: usize,
        database: &str,
        precision: Precision,
    ) -> Chunk {
        let capacity = capacity.max(needed);
        let spare = match capacity {
            CHUNK_BYTES => self.take_spare(),
            SMALL_CHUNK_BYTES => self.spare_small.pop(),
            _ => None,
        };
        let mut chunk = spare.unwrap_or_else(|| Chunk::with_capacity(capacity));
        let Some(spool) = &self.spool else { return chunk };
        self.leftovers.segments.extend(chunk.take_lost_segment());
        if !spool.health().is_suspended() && !chunk.has_segment() && needed <= MAX_LINE_BYTES {
            if capacity == CHUNK_BYTES {
                self.target = (2 * self.target).clamp(MIN_READY, MAX_SPARE).min(self.max_spare);
            } else if capacity == SMALL_CHUNK_BYTES {
                self.made_small += 1;
            }
            let mut segment = spool.segments.create(capacity);
            // There may be no room until files that are no longer needed are removed: no more of
            // them than necessary, as this thread waits for the disk.
            while segment.is_none()
                && !spool.health().is_failing()
                && self.leftovers.remove_one(spool)
            {
                segment = spool.segments.create(capacity);
            }
            segment.into_iter().for_each(|segment| chunk.set_segment(segment));
        }
        self.leftovers.segments.extend(chunk.begin(database, precision));
        if !chunk.fits(1, needed) {
            self.leftovers.segments.extend(chunk.take_segment());
        }
        chunk
    }

    /// An unused chunk, with a segment if there is one that has one.
    fn take_spare(&mut self) -> Option<Chunk> {
        if self.spool.is_none() {
            return self.spare.pop();
        }
        let index = self.spare.iter().rposition(Chunk::has_segment);
        index.or(self.spare.len().checked_sub(1)).map(|index| self.spare.swap_remove(index))
    }

    /// An empty list for the chunks of a batch.
    pub(super) fn list(&mut self) -> Vec<Chunk> {
        self.spare_lists.pop().unwrap_or_else(|| Vec::with_capacity(MAX_SPARE))
    }

    /// Takes the segment of a chunk whose lines were copied. In the fsync modes it is kept until
    /// the copy is synced.
    pub(super) fn retire(&mut self, chunk: &mut Chunk) {
        if self.spool.as_ref().is_some_and(|spool| spool.is_synced()) {
            self.retired.extend(chunk.take_segment());
        }
    }

    pub(super) fn take_retired(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.retired)
    }

    /// Uses retired segments again if everything was synced, else keeps them.
    pub(super) fn end_sync(&mut self, retired: Vec<Segment>, is_synced: bool) {
        if !is_synced {
            self.retired.extend(retired);
            return;
        }
        for mut segment in retired {
            segment.clear();
            self.add_segment(segment);
        }
    }

    /// An unused chunk without a segment.
    pub(super) fn take_bare(&mut self) -> Option<Chunk> {
        let index = self.spare.iter().position(|chunk| !chunk.has_segment())?;
        let mut chunk = self.spare.swap_remove(index);
        self.leftovers.segments.extend(chunk.take_lost_segment());
        Some(chunk)
    }

    /// Adds a segment to a chunk that has none, or a new one, if the pool is not full.
    pub(super) fn add_segment(&mut self, segment: Segment) {
        let chunk = match self.take_bare() {
            None if self.spare.len() < self.max_spare => Chunk::with_capacity(CHUNK_BYTES),
            bare => bare.unwrap_or_default(),
        };
        self.add_ready(chunk, segment);
    }

    /// Adds an empty chunk with a segment that is empty as well. Without the chunk's memory, or if
    /// the pool is full, gives the segment up.
    pub(super) fn add_ready(&mut self, mut chunk: Chunk, segment: Segment) {
        if chunk.capacity() < CHUNK_BYTES || self.spare.len() >= self.max_spare {
            self.leftovers.segments.push(segment);
            return;
        }
        chunk.set_segment(segment);
        self.spare.push(chunk);
    }

    /// Empties a chunk whose lines were copied, for more lines of the same kind, with a segment if
    /// there is one.
    pub(super) fn renew(&mut self, chunk: &mut Chunk, database: &str, precision: Precision) {
        let lost = chunk.take_lost_segment();
        let had_segment = lost.is_some() || chunk.has_segment();
        self.leftovers.segments.extend(lost);
        self.retire(chunk);
        if had_segment && !chunk.has_segment() {
            let spare = self.take_spare();
            let copied = std::mem::replace(chunk, spare.unwrap_or_default());
            self.recycle([copied]);
        }
        chunk.clear();
        self.leftovers.segments.extend(chunk.begin(database, precision));
    }

    /// The number of chunks with segments.
    pub(super) fn ready(&self) -> usize {
        self.spare.iter().filter(|chunk| chunk.has_segment()).count()
    }

    /// The number of small chunks, which have segments.
    pub(super) fn small(&self) -> usize {
        self.spare_small.len()
    }

    /// Whether the first lines of a process are added to it.
    pub(super) fn is_cold(&self) -> bool {
        self.target == 0 && (self.made_small < FIRST_SMALL || self.small() > 0)
    }

    /// Whether a small chunk is missing.
    pub(super) fn lacks_small(&self) -> bool {
        let is_needed = self.target == 0 && self.made_small < FIRST_SMALL && self.max_spare > 0;
        is_needed
            && self.spare_small.is_empty()
            && self.spool.as_ref().is_some_and(|spool| !spool.health().is_failing())
    }

    pub(super) fn add_small(&mut self, segment: Segment) {
        let mut chunk = Chunk::with_capacity(SMALL_CHUNK_BYTES);
        chunk.set_segment(segment);
        self.made_small += 1;
        self.recycle([chunk]);
    }

    /// A chunk was filled, and others of its size may be soon. Returns whether a sender has to
    /// prepare some. With a spool, its worker is called for them.
    pub(super) fn note_full(&mut self, chunk: &Chunk) -> bool {
        if self.spool.is_some() || chunk.capacity() != CHUNK_BYTES {
            return false;
        }
        self.was_filled = true;
        self.target = (2 * self.target).clamp(1, MAX_READY).min(self.max_spare);
        self.missing() > 0
    }

    /// Batches are closed. Without a full chunk since the last time, fewer are prepared.
    pub(super) fn note_closed(&mut self) {
        if self.spool.is_none() && !std::mem::take(&mut self.was_filled) {
            self.target /= 2;
        }
    }

    /// How many chunks are to be prepared. Without a spool, only once half of them are used, as
    /// waking a sender for each one takes the adding thread some time.
    pub(super) fn missing(&self) -> usize {
        match &self.spool {
            Some(spool) if spool.health().is_failing() => 0,
            Some(_) => self.target.saturating_sub(self.ready()),
            None if self.spare.len() > self.target / 2 => 0,
            None => self.target - self.spare.len(),
        }
    }

    /// Keeps chunks, to be used again.
    pub(super) fn recycle(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        for mut chunk in chunks {
            self.leftovers.segments.extend(chunk.take_lost_segment());
            chunk.clear();
            let has_segment = chunk.has_segment();
            match chunk.capacity() {
                CHUNK_BYTES if self.spare.len() < self.max_spare => self.spare.push(chunk),
                CHUNK_BYTES => {
                    chunk.take_segment().into_iter().for_each(|segment| self.add_segment(segment));
                }
                SMALL_CHUNK_BYTES if has_segment && self.spare_small.len() < self.max_spare => {
                    self.spare_small.push(chunk);
                }
                _ => self.leftovers.segments.extend(chunk.take_segment()),
            }
        }
    }

    /// Keeps the chunks of a batch and their list, and releases its files.
    pub(super) fn recycle_batch(&mut self, batch: Batch) {
        let (chunks, files) = batch.into_storage();
        self.recycle_storage(chunks, files);
    }

    pub(super) fn recycle_storage(
        &mut self,
        mut chunks: Vec<Chunk>,
        files: Option<Arc<SpoolFiles>>,
    ) {
        self.recycle(chunks.drain(..));
        if chunks.capacity() >= MAX_SPARE && self.spare_lists.len() < MAX_SPARE_LISTS {
            self.spare_lists.push(chunks);
        }
        self.leftovers.release(files);
    }

    /// What files that are no longer needed take on disk, in bytes.
    pub(super) fn leftover_bytes(&self) -> usize {
        self.leftovers.bytes()
    }

    pub(super) fn has_leftovers(&self) -> bool {
        !self.leftovers.is_empty()
    }

    pub(super) fn take_leftovers(&mut self) -> Leftovers {
        std::mem::take(&mut self.leftovers)
    }

    /// Gives up the segments of shards, which write no more.
    pub(super) fn give_up(&mut self, segments: impl IntoIterator<Item = Segment>) {
        self.leftovers.segments.extend(segments);
    }

    /// Gives up unused segments that are lost.
    pub(super) fn give_up_lost(&mut self) {
        let spare = self.spare.iter_mut().chain(&mut self.spare_small);
        self.leftovers.segments.extend(spare.filter_map(Chunk::take_lost_segment));
    }

    /// Gives up unused segments. Returns how many to create, to see whether the disk works again.
    pub(super) fn give_up_unused(&mut self) -> usize {
        let small = self.spare_small.drain(..).filter_map(|mut chunk| chunk.take_segment());
        self.leftovers.segments.extend(small);
        self.leftovers.segments.extend(self.spare.iter_mut().filter_map(Chunk::take_segment));
        self.target = self.target.min(MIN_READY);
        self.target.max(1)
    }

    /// Gives up everything, and keeps nothing from now on.
    pub(super) fn close(&mut self) {
        (self.target, self.max_spare) = (0, 0);
        for mut chunk in self.spare.drain(..).chain(self.spare_small.drain(..)) {
            self.leftovers.segments.extend(chunk.take_segment());
        }
    }
}
