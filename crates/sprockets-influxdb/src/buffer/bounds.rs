//! What still fits: into the spool while there is one that works, else into memory.

use super::chunk::{CHUNK_BYTES, SMALL_CHUNK_BYTES};
use super::chunk_pool::ChunkPool;
use super::size::Size;
use super::types::Limits;
use crate::spool::{MAX_LINE_BYTES, Merging, OVERHEAD, SealedFiles, Segments, Spool};

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

/// The part of the spool's limit that is kept for files which make room, in bytes. A batch that is
/// being sealed, and small files that are being merged, are on disk twice for a moment.
pub(super) fn reserve(limits: &Limits) -> usize {
    let merged = Merging::max_bytes(limits.spool_bytes);
    if limits.spool_bytes <= MEMORY_BYTES {
        return merged;
    }
    let file = SealedFiles::max_file_size(limits.batch.lines, limits.batch.bytes);
    file.min(limits.spool_bytes / 4).max(merged)
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
                let ready = self.pool.ready() * CHUNK_BYTES;
                let bytes = self.file_room(spool) + ready + self.pool.small() * SMALL_CHUNK_BYTES;
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
                let is_ready = needed.bytes <= CHUNK_BYTES && self.pool.ready() > 0
                    || needed.bytes <= SMALL_CHUNK_BYTES && self.pool.small() > 0;
                !is_ready && self.file_room(spool) < needed.bytes.max(OVERHEAD)
            })
    }

    /// Whether there is room for files of new chunks. False without a spool.
    pub(super) fn has_file_room(&self) -> bool {
        self.spool.is_some_and(|spool| self.file_room(spool) > 0)
    }

    /// What files of new chunks may take, in bytes.
    fn file_room(&self, spool: &Spool) -> usize {
        // An adding thread and the spool worker may each be about to create one.
        let reserve = reserve(self.limits) + 2 * Segments::file_size(CHUNK_BYTES);
        self.room_with(spool, self.pool.leftover_bytes()).saturating_sub(reserve)
    }

    /// What files may take, in bytes.
    pub(super) fn disk_room(&self, spool: &Spool) -> usize {
        self.room_with(spool, 0)
    }

    /// The same, once files of `removable` bytes are removed.
    fn room_with(&self, spool: &Spool, removable: usize) -> usize {
        let used = usize::try_from(spool.used_bytes()).unwrap_or(usize::MAX);
        let limit = self.limits.spool_bytes.saturating_add(removable);
        limit.saturating_sub(used).saturating_sub(self.being_sealed)
    }

    /// The capacity of a new chunk for a line of `needed` bytes. With a spool it is small for the
    /// first lines of a process, and if there is a file for a small one only.
    pub(super) fn chunk_capacity(&self, is_full_size: bool, needed: usize) -> usize {
        let Some(spool) = self.working_spool() else {
            return if is_full_size { CHUNK_BYTES } else { SMALL_CHUNK_BYTES };
        };
        let has_room = self.file_room(spool) > 0;
        let has_small = has_room || self.pool.small() > 0;
        let has_full_size = has_room || self.pool.ready() > 0;
        let is_small = match is_full_size {
            false => has_small,
            true => {
                let is_preferred = self.pool.is_cold() || !has_full_size;
                is_preferred && has_small && needed <= SMALL_CHUNK_BYTES
            }
        };
        if is_small { SMALL_CHUNK_BYTES } else { CHUNK_BYTES }
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
