//! Storage that is not in use: chunks to be used again, with a spool each with the mapped file that is its segment; and files
//! that are done with, until somebody who may wait for the disk removes them.

use std::sync::Arc;

use super::batch::{Batch, SpoolFiles};
use super::chunk::Chunk;
use crate::config::Precision;
use crate::spool::{SealedFile, Segment, Spool};

/// Chunks of this size are used again. It is a compromise: small enough that many databases and threads cost little,
/// large enough that asking for the next one is rare.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// The size of the chunks of databases that are one of many.
pub(super) const SMALL_CHUNK_BYTES: usize = 4 * 1024;

/// Unused chunks that are kept: at most 4 MiB.
pub(super) const SPARE_CHUNKS: usize = 64;

/// As many of each size with a spool: making a file takes hundreds of times as long as using one again. At most 8 MiB in
/// memory, and as much on disk; less where the spool may have little.
const SPARE_CHUNKS_WITH_SEGMENTS: usize = 128;

/// Unused lists of chunks that are kept.
const SPARE_LISTS: usize = 8;

/// Chunks that are made before they are needed, at first.
const MIN_READY: usize = 4;

pub(super) struct ChunkPool {
    pub(super) spool: Option<Arc<Spool>>,
    spare: Vec<Chunk>,
    /// Small ones, with a spool.
    spare_small: Vec<Chunk>,
    /// Empty lists of chunks, so that a new batch need not allocate one.
    spare_lists: Vec<Vec<Chunk>>,
    pub(super) leftovers: Leftovers,
    /// Files whose lines were copied to others that are not synced yet.
    pub(super) retired: Vec<Segment>,
    /// How many chunks with segments are to be ready.
    wanted: usize,
    /// How many chunks are kept at all.
    most: usize,
}

/// Files that are done with.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    pub(super) segments: Vec<Segment>,
    pub(super) sealed: Vec<SealedFile>,
}

impl Leftovers {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.sealed.is_empty()
    }
}

impl ChunkPool {
    /// `spool_bytes` is the most that the spool may have on disk.
    pub(super) fn new(spool: Option<Arc<Spool>>, spool_bytes: usize) -> Self {
        let most = match spool {
            Some(_) => (spool_bytes / CHUNK_BYTES / 8).clamp(MIN_READY, SPARE_CHUNKS_WITH_SEGMENTS),
            None => SPARE_CHUNKS,
        };
        Self {
            spool,
            spare: Vec::new(),
            spare_small: Vec::new(),
            spare_lists: Vec::new(),
            leftovers: Leftovers::default(),
            retired: Vec::new(),
            wanted: MIN_READY,
            most,
        }
    }

