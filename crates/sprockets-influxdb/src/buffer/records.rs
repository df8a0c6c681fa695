//! The records of a shard: accepted and counted like lines, but encoded later, many at once.
//!
//! Each one holds a place for its line in the chunk that it is for, at its maximum length. So
//! nothing about it is left to decide. Lines that are added meanwhile are written before it: the
//! order of lines says nothing, as each request has a timestamp of its own.

use std::sync::Arc;

use super::chunk::Chunk;
use crate::record::{Record, RecordHead, RecordValues};

/// How many are encoded at once. They take 8 KB.
const MAX_COUNT: usize = 64;

#[derive(Default)]
pub(super) struct Records {
    /// Those of `len`, and others whose memory is used again.
    list: Vec<Record>,
    len: usize,
    /// The index of the chunk that they are for.
    chunk: usize,
    /// The maximum length of their lines.
    bytes: usize,
}

impl Records {
    pub(super) fn lines(&self) -> usize {
        self.len
    }

    /// Lines and bytes for which a chunk has to keep room.
    #[inline]
    pub(super) fn reserved(&self, chunk: usize) -> (usize, usize) {
        if self.chunk == chunk { (self.len, self.bytes) } else { (0, 0) }
    }

    /// Whether they have to be encoded before one for this chunk is pushed.
    pub(super) fn are_due(&self, chunk: usize) -> bool {
        self.len >= MAX_COUNT || self.chunk != chunk && self.len > 0
    }

    #[inline]
    pub(super) fn push(
        &mut self,
        chunk: usize,
        head: &Arc<RecordHead>,
        timestamp: i64,
        values: &RecordValues<'_>,
    ) {
        self.chunk = chunk;
        self.bytes += values.max_len(head);
        match self.list.get_mut(self.len) {
            Some(record) => record.set(head, timestamp, values),
            None => {
                self.list.reserve_exact(MAX_COUNT - self.len);
                self.list.push(Record::new(head, timestamp, values));
            }
        }
        self.len += 1;
    }

    /// The index of the chunk that they are for, if there are any.
    pub(super) fn chunk(&self) -> Option<usize> {
        (self.len > 0).then_some(self.chunk)
    }

    /// Writes them to their chunk. Returns the bytes that they did not need.
    pub(super) fn write_to(&mut self, chunk: &mut Chunk) -> usize {
        let before = chunk.bytes().len();
        for record in self.list.iter().take(std::mem::take(&mut self.len)) {
            chunk.push(|bytes| record.write_to(bytes));
        }
        let written = chunk.bytes().len() - before;
        std::mem::take(&mut self.bytes).saturating_sub(written)
    }
}
