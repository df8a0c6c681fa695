//! A batch: the lines of one request, for one database.

mod split;

use std::sync::Arc;

use super::chunk::Chunk;
use super::size::Size;
use super::spool_files::{BacklogPermit, SpoolFiles};
use super::types::{RetryState, SequenceNumber};
use crate::config::Precision;
use crate::line_protocol::split::{lines, lines_with_ends};
use crate::spool::{SealedFile, Segment, Segments};

/// Whole lines of one database and precision, in chunks, and the state of their delivery.
#[derive(Debug)]
pub(crate) struct Batch {
    database: Arc<str>,
    precision: Precision,
    /// Empty while the lines are on disk only.
    chunks: Vec<Chunk>,
    size: Size,
    /// Files with its lines, beside the segments of its chunks.
    files: Option<Arc<SpoolFiles>>,
    /// Whether `files` has a sealed file with exactly its lines.
    is_sealed: bool,
    /// Whether it is a part of a batch with lines in memory only, so that `files` may lack some.
    lacks_files: bool,
    /// Whether the queue counts its lines among those that were taken and are in memory only.
    pub(super) is_counted_unspooled: bool,
    /// Whether its lines do not fit into a sealed file.
    pub(super) is_unsealable: bool,
    /// Held while a batch of the backlog is being sent.
    pub(super) permit: Option<BacklogPermit>,
    pub(super) sequence: SequenceNumber,
    pub(crate) retry: RetryState,
}

impl Batch {
    pub(crate) fn new(database: Arc<str>, precision: Precision) -> Self {
        Self::with_storage(database, precision, Vec::new())
    }

    /// A batch of one line, with its line feed.
    pub(crate) fn of_line(database: Arc<str>, precision: Precision, line: &[u8]) -> Self {
        let mut batch = Self::new(database, precision);
        let mut chunk = Chunk::with_capacity(line.len());
        chunk.append(line, 1);
        batch.push_chunk(chunk);
        batch
    }

    /// An empty batch that uses an empty list again.
    pub(super) fn with_storage(
        database: Arc<str>,
        precision: Precision,
        chunks: Vec<Chunk>,
    ) -> Self {
        Self {
            database,
            precision,
            chunks,
            size: Size::default(),
            files: None,
            is_sealed: false,
            lacks_files: false,
            is_counted_unspooled: false,
            is_unsealable: false,
            permit: None,
            sequence: SequenceNumber::default(),
            retry: RetryState::default(),
        }
    }

    /// A batch whose lines are in a sealed file.
    pub(super) fn from_sealed(sealed: SealedFile) -> Self {
        let mut batch = Self::new(sealed.database.as_str().into(), sealed.precision);
        batch.size = Size { lines: sealed.lines, bytes: sealed.bytes };
        batch.set_sealed(sealed);
        batch
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(super) fn shared_database(&self) -> Arc<str> {
        self.database.clone()
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// What lines have to have in common to be sent together.
    pub(super) fn kind(&self) -> (Arc<str>, Precision) {
        (self.database.clone(), self.precision)
    }

    /// The number of lines.
    pub(crate) fn lines(&self) -> usize {
        self.size.lines
    }

    /// The length in bytes, line feeds included.
    pub(crate) fn len(&self) -> usize {
        self.size.bytes
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// The memory that its chunks take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.chunks.iter().map(Chunk::memory).sum()
    }

    /// Moves its lines to memory of their size. Returns the old memory: chunks, and their list.
    pub(super) fn shrink(&mut self) -> (Vec<Chunk>, Vec<Chunk>) {
        let old = self.chunks.iter_mut().filter_map(Chunk::shrink).collect();
        let mut list = Vec::with_capacity(self.chunks.len());
        list.append(&mut self.chunks);
        (old, std::mem::replace(&mut self.chunks, list))
    }

    /// Its chunks, as whole lines with their line feeds.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Chunk::bytes)
    }

    /// The lines, without their line feeds.
    pub(crate) fn iter_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks().flat_map(lines)
    }

    /// The lines, each with its line feed.
    pub(super) fn iter_lines_with_ends(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks().flat_map(lines_with_ends)
    }

