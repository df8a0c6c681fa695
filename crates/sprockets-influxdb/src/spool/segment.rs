//! A segment of the write-ahead log: a mapped file with the same lines as one chunk in memory. The
//! kernel keeps it when the process is killed. The thread that adds a line writes it here as well,
//! which costs a copy and a checksum. A segment is never read while its process lives, and is used
//! again when its lines are decided.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::Map;
use super::format::{MARK, MAX_LINE_BYTES, Salt, UNUSED, header};
use super::slot::Slot;
use crate::config::Precision;

#[derive(Debug)]
pub(crate) struct Segment {
    map: Map,
    path: PathBuf,
    /// Locked while one of its files is in use.
    _slot: Arc<Slot>,
    capacity: usize,
    salt: Salt,
    /// The offset of the next line.
    end: usize,
    /// Set while the disk does not answer.
    is_suspended: Arc<AtomicBool>,
    /// Set by each write, cleared by each sync. `None` if nothing syncs the file.
    dirty: Option<Arc<AtomicBool>>,
}

impl Segment {
    pub(super) fn new(
        mut map: Map,
        path: PathBuf,
        slot: Arc<Slot>,
        is_suspended: Arc<AtomicBool>,
        dirty: Option<Arc<AtomicBool>>,
    ) -> Self {
        let capacity = map.bytes().len();
        let salt = Salt::new(0);
        Self { map, path, _slot: slot, capacity, salt, end: 0, is_suspended, dirty }
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The size of its file in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Prepares it for lines of this database and precision. Lines of an earlier use no longer
    /// count. Returns false if there is no room for a line because the name of the database is too
    /// long.
    pub(crate) fn begin(&mut self, database: &str, precision: Precision) -> bool {
        let salt = fastrand::u64(..);
        let header = header(database, precision, salt);
        if header.len() + 4 * MARK > self.capacity {
            return false;
        }
        self.salt = Salt::new(salt);
        self.end = header.len();
        // The second copy first: whenever the process ends, the first copy is either the old header
        // or the complete new one.
        let half = header.len() / 2;
        self.write(header.len(), &[0; MARK]);
        self.write(half, &header.as_bytes()[half..]);
        self.write(0, &header.as_bytes()[..half]);
        true
    }

    /// Whether this number of lines, with this number of bytes in all, can be appended.
    #[inline]
    pub(crate) fn fits(&self, lines: usize, bytes: usize) -> bool {
        bytes <= MAX_LINE_BYTES && self.end + bytes + (lines + 1) * MARK <= self.capacity
    }

    /// Appends a line with its line feed, which has to fit. The checksum makes the order in which
    /// the bytes reach the disk irrelevant.
    #[inline]
    pub(crate) fn append(&mut self, line: &[u8]) {
        if self.is_suspended.load(Ordering::Relaxed) {
            return self.map.loss().set();
        }
        let mark = self.salt.mark(line);
        let start = self.end;
        let end = start + MARK + line.len();
        let Some(place) = self.map.bytes().get_mut(start..end + MARK) else { return };
        // Pieces of constant size compile to single stores.
        let Some((before, place)) = place.split_first_chunk_mut::<MARK>() else { return };
        let Some((place, after)) = place.split_last_chunk_mut::<MARK>() else { return };
        *before = mark;
        place.copy_from_slice(line);
        *after = [0; MARK];
        self.map.written(start..end + MARK);
        self.set_dirty();
        self.end = end;
    }

    /// Whether another program removed or cut its file, or the disk has no room for it. What is
    /// written to it does not survive the process.
    pub(crate) fn is_lost(&self) -> bool {
        self.map.loss().is_lost()
    }

    /// Accepts no more lines.
    pub(crate) fn end(&mut self) {
        self.end = self.capacity;
    }

    /// Gives back the memory that its lines do not use, if that is most of it.
    pub(crate) fn release_unused(&self) {
        let used = self.end + MARK;
        if used <= self.capacity / 2 {
            self.map.release(used);
        }
    }

    /// Discards its lines: they are decided, or in another file.
    pub(crate) fn clear(&mut self) {
        self.end = 0;
        self.write(0, UNUSED.as_bytes());
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if self.is_suspended.load(Ordering::Relaxed) {
            return self.map.loss().set();
        }
        self.map.bytes()[at..at + bytes.len()].copy_from_slice(bytes);
        self.map.written(at..at + bytes.len());
        self.set_dirty();
    }

    #[inline]
    fn set_dirty(&self) {
        if let Some(dirty) = &self.dirty {
            dirty.store(true, Ordering::Release);
        }
    }
}
