//! A chunk: a piece of memory with whole lines, and with a spool the segment that has the same
//! lines on disk.

use crate::config::Precision;
use crate::line_protocol::split::{line_end, lines_with_ends};
use crate::spool::{MAX_LINE_BYTES, OVERHEAD, Segment};
use crate::sys;

/// The usual capacity, and the one of pooled chunks. Small enough for many databases and threads,
/// large enough that a thread rarely asks for the next one.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// The capacity of chunks of databases that are one of many.
pub(super) const SMALL_CHUNK_BYTES: usize = 4 * 1024;

/// Whole lines, each with its line feed. Adding a line never moves the others. Only
/// [`append_growing`](Chunk::append_growing) exceeds the initial capacity.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// The start of the first line. Those before it were dropped as the oldest.
    start: usize,
    lines: usize,
    segment: Option<Segment>,
    /// Whether its memory is new and not populated: the system may have provided none of it.
    is_fresh: bool,
}

impl Chunk {
    /// Of capacity 0 if the memory cannot be had, or if little would be left: what is smaller than
    /// a chunk cannot be done without, and ends the process if it cannot be had.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::new();
        if sys::has_memory_for(capacity) {
            // Its error leaves a capacity of 0.
            let _ = bytes.try_reserve_exact(capacity);
        }
        Self { bytes, is_fresh: true, ..Self::default() }
    }

    /// Has the system provide all its memory at once, if it is fresh. Otherwise the first line in
    /// each page waits for the system.
    pub(super) fn populate(&mut self) {
        if std::mem::take(&mut self.is_fresh) {
            sys::populate(self.bytes.spare_capacity_mut());
        }
    }

    /// A chunk of this number of lines.
    pub(crate) fn of(bytes: Vec<u8>, lines: usize) -> Self {
        Self { bytes, lines, ..Self::default() }
    }

    /// Whether this number of lines, with this number of bytes in all, can be appended.
    #[inline]
    pub(crate) fn fits(&self, lines: usize, bytes: usize) -> bool {
        self.bytes.capacity() - self.bytes.len() >= bytes
            && self.segment.as_ref().is_none_or(|segment| segment.fits(lines, bytes))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The memory that it takes, in bytes. A segment's file is mapped to memory.
    pub(crate) fn memory(&self) -> usize {
        let mapped = self.segment.as_ref().map_or(0, Segment::capacity);
        self.bytes.capacity().max(mapped)
    }

    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    /// Its lines.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether its lines are on disk as well.
    pub(crate) fn has_segment(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| !segment.is_lost())
    }

    /// Whether a line is written to disk as it is appended.
    pub(super) fn writes_to_segment(&self) -> bool {
        self.segment.is_some()
    }

    /// Takes a segment that does not have its lines any more.
    pub(crate) fn take_lost_segment(&mut self) -> Option<Segment> {
        self.segment.take_if(|segment| segment.is_lost())
    }

    /// Accepts no more lines if its segment is lost, so that the next ones go to another chunk.
    pub(crate) fn end_if_lost(&mut self) {
        let lost = self.segment.as_mut().filter(|segment| segment.is_lost());
        lost.into_iter().for_each(Segment::end);
    }

    /// Writes lines to a segment as well from now on.
    pub(crate) fn set_segment(&mut self, segment: Segment) {
        self.segment = Some(segment);
    }

    pub(crate) fn take_segment(&mut self) -> Option<Segment> {
        self.segment.take()
    }

    /// Whether its lines fit into a segment. A single line may be too long.
    pub(crate) fn fits_segment(&self) -> bool {
        self.bytes().len() <= MAX_LINE_BYTES
    }

    /// The capacity of a segment for its lines, and for those that may follow.
    pub(crate) fn segment_bytes(&self, database: &str) -> usize {
        // In the two headers each byte of the name may take three.
        let needed = self.bytes().len() + self.lines * OVERHEAD + 6 * database.len();
        self.bytes.capacity().max(needed)
    }

    /// Writes its lines to a segment, and keeps it. Returns the segment if they do not fit.
    pub(crate) fn write_to(
        &mut self,
        mut segment: Segment,
        database: &str,
        precision: Precision,
    ) -> Option<Segment> {
        let is_ready = segment.begin(database, precision);
        if !is_ready || !segment.fits(self.lines, self.bytes().len()) {
            return Some(segment);
        }
        lines_with_ends(self.bytes()).for_each(|line| segment.append(line));
        self.segment = Some(segment);
        None
    }

    /// Prepares an empty chunk for lines of this database and precision. Returns the segment if it
    /// cannot be prepared.
    pub(crate) fn begin(&mut self, database: &str, precision: Precision) -> Option<Segment> {
        let is_ready =
            self.segment.as_mut().is_none_or(|segment| segment.begin(database, precision));
        if is_ready { None } else { self.segment.take() }
    }

    /// Appends one line, which `write` appends to the bytes. It has to fit.
    #[inline]
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.lines += 1;
        if let Some(segment) = &mut self.segment {
            segment.append(&self.bytes[start..]);
        }
    }

    /// Whether all lines of another chunk can be copied to this one. Lines that are on disk are not
    /// copied to where they would be in memory only.
    pub(crate) fn can_append(&self, other: &Self) -> bool {
        self.fits(other.lines, other.bytes().len()) && (self.has_segment() || !other.has_segment())
    }

    /// Appends a copy of whole lines, which have to fit.
    pub(crate) fn append(&mut self, bytes: &[u8], lines: usize) {
        self.bytes.extend_from_slice(bytes);
        self.lines += lines;
        if let Some(segment) = &mut self.segment {
            lines_with_ends(bytes).for_each(|line| segment.append(line));
        }
    }

    /// As [`can_append`](Self::can_append), if this one grows to the size of pooled chunks.
    pub(crate) fn can_append_growing(&self, other: &Self) -> bool {
        let bytes = other.bytes().len();
        self.bytes.len() + bytes <= CHUNK_BYTES
            && self.segment.as_ref().is_none_or(|segment| segment.fits(other.lines, bytes))
            && (self.has_segment() || !other.has_segment())
    }

    /// Appends a copy of the lines of another chunk. Grows by little more than it needs: what waits
    /// may be a few lines for each of many databases.
    pub(crate) fn append_growing(&mut self, other: &Self) {
        let needed = other.bytes().len();
        if self.bytes.capacity() - self.bytes.len() < needed {
            self.bytes.reserve_exact(needed + slack(self.bytes.len()));
        }
        self.append(other.bytes(), other.lines);
    }

    /// Moves the lines to memory of their size if much of the capacity is unused. Returns the old
    /// memory as an empty chunk.
    pub(crate) fn shrink(&mut self) -> Option<Self> {
        self.segment.iter().for_each(Segment::release_unused);
        let used = self.bytes().len();
        if self.bytes.capacity() <= used + slack(used) {
            return None;
        }
        let mut copy = Vec::with_capacity(used);
        copy.extend_from_slice(self.bytes());
        self.start = 0;
        let mut bytes = std::mem::replace(&mut self.bytes, copy);
        bytes.clear();
        Some(Self { bytes, ..Self::default() })
    }

    /// Drops the first line. Returns its length, or `None` if there is none.
    pub(crate) fn drop_first_line(&mut self) -> Option<usize> {
        let len = line_end(self.bytes());
        self.lines = self.lines.checked_sub(1)?;
        self.start += len;
        Some(len)
    }

    pub(crate) fn clear(&mut self) {
        self.is_fresh &= self.bytes.is_empty();
        self.bytes.clear();
        self.start = 0;
        self.lines = 0;
        if let Some(segment) = &mut self.segment {
            segment.clear();
        }
    }
}

/// Unused bytes that are tolerated beside this number of used ones.
fn slack(used: usize) -> usize {
    used / 16
}
