//! Compresses the lines of a batch.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::buffer::Batch;

/// In bytes. Below this, compression saves less than the headers weigh.
const MIN_BYTES: usize = 1024;

/// Measured on lines of 230 bytes, against this level: level 1 takes 0.6 times as long for 1.4
/// times the bytes, level 6 takes 2.2 times as long for 0.83 times the bytes.
const LEVEL: Compression = Compression::new(2);

/// The lines by gzip. `None` if that is not worth it.
pub(super) fn gzip(batch: &Batch) -> Option<Vec<u8>> {
    if batch.len() <= MIN_BYTES { None } else { compress(batch).ok() }
}

fn compress(batch: &Batch) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(batch.len() / 8), LEVEL);
    for chunk in batch.chunks() {
        encoder.write_all(chunk)?;
    }
    encoder.finish()
}