    /// A chunk of that capacity, or of the one `needed` if that is more, for lines of that kind.
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
        if !chunk.has_segment() {
            if capacity == CHUNK_BYTES {
                self.wanted = (2 * self.wanted).min(SPARE_CHUNKS).min(self.most);
            }
            if let Some(segment) = spool.segments.create(capacity) {
                chunk.set_segment(segment);
            }
        }
        self.leftovers.segments.extend(chunk.begin(database, precision));
        if !chunk.fits(1, needed) {
            self.leftovers.segments.extend(chunk.take_segment());
        }
        chunk
    }

    /// One with a segment, if there is any.
    fn take_spare(&mut self) -> Option<Chunk> {
        if self.spool.is_none() {
            return self.spare.pop();
        }
        let index = self.spare.iter().rposition(Chunk::has_segment);
        index.or(self.spare.len().checked_sub(1)).map(|index| self.spare.swap_remove(index))
    }

    /// Where segments survive a loss of power, keeps that of a chunk whose lines were copied as it is, until the copy does,
    /// too.
    pub(super) fn retire(&mut self, chunk: &mut Chunk) {
        if self.spool.as_ref().is_some_and(|spool| spool.is_synced()) {
            self.retired.extend(chunk.take_segment());
        }
    }

    /// Uses segments again that were retired, after a sync.
    pub(super) fn reuse(&mut self, segments: Vec<Segment>) {
        for mut segment in segments {
            segment.clear();
            self.add_segment(segment);
        }
    }

    /// Has a segment ready, in a chunk that has none, if there is one: there are only so many.
    pub(super) fn add_segment(&mut self, segment: Segment) {
        if let Some(chunk) = self.spare.iter_mut().find(|chunk| !chunk.has_segment()) {
            chunk.set_segment(segment);
        } else if self.spare.len() < self.most {
            let mut chunk = Chunk::with_capacity(CHUNK_BYTES);
            chunk.set_segment(segment);
            self.spare.push(chunk);
        } else {
            self.leftovers.segments.push(segment);
        }
    }

    /// Empties a chunk whose lines were copied, for others of their kind; with a segment, if there is one.
    pub(super) fn renew(&mut self, chunk: &mut Chunk, database: &str, precision: Precision) {
        let had_segment = chunk.has_segment();
        self.retire(chunk);
        if had_segment && !chunk.has_segment() {
            let spare = self.take_spare();
            let copied = std::mem::replace(chunk, spare.unwrap_or_default());
            self.recycle([copied]);
        }
        chunk.clear();
        self.leftovers.segments.extend(chunk.begin(database, precision));
    }

    /// Gives up segments that are not in use. Returns how many are to be ready from here on.
    pub(super) fn release_unused(&mut self) -> usize {
        let small = self.spare_small.drain(..).filter_map(|mut chunk| chunk.take_segment());
        self.leftovers.segments.extend(small);
        self.leftovers.segments.extend(self.spare.iter_mut().filter_map(Chunk::take_segment));
        self.wanted = self.wanted.min(MIN_READY);
        self.wanted
    }

    /// How many chunks with segments are there.
    pub(super) fn ready(&self) -> usize {
        self.spare.iter().filter(|chunk| chunk.has_segment()).count()
    }

    pub(super) fn has_small(&self) -> bool {
        !self.spare_small.is_empty()
    }

    /// How many chunks with segments are missing.
    pub(super) fn missing(&self) -> usize {
        let works = self.spool.as_ref().is_some_and(|spool| !spool.is_failing());
        if works { self.wanted.saturating_sub(self.ready()) } else { 0 }
    }

    pub(super) fn recycle(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        for mut chunk in chunks {
            chunk.clear();
            let has_segment = chunk.has_segment();
            match chunk.capacity() {
                CHUNK_BYTES if self.spare.len() < self.most => self.spare.push(chunk),
                CHUNK_BYTES => {
                    chunk.take_segment().into_iter().for_each(|segment| self.add_segment(segment))
                }
                SMALL_CHUNK_BYTES if has_segment && self.spare_small.len() < self.most => {
                    self.spare_small.push(chunk);
                }
                _ => self.leftovers.segments.extend(chunk.take_segment()),
            }
        }
    }

    /// Keeps the storage of a batch that is done with.
    pub(super) fn recycle_batch(&mut self, batch: Batch) {
        let (chunks, files) = batch.into_storage();
        self.recycle_list(chunks);
        self.release(files);
    }

    pub(super) fn recycle_list(&mut self, mut chunks: Vec<Chunk>) {
        self.recycle(chunks.drain(..));
        if chunks.capacity() >= SPARE_CHUNKS && self.spare_lists.len() < SPARE_LISTS {
            self.spare_lists.push(chunks);
        }
    }

    /// Lets go of files, which are done with when no other part of their batch needs them.
    pub(super) fn release(&mut self, files: Option<Arc<SpoolFiles>>) {
        let mut next = files;
        while let Some(files) = next.take().and_then(Arc::into_inner) {
            for mut segment in files.segments {
                segment.clear();
                self.leftovers.segments.push(segment);
            }
            self.leftovers.sealed.extend(files.sealed);
            next = files.parent;
        }
    }

    /// An empty list for the chunks of a batch.
    pub(super) fn list(&mut self) -> Vec<Chunk> {
        self.spare_lists.pop().unwrap_or_else(|| Vec::with_capacity(SPARE_CHUNKS))
    }

    /// Gives up what is kept for later, as there is no later.
    pub(super) fn clear(&mut self) {
        (self.wanted, self.most) = (0, 0);
        for mut chunk in self.spare.drain(..).chain(self.spare_small.drain(..)) {
            self.leftovers.segments.extend(chunk.take_segment());
        }
    }
}
