//! The segments of this process: created, synced and removed.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dir::SpoolDir;
use super::disk::{FileId, is_gone};
use super::format::MAX_HEADER_BYTES;
use super::segment::Segment;
use super::slot::{Slot, SlotFile, SlotFileKind};
use crate::sync::{Mutex, lock};
use crate::sys::Loss;

#[derive(Debug)]
pub(crate) struct Segments {
    dir: Arc<SpoolDir>,
    files: Mutex<HashMap<PathBuf, SegmentFile>>,
    /// Whether the slot has names that are not synced.
    has_new_names: AtomicBool,
    /// Held during a sync: when one returns, everything written before it began is on disk,
    /// including what a concurrent sync was writing.
    syncing: Mutex<()>,
}

/// What is known of the file of a segment beside the segment itself.
#[derive(Clone, Debug)]
struct SegmentFile {
    /// `None` if it could not be found out.
    id: Option<FileId>,
    bytes: usize,
    loss: Loss,
    /// Whether its loss was reported.
    is_reported: bool,
    /// Whether it was written to since its last sync. `None` if nothing is synced.
    dirty: Option<Arc<AtomicBool>>,
}

/// Segments that were found lost. Their lines are in memory only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Their mapped pages could not be provided.
    pub(crate) unwritable: usize,
    /// Another program removed, replaced or cut their files.
    pub(crate) removed: usize,
}

impl Segments {
    pub(super) fn new(dir: Arc<SpoolDir>) -> Self {
        Self {
            dir,
            files: Mutex::default(),
            has_new_names: AtomicBool::new(false),
            syncing: Mutex::default(),
        }
    }

    /// The file size of a segment for a chunk of this capacity in bytes.
    pub(crate) fn file_size(chunk_bytes: usize) -> usize {
        (chunk_bytes + chunk_bytes / 8 + 2 * MAX_HEADER_BYTES).next_multiple_of(4096)
    }

    /// Creates a segment for a chunk of this capacity. Returns `None` while the disk does not work,
    /// and if the spool has no room.
    pub(crate) fn create(&self, chunk_bytes: usize) -> Option<Segment> {
        if self.dir.health.is_failing() {
            return None;
        }
        let claim = self.dir.account.claim(Self::file_size(chunk_bytes) as u64)?;
        let created = self.try_create(chunk_bytes);
        created
            .inspect(|_| claim.keep())
            .map_err(|error| self.dir.fail("be written to", &error))
            .ok()
    }

    fn try_create(&self, chunk_bytes: usize) -> io::Result<Segment> {
        self.dir.in_slot(|slot| self.create_in(slot, chunk_bytes))
    }

    fn create_in(&self, slot: Arc<Slot>, chunk_bytes: usize) -> io::Result<Segment> {
        let capacity = Self::file_size(chunk_bytes);
        let path = slot.open_path();
        let map = self.dir.disk.map_new(&path, capacity)?;
        self.has_new_names.store(true, Ordering::Relaxed);
        let dirty = self.dir.is_synced().then(|| Arc::new(AtomicBool::new(true)));
        let id = self.dir.disk.stat(&path).ok().map(|file| file.id);
        let (bytes, loss, is_reported) = (capacity, map.loss(), false);
        let file = SegmentFile { id, bytes, loss, is_reported, dirty: dirty.clone() };
        lock(&self.files).insert(path.clone(), file);
        Ok(Segment::new(map, path, slot, self.dir.health.suspended(), dirty))
    }

    /// Removes the file of a segment.
    pub(crate) fn remove(&self, segment: Segment) {
        lock(&self.files).remove(segment.path());
        // If it cannot be removed, the next process delivers its lines once more, which InfluxDB
        // stores as the same points.
        let _ = self.dir.disk.remove(segment.path());
        self.dir.account.release(segment.capacity() as u64);
    }

    /// Finds segments that are lost since the last call. New ones are created in a new slot if the
    /// slot was removed.
    pub(crate) fn find_losses(&self) -> Losses {
        let removed_slot = self.dir.forget_removed_slot();
        let known = lock(&self.files).clone();
        let mut losses = Losses::default();
        for (path, file) in known.iter().filter(|(_, file)| !file.is_reported) {
            let is_in_removed_slot =
                || removed_slot.as_ref().is_some_and(|slot| path.starts_with(slot.directory()));
            if file.loss.is_lost() {
                losses.unwritable += 1;
            } else if is_in_removed_slot() || self.is_removed(path, file) {
                file.loss.set();
                losses.removed += 1;
            } else {
                continue;
            }
            if let Some(file) = lock(&self.files).get_mut(path) {
                file.is_reported = true;
            }
        }
        if losses.unwritable > 0 {
            let why = "the disk is full, or another program cut a file";
            self.dir.fail("be written to", &io::Error::other(why));
        }
        losses
    }

    /// Reports segments no more that were lost while the disk did not answer.
    pub(crate) fn acknowledge_losses(&self) {
        lock(&self.files).values_mut().for_each(|file| file.is_reported |= file.loss.is_lost());
    }

    fn is_removed(&self, path: &Path, known: &SegmentFile) -> bool {
        match self.dir.disk.stat(path) {
            Ok(found) => {
                known.id.is_some_and(|id| id != found.id) || found.bytes < known.bytes as u64
            }
            Err(error) => {
                // Unless it was delivered and removed meanwhile.
                is_gone(&error) && lock(&self.files).contains_key(path)
            }
        }
    }

    /// Makes everything that was written survive a loss of power. Returns whether it does.
    pub(crate) fn sync(&self) -> bool {
        self.try_sync().map_err(|error| self.dir.fail("be synced", &error)).is_ok()
    }

    fn try_sync(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.syncing);
        let Some(slot) = self.dir.current_slot() else { return Ok(()) };
        for SlotFile { path, kind, .. } in slot.files()?.0 {
            let dirty = lock(&self.files).get(&path).and_then(|file| file.dirty.clone());
            let is_clean = |dirty: &Arc<AtomicBool>| !dirty.swap(false, Ordering::Acquire);
            if kind != SlotFileKind::Open || dirty.as_ref().is_some_and(is_clean) {
                continue;
            }
            match self.dir.disk.sync(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    dirty.inspect(|dirty| dirty.store(true, Ordering::Relaxed));
                    return Err(error);
                }
                _ => {}
            }
        }
        if self.has_new_names.swap(false, Ordering::Relaxed) {
            let synced = self.dir.sync_names(&slot);
            synced.inspect_err(|_| self.has_new_names.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }

    /// Retries everything that is asked of a disk after a failure. Returns `count` segments for
    /// chunks of this capacity if the disk works again.
    pub(crate) fn retry(&self, chunk_bytes: usize, count: usize) -> Option<Vec<Segment>> {
        self.dir.health.allow_reads();
        let mut segments = Vec::new();
        let mut result = Ok(());
        while result.is_ok() && segments.len() < count {
            let claim = self.dir.account.claim(Self::file_size(chunk_bytes) as u64);
            let Some(claim) = claim else { break };
            result = self.try_create(chunk_bytes).map(|segment| {
                claim.keep();
                segments.push(segment);
            });
        }
        if result.is_ok() && self.dir.is_synced() {
            result = self.try_sync();
        }
        self.dir.health.set_failing(result.is_err());
        if result.is_err() {
            segments.drain(..).for_each(|segment| self.remove(segment));
        }
        result.is_ok().then_some(segments)
    }
}
