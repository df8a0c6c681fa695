//! How much of the directory this process's sealed files take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The size of all sealed files of this process and of those it adopted, in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct SealedBytes(Arc<AtomicUsize>);

/// The part of it that one file takes, as long as there is the file.
#[derive(Debug)]
pub(super) struct FileBytes {
    total: SealedBytes,
    bytes: usize,
}

impl SealedBytes {
    pub(super) fn add(&self, bytes: usize) -> FileBytes {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        FileBytes { total: self.clone(), bytes }
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for FileBytes {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
