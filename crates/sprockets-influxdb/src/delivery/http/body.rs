//! The body of one request: a batch's chunks, plain or compressed. Chunks are not copied together.

use std::io::{self, Read};

use crate::buffer::Batch;
use crate::delivery::compression;

/// What is sent for a batch. Its length is known beforehand: servers do not limit a body without
/// one.
#[derive(Debug)]
pub(super) enum Body {
    Plain { length: u64 },
    Gzip(Vec<u8>),
}

impl Body {
    pub(super) fn of(batch: &Batch, gzip: bool) -> Self {
        let compressed = if gzip { compression::gzip(batch) } else { None };
        let length = batch.chunks().map(|chunk| chunk.len() as u64).sum();
        compressed.map_or(Self::Plain { length }, Self::Gzip)
    }

    /// Bytes on the wire.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Plain { length } => *length,
            Self::Gzip(compressed) => compressed.len() as u64,
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    /// Reads the bytes, once. `batch` is the one that this body was made of.
    pub(super) fn reader<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Reader<'a, impl Iterator<Item = &'a [u8]>> {
        let (compressed, chunks) = match self {
            Self::Plain { .. } => (None, Some(batch.chunks())),
            Self::Gzip(compressed) => (Some(compressed.as_slice()), None),
        };
        Reader {
            pieces: compressed.into_iter().chain(chunks.into_iter().flatten()),
            piece: &[],
            taken: 0,
        }
    }
}

/// Reads pieces one after another, and counts the bytes.
#[derive(Debug)]
pub(super) struct Reader<'a, I> {
    pieces: I,
    piece: &'a [u8],
    taken: u64,
}

impl<I> Reader<'_, I> {
    /// How many bytes have been read.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }
}

impl<'a, I: Iterator<Item = &'a [u8]>> Read for Reader<'a, I> {
    /// Fills the buffer as far as possible: each read becomes a write to the socket.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.piece.is_empty() {
                match self.pieces.next() {
                    Some(piece) => self.piece = piece,
                    None => break,
                }
            }
            filled += self.piece.read(&mut buffer[filled..])?;
        }
        self.taken += filled as u64;
        Ok(filled)
    }
}

#[cfg(test)]
mod tests;
