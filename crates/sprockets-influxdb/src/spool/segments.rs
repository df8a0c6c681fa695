//! The segments of this process: created, synced and removed.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::dir::SpoolDir;
use super::format::MAX_HEADER_BYTES;
use super::segment::Segment;
use super::slot::{SlotFile, SlotFileKind};
use crate::sync::{Mutex, lock};

#[derive(Debug)]
pub(crate) struct Segments {
    dir: Arc<SpoolDir>,
    /// The size of all segments, whether or not they have lines.
    bytes: AtomicUsize,
    /// For each segment, whether it was written to since its last sync. Empty if nothing is synced.
    dirty: Mutex<HashMap<PathBuf, Arc<AtomicBool>>>,
    /// Whether the slot has names that are not synced.
    has_new_names: AtomicBool,
    /// Held during a sync: when one returns, everything written before it began is on disk,
    /// including what a concurrent sync was writing.
    syncing: Mutex<()>,
}

impl Segments {
    pub(super) fn new(dir: Arc<SpoolDir>) -> Self {
        Self {
            dir,
            bytes: AtomicUsize::new(0),
            dirty: Mutex::default(),
            has_new_names: AtomicBool::new(false),
            syncing: Mutex::default(),
        }
    }

    /// The file size of a segment for a chunk of this capacity in bytes.
    pub(crate) fn file_size(chunk_bytes: usize) -> usize {
        (chunk_bytes + chunk_bytes / 8 + 2 * MAX_HEADER_BYTES).next_multiple_of(4096)
    }

    /// The size of all segments in bytes, whether or not they have lines.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Creates a segment for a chunk of this capacity. Returns `None` while the disk does not work.
    pub(crate) fn create(&self, chunk_bytes: usize) -> Option<Segment> {
        if self.dir.health().is_failing() {
            return None;
        }
        let created = self.try_create(chunk_bytes);
        created.map_err(|error| self.dir.fail("be written to", &error)).ok()
    }

    fn try_create(&self, chunk_bytes: usize) -> io::Result<Segment> {
        let capacity = Self::file_size(chunk_bytes);
        let slot = self.dir.slot()?;
        let path = slot.open_path();
        let map = self.dir.disk().map_new(&path, capacity)?;
        self.bytes.fetch_add(capacity, Ordering::Relaxed);
        self.has_new_names.store(true, Ordering::Relaxed);
        let dirty = self.dir.is_synced().then(|| Arc::new(AtomicBool::new(true)));
        if let Some(dirty) = &dirty {
            lock(&self.dirty).insert(path.clone(), dirty.clone());
        }
        Ok(Segment::new(map, path, slot, dirty))
    }

    /// Removes the file of a segment.
    pub(crate) fn remove(&self, segment: Segment) {
        lock(&self.dirty).remove(segment.path());
        // If it cannot be removed, the next process delivers its lines once more, which InfluxDB
        // stores as the same points.
        let _ = self.dir.disk().remove(segment.path());
        self.bytes.fetch_sub(segment.capacity(), Ordering::Relaxed);
    }

    /// Makes everything that was written survive a loss of power. Returns whether it does.
    pub(crate) fn sync(&self) -> bool {
        self.try_sync().map_err(|error| self.dir.fail("be synced", &error)).is_ok()
    }

    fn try_sync(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.syncing);
        let Some(slot) = self.dir.current_slot() else { return Ok(()) };
        for SlotFile { path, kind, .. } in slot.files()?.0 {
            let dirty = lock(&self.dirty).get(&path).cloned();
            let is_clean = |dirty: &Arc<AtomicBool>| !dirty.swap(false, Ordering::Acquire);
            if kind != SlotFileKind::Open || dirty.as_ref().is_some_and(is_clean) {
                continue;
            }
            match self.dir.disk().sync(&path) {
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
        self.dir.forget_removed_slot();
        self.dir.health().allow_reads();
        let mut segments = Vec::new();
        let mut result = Ok(());
        while result.is_ok() && segments.len() < count {
            result = self.try_create(chunk_bytes).map(|segment| segments.push(segment));
        }
        if result.is_ok() && self.dir.is_synced() {
            result = self.try_sync();
        }
        self.dir.health().set_failing(result.is_err());
        if result.is_err() {
            segments.drain(..).for_each(|segment| self.remove(segment));
        }
        result.is_ok().then_some(segments)
    }
}
