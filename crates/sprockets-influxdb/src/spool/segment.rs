//! A mapped file with the lines of a chunk that is in memory too: what survives the process when it is killed. Written to
//! by whoever adds, at the cost of a copy and a checksum; never read while the process lives; used again when its lines
//! are decided.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::Map;
use super::format::{MARK, MOST_BYTES, Salt, UNUSED, header};
use super::slot::Slot;
use crate::config::Precision;

#[derive(Debug)]
pub(crate) struct Segment {
    map: Map,
    path: PathBuf,
    /// Locked for as long as one of its files is in use.
    _slot: Arc<Slot>,
    capacity: usize,
    salt: Salt,
    /// Where the next line goes.
    at: usize,
    /// Set by each write, and cleared by what syncs the file, if anything does.
    is_written: Option<Arc<AtomicBool>>,
}

impl Segment {
    pub(super) fn new(
        mut map: Map,
        path: PathBuf,
        slot: Arc<Slot>,
        is_written: Option<Arc<AtomicBool>>,
    ) -> Self {
        let capacity = map.bytes().len();
        Self { map, path, _slot: slot, capacity, salt: Salt::new(0), at: 0, is_written }
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes it ready for lines of that kind, which nothing that was in it can be taken for. False if there is no room
    /// for any: the database's name is too long.
    pub(crate) fn begin(&mut self, database: &str, precision: Precision) -> bool {
        let salt = fastrand::u64(..);
        let header = header(database, precision, salt);
        if header.len() + 4 * MARK > self.capacity {
            return false;
        }
        self.salt = Salt::new(salt);
        self.at = header.len();
        // The second half first: whenever the process ends, the file is either still the old one or names the new.
        let half = header.len() / 2;
        self.write(header.len(), &[0; MARK]);
        self.write(half, &header.as_bytes()[half..]);
        self.write(0, &header.as_bytes()[..half]);
        true
    }

    /// Whether so many lines of so many bytes in all can be appended.
    #[inline]
    pub(crate) fn fits(&self, lines: usize, bytes: usize) -> bool {
        bytes <= MOST_BYTES && self.at + bytes + (lines + 1) * MARK <= self.capacity
    }

    /// Appends a line with its line feed. The caller has seen to it that it fits. It is there once its checksum is: in
    /// which order the bytes are written does not matter.
    #[inline]
    pub(crate) fn append(&mut self, line: &[u8]) {
        let mark = self.salt.mark(line);
        let start = self.at;
        let end = start + MARK + line.len();
        let Some(place) = self.map.bytes().get_mut(start..end + MARK) else { return };
        // In pieces of known sizes, which cost a store each.
        let Some((before, place)) = place.split_first_chunk_mut::<MARK>() else { return };
        let Some((place, after)) = place.split_last_chunk_mut::<MARK>() else { return };
        *before = mark;
        place.copy_from_slice(line);
        *after = [0; MARK];
        self.map.written(start..end + MARK);
        self.note_written();
        self.at = end;
    }

    /// Forgets its lines: they are decided, or in another file.
    pub(crate) fn clear(&mut self) {
        self.at = 0;
        self.write(0, UNUSED.as_bytes());
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.map.bytes()[at..at + bytes.len()].copy_from_slice(bytes);
        self.map.written(at..at + bytes.len());
        self.note_written();
    }

    #[inline]
    fn note_written(&self) {
        if let Some(is_written) = &self.is_written {
            is_written.store(true, Ordering::Release);
        }
    }
}
