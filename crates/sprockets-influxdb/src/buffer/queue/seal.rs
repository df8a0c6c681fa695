//! Batches that are moved from memory to sealed files, or that wait in memory only, and what else
//! there is for the spool worker.

use std::path::PathBuf;

use super::Queue;
use crate::buffer::batch::Batch;
use crate::buffer::bounds::MEMORY_BYTES;
use crate::buffer::size::Size;
use crate::buffer::types::QueueEnd;
use crate::spool::{SealedFile, SealedFiles};

/// A batch that is being sealed.
pub(crate) struct Sealing {
    pub(crate) batch: Batch,
    /// What its file may take, in bytes.
    file_size: usize,
}

impl Queue {
    /// Whether the spool worker has something to do.
    pub(crate) fn has_spool_work(&self) -> bool {
        self.pool.has_leftovers()
            || self.lacks_chunks()
            || self.lacks_small_chunk()
            || self.has_to_seal()
            || self.has_unspooled()
    }

    /// Whether the spool worker has to prepare a chunk, and there is room for its file.
    pub(crate) fn lacks_chunks(&self) -> bool {
        self.pool.missing() > 0 && self.bounds().has_file_room()
    }

    /// The same for a small chunk.
    pub(crate) fn lacks_small_chunk(&self) -> bool {
        self.pool.lacks_small() && self.bounds().has_file_room()
    }

    /// Whether batches in memory take more than they may beside a spool.
    pub(crate) fn has_to_seal(&self) -> bool {
        self.find_to_seal(MEMORY_BYTES).is_some()
    }

    /// The index of the oldest batch to seal. One that is on disk already stays in memory if there
    /// is no room for another file.
    fn find_to_seal(&self, max_bytes: usize) -> Option<usize> {
        let room = self.bounds().disk_room(self.spool.as_ref()?);
        self.ready.find_to_seal(max_bytes, |batch| {
            !batch.is_spooled() || SealedFiles::max_file_size(batch.lines(), batch.len()) <= room
        })
    }

    /// Takes the oldest batch to seal, if batches in memory take more than `max_bytes`.
    pub(crate) fn begin_seal(&mut self, max_bytes: usize) -> Option<Sealing> {
        let index = self.find_to_seal(max_bytes)?;
        let mut batch = self.ready.remove(index)?;
        self.note_taken(&mut batch);
        let file_size = SealedFiles::max_file_size(batch.lines(), batch.len());
        self.being_sealed += file_size;
        Some(Sealing { batch, file_size })
    }

    /// Adds a batch that was sealed to the backlog.
    pub(crate) fn end_seal(&mut self, sealing: Sealing, sealed: SealedFile) {
        let Sealing { mut batch, file_size } = sealing;
        self.being_sealed -= file_size;
        self.note_returned(&mut batch);
        let (chunks, files) = batch.set_sealed(sealed);
        self.pool.recycle_storage(chunks, files);
        self.ready.put_back(batch, QueueEnd::Back);
    }

    /// Puts back a batch that could not be sealed.
    pub(crate) fn cancel_seal(&mut self, sealing: Sealing, is_unsealable: bool) {
        let Sealing { mut batch, file_size } = sealing;
        self.being_sealed -= file_size;
        self.note_returned(&mut batch);
        batch.is_unsealable = is_unsealable;
        self.ready.put_back(batch, QueueEnd::Front);
    }

    /// Whether the disk works, and a batch could be written to it that is in memory only.
    fn has_unspooled(&self) -> bool {
        let works = self.spool.as_ref().is_some_and(|spool| !spool.health().is_failing());
        works && self.find_unspooled().is_some()
    }

    fn find_unspooled(&self) -> Option<usize> {
        let room = self.bounds().disk_room(self.spool.as_ref()?);
        self.ready.find_unspooled(|batch| batch.segments_bytes() <= room)
    }

    /// Takes the oldest batch that was added while the disk failed, or whose files were lost.
    pub(crate) fn take_unspooled(&mut self) -> Option<Batch> {
        let index = self.find_unspooled()?;
        let mut batch = self.ready.remove(index)?;
        self.note_taken(&mut batch);
        Some(batch)
    }

    /// The paths of the files of lines that are on disk only.
    pub(crate) fn sealed_paths(&self) -> Vec<PathBuf> {
        self.ready.sealed_paths()
    }

    /// Drops lines whose files are at these paths and were removed. Returns how many.
    pub(crate) fn drop_removed(&mut self, paths: &[PathBuf]) -> usize {
        let mut lines = 0;
        for path in paths {
            let Some(batch) = self.ready.take_sealed(path) else { continue };
            lines += batch.lines();
            self.correct(batch.sequence, batch.size(), Size::default());
            self.pool.recycle_batch(batch);
        }
        lines
    }
}
