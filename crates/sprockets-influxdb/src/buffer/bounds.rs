//! What still fits: into the spool while there is one that works, else into memory.

use super::chunk::{CHUNK_BYTES, SMALL_CHUNK_BYTES};
use super::chunk_pool::ChunkPool;
use super::size::Size;
use super::types::Limits;
use crate::spool::{MAX_LINE_BYTES, OVERHEAD, SealedFiles, Segments, Spool};

/// Closed batches that stay in memory beside a spool, in bytes. Those beyond it are sealed. A
/// server that answers takes so much soon.
pub(super) const MEMORY_BYTES: usize = 16 << 20;

/// A view of the queue, to compute what still fits.
pub(super) struct Bounds<'a> {
    pub(super) limits: &'a Limits,
    pub(super) spool: Option<&'a Spool>,
    pub(super) pool: &'a ChunkPool,
    /// Granted or in batches.
    pub(super) used: Size,
    /// Of that, lines that are on disk only.
    pub(super) on_disk: Size,
    /// The size of files that are being written for batches, in bytes.
    pub(super) being_sealed: usize,
}

impl Bounds<'_> {
    /// The spool, if its disk works.
    fn working_spool(&self) -> Option<&Spool> {
        self.spool.filter(|spool| !spool.health().is_failing())
    }

    /// What may still be added.
    pub(super) fn room(&self) -> Size {
        match self.working_spool() {
            Some(spool) => {
                let bytes = self.file_room(spool) + self.pool.ready() * CHUNK_BYTES;
                Size { lines: bytes / OVERHEAD, bytes }
            }
            None => self.limits.buffer - (self.used - self.on_disk),
        }
    }

    /// Whether a line fits that goes into a new chunk.
    pub(super) fn fits(&self, needed: Size) -> bool {
        match self.working_spool() {
            Some(_) if needed.bytes > MAX_LINE_BYTES => {
                self.limits.buffer.bytes >= (self.used - self.on_disk + needed).bytes
            }
            Some(_) => !self.lacks_file(needed),
            None => self.room().covers(needed),
        }
    }

    /// Whether there is a working spool without room for the file of a new chunk. Lines that are
    /// too long for a file wait in memory only.
    pub(super) fn lacks_file(&self, needed: Size) -> bool {
        needed.bytes <= MAX_LINE_BYTES
            && self.working_spool().is_some_and(|spool| {
                let is_ready = needed.bytes <= CHUNK_BYTES && self.pool.ready() > 0;
                !is_ready && self.file_room(spool) < needed.bytes.max(OVERHEAD)
            })
    }

    /// Whether there is room for files of new chunks. False without a spool.
    pub(super) fn has_file_room(&self) -> bool {
        self.spool.is_some_and(|spool| self.file_room(spool) > 0)
    }

    /// What files of new chunks may take, in bytes.
    fn file_room(&self, spool: &Spool) -> usize {
        let batch = self.limits.batch;
        // An adding thread and the spool worker may each be about to create one.
        let mut reserve = 2 * Segments::file_size(CHUNK_BYTES);
        // A batch that is being sealed is on disk twice for a moment.
        if self.limits.spool_bytes > MEMORY_BYTES {
            let file = SealedFiles::max_file_size(batch.lines, batch.bytes);
            reserve += file.min(self.limits.spool_bytes / 4);
        }
        self.disk_room(spool).saturating_sub(reserve)
    }

    /// What files may take, in bytes.
    pub(super) fn disk_room(&self, spool: &Spool) -> usize {
        let limit = self.limits.spool_bytes as u64;
        let others = spool.recovery.used_by_others().min(limit);
        let sealed = spool.sealed.bytes() + self.being_sealed;
        ((limit - others) as usize).saturating_sub(spool.segments.bytes() + sealed)
    }

    /// The capacity of a new chunk. Small for a database that is one of many, if there is a file
    /// for it.
    pub(super) fn chunk_capacity(&self, is_full_size: bool) -> usize {
        let has_file = self
            .working_spool()
            .is_none_or(|spool| self.pool.has_small() || self.file_room(spool) > 0);
        if is_full_size || !has_file { CHUNK_BYTES } else { SMALL_CHUNK_BYTES }
    }

    /// What to grant to a shard: a part of what still fits and of the lines to the trigger size, so
    /// that other shards get theirs.
    pub(super) fn grant(&self, needed: Size, lines_to_trigger: usize) -> Option<Size> {
        let room = self.room();
        let lines = room.lines.min(lines_to_trigger);
        if lines < needed.lines || !self.fits(needed) {
            return None;
        }
        let lines = (lines / 8).clamp(lines.min(16), 256);
        let bytes = (room.bytes / 8).clamp(needed.bytes, needed.bytes.max(CHUNK_BYTES));
        Some(Size { lines, bytes })
    }
}
