//! The files of a batch in the spool, and files that are no longer needed.

use std::sync::Arc;

use crate::spool::{SealedFile, Segment, Spool};
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Files with the lines of a batch. The parts of a batch share them: they are released with the
/// last part.
#[derive(Debug, Default)]
pub(super) struct SpoolFiles {
    segments: Vec<Segment>,
    sealed: Option<SealedFile>,
    /// The files of the batch that this one is a part of.
    parent: Option<Arc<SpoolFiles>>,
}

impl SpoolFiles {
    pub(super) fn of_sealed(sealed: SealedFile) -> Arc<Self> {
        Arc::new(Self { sealed: Some(sealed), ..Self::default() })
    }

    pub(super) fn of_segments(segments: Vec<Segment>, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { segments, sealed: None, parent })
    }

    /// Whether one of the files is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.segments.iter().any(Segment::is_lost)
            || self.parent.as_ref().is_some_and(|parent| parent.is_lost())
    }

    pub(super) fn sealed(&self) -> Option<&SealedFile> {
        self.sealed.as_ref()
    }
}

/// Files that are no longer needed. They are removed later, by a thread that may wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    pub(super) segments: Vec<Segment>,
    pub(super) sealed: Vec<SealedFile>,
}

impl Leftovers {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.sealed.is_empty()
    }

    /// What they take on disk, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(Segment::capacity).sum();
        segments + self.sealed.iter().map(SealedFile::file_bytes).sum::<usize>()
    }

    /// Removes a file that holds nothing that an operator should look at. Returns whether there was
    /// one.
    pub(super) fn remove_one(&mut self, spool: &Spool) -> bool {
        if let Some(segment) = self.segments.pop() {
            spool.segments.remove(segment);
            return true;
        }
        let index = self.sealed.iter().rposition(|file| !file.is_damaged());
        let file = index.map(|index| self.sealed.swap_remove(index));
        file.iter().for_each(|file| {
            spool.sealed.remove(file);
        });
        file.is_some()
    }

    /// Takes the files of a batch, unless another part of it still needs them.
    pub(super) fn release(&mut self, files: Option<Arc<SpoolFiles>>) {
        let mut next = files;
        while let Some(files) = next.take().and_then(Arc::into_inner) {
            for mut segment in files.segments {
                segment.clear();
                self.segments.push(segment);
            }
            self.sealed.extend(files.sealed);
            next = files.parent;
        }
    }
}

/// Permission to send a batch of the backlog. Counts the batches that hold one.
#[derive(Debug)]
pub(super) struct BacklogPermit(Arc<AtomicUsize>);

impl BacklogPermit {
    pub(super) fn new(permits: &Arc<AtomicUsize>) -> Self {
        permits.fetch_add(1, Ordering::Relaxed);
        Self(permits.clone())
    }
}

impl Clone for BacklogPermit {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for BacklogPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
