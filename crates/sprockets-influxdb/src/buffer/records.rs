//! The records of a shard: accepted and counted like lines, but encoded later, many at once.
//!
//! Each one holds a place for its line in the chunk that it is for, at its maximum length. So
//! nothing about it is left to decide. Lines that are added meanwhile are written before it: the
//! order of lines says nothing, as each request has a timestamp of its own.

use super::chunk::Chunk;
use crate::record::Record;

/// How many are encoded at once. They take 9 KB.
const MAX_COUNT: usize = 64;

#[derive(Default)]
pub(super) struct Records {
    list: Vec<Record>,
    /// The index of the chunk that they are for.
    chunk: usize,
    /// The maximum length of their lines.
    bytes: usize,
}

impl Records {
    pub(super) fn lines(&self) -> usize {
        self.list.len()
    }

    /// Lines and bytes for which a chunk has to keep room.
    #[inline]
    pub(super) fn reserved(&self, chunk: usize) -> (usize, usize) {
        if self.chunk == chunk { (self.list.len(), self.bytes) } else { (0, 0) }
    }

    /// Whether they have to be encoded before one for this chunk is pushed.
    pub(super) fn are_due(&self, chunk: usize) -> bool {
        self.list.len() >= MAX_COUNT || self.chunk != chunk && !self.list.is_empty()
    }

    pub(super) fn push(&mut self, chunk: usize, max_len: usize, record: Record) {
        if self.list.capacity() == 0 {
            self.list.reserve_exact(MAX_COUNT);
        }
        self.chunk = chunk;
        self.bytes += max_len;
        self.list.push(record);
    }

    /// The index of the chunk that they are for, if there are any.
    pub(super) fn chunk(&self) -> Option<usize> {
        (!self.list.is_empty()).then_some(self.chunk)
    }

    /// Writes them to their chunk. Returns the bytes that they did not need.
    pub(super) fn write_to(&mut self, chunk: &mut Chunk) -> usize {
        let before = chunk.bytes().len();
        for record in self.list.drain(..) {
            chunk.push(|bytes| record.write_to(bytes));
        }
        let written = chunk.bytes().len() - before;
        std::mem::take(&mut self.bytes).saturating_sub(written)
    }
}