    /// Whether its lines are on disk only.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.chunks.is_empty() && self.size.lines > 0
    }

    /// Whether its lines are on disk, and maybe in memory as well.
    pub(super) fn is_spooled(&self) -> bool {
        match &self.files {
            Some(files) if !self.lacks_files && !files.is_lost() => true,
            Some(_) if self.chunks.is_empty() => false,
            _ => self.chunks.iter().all(Chunk::has_segment),
        }
    }

    /// Whether each chunk fits into a segment.
    pub(super) fn fits_segments(&self) -> bool {
        self.chunks.iter().all(Chunk::fits_segment)
    }

    /// The most that segments may take for the chunks that have none, in bytes.
    pub(super) fn segments_bytes(&self) -> usize {
        let unspooled = self.chunks.iter().filter(|chunk| !chunk.has_segment());
        let bytes = |chunk: &Chunk| Segments::file_size(chunk.segment_bytes(&self.database));
        unspooled.map(bytes).sum()
    }

    /// Writes the chunks that have no segments to new ones, of the sizes that `create` gets. Stops
    /// if it returns `None`. Returns segments that were lost.
    pub(super) fn write_segments(
        &mut self,
        create: impl Fn(usize) -> Option<Segment>,
    ) -> Vec<Segment> {
        let mut lost = Vec::new();
        for chunk in self.chunks.iter_mut().filter(|chunk| !chunk.has_segment()) {
            let Some(segment) = create(chunk.segment_bytes(&self.database)) else { break };
            lost.extend(chunk.take_lost_segment());
            lost.extend(chunk.write_to(segment, &self.database, self.precision));
        }
        lost
    }

    /// The number of lines that are in memory only. A batch may have merged with one on disk.
    pub(super) fn unspooled(&self) -> usize {
        match &self.files {
            Some(_) => {
                if self.is_spooled() {
                    0
                } else {
                    self.lines()
                }
            }
            None => self.chunks.iter().filter(|c| !c.has_segment()).map(Chunk::lines).sum(),
        }
    }

    /// Whether lines of other batches may be added. A batch with files of its own keeps its lines.
    pub(super) fn is_mergeable(&self) -> bool {
        self.files.is_none()
    }

    /// The sealed file that has exactly its lines.
    pub(super) fn sealed_file(&self) -> Option<&SealedFile> {
        self.files.as_ref()?.sealed().filter(|_| self.is_sealed)
    }

    /// Puts its lines in memory, as they were read from its file.
    pub(super) fn set_lines(&mut self, bytes: Vec<u8>, lines: usize) {
        self.is_sealed &= lines == self.size.lines;
        self.size = Size { lines, bytes: bytes.len() };
        self.chunks = vec![Chunk::of(bytes, lines)];
    }

    /// Leaves its lines to a file that was just written. Returns what had them before.
    pub(super) fn set_sealed(
        &mut self,
        sealed: SealedFile,
    ) -> (Vec<Chunk>, Option<Arc<SpoolFiles>>) {
        self.is_sealed = true;
        self.lacks_files = false;
        let files = self.files.replace(SpoolFiles::of_sealed(sealed));
        (std::mem::take(&mut self.chunks), files)
    }

    /// Removes its lines from memory if a sealed file has them. Returns the chunks.
    pub(super) fn unload(&mut self) -> Vec<Chunk> {
        if self.sealed_file().is_some() { std::mem::take(&mut self.chunks) } else { Vec::new() }
    }

    /// Adds the lines of a chunk. If they fit into the last chunk, copies them and returns the
    /// chunk, which the caller has to clear.
    pub(super) fn push_chunk(&mut self, chunk: Chunk) -> Option<Chunk> {
        let lines = chunk.lines();
        self.size += Size { lines, bytes: chunk.bytes().len() };
        if let Some(last) = self.chunks.last_mut().filter(|last| last.can_append(&chunk)) {
            last.append(chunk.bytes(), lines);
            return Some(chunk);
        }
        if let Some(last) = self.chunks.last_mut().filter(|last| last.can_append_growing(&chunk)) {
            last.append_growing(&chunk);
            return Some(chunk);
        }
        self.chunks.push(chunk);
        None
    }

    /// Drops its first line. Returns the size of it, and the chunk if that is empty now.
    pub(super) fn drop_first_line(&mut self) -> (Size, Option<Chunk>) {
        let Some(first) = self.chunks.first_mut() else { return (Size::default(), None) };
        let dropped = match first.drop_first_line() {
            Some(bytes) => Size { lines: 1, bytes },
            None => Size::default(),
        };
        self.size -= dropped;
        let emptied = (first.lines() == 0).then(|| self.chunks.remove(0));
        (dropped, emptied)
    }

    /// A copy of its last line, which nobody counts. No line after it has another value for the
    /// same series and timestamp, so that to send it once more changes nothing.
    pub(crate) fn last_line(&self) -> Option<Self> {
        let last = self.chunks.iter().rfind(|chunk| chunk.lines() > 0)?;
        let line = lines_with_ends(last.bytes()).last()?;
        let mut copy = Self::new(self.database.clone(), self.precision);
        copy.push_chunk(Chunk::of(line.to_vec(), 1));
        Some(copy)
    }

    /// Its chunks and files, to be used again or released.
    pub(super) fn into_storage(self) -> (Vec<Chunk>, Option<Arc<SpoolFiles>>) {
        (self.chunks, self.files)
    }
}

#[cfg(any(test, fuzzing))]
impl Batch {
    /// A batch of these lines, for tests.
    pub(crate) fn of(database: &str, lines: &[&str]) -> Self {
        let mut batch = Self::new(database.into(), Precision::Nanoseconds);
        for line in lines {
            let mut chunk = Chunk::with_capacity(line.len() + 1);
            chunk.append(format!("{line}\n").as_bytes(), 1);
            batch.push_chunk(chunk);
        }
        batch
    }
}

#[cfg(test)]
mod tests;
