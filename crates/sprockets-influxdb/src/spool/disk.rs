//! The file operations of the spool behind a trait, so that tests can use a disk that fails or
//! loses everything that was not synced.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sys::{Loss, Mapping, Probe, SharedCounters};

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirEntry {
    pub(crate) name: String,
    pub(crate) kind: DirEntryKind,
    pub(crate) bytes: u64,
    /// What it takes on the disk, in bytes. Less than its length if it has holes.
    pub(crate) allocated: u64,
    /// Whether it belongs to another user, whose files are not used.
    pub(crate) is_foreign: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirEntryKind {
    File,
    Directory,
    /// A link, pipe or device: never opened.
    Other,
}

/// What tells a file from another that had its name before: device and number.
pub(crate) type FileId = (u64, u64);

/// What a directory entry refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub(crate) id: FileId,
    pub(crate) bytes: u64,
}

/// Whether this error of [`Disk::stat`] says that there is no such file any more, or that its
/// directory is now something else.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput)
}

/// A lock on a file, held until it is dropped or its process ends.
pub(crate) trait Lock: Send + Sync + fmt::Debug {}

pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Uses files of any user from now on, not only those of this one.
    fn allow_any_user(&self) {}

    /// A directory of the root, or one of a similar name if another user has taken that. Creates
    /// it, and the root, with access for this user only. Users have a shared directory in common,
    /// if root made it so. Every other directory belongs to one user.
    fn usable_dir(&self, path: &Path, is_shared: bool) -> io::Result<PathBuf>;

    /// The directories that [`usable_dir`](Self::usable_dir) returned to this and other processes.
    fn dirs(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a directory, with access for this user only.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a file of zeros and maps it. Bytes written to the mapping survive the process. Fails
    /// if the file exists.
    fn map_new(&self, path: &Path, bytes: usize) -> io::Result<Map>;

    /// The counters in a file that processes share. Creates it if it does not exist.
    fn open_counters(&self, _path: &Path) -> io::Result<Counters> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Creates a file with these bytes. Fails if it exists.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Whether the disk answers within a time. Never waits longer, whatever the disk does.
    fn answers(&self, _probe: &Probe, _path: &Path, _timeout: Duration) -> bool {
        true
    }

    /// Looks at a file without opening it.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;

    /// Appends to a file. Fails if it does not exist.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Reads a file of at most `max_bytes`. A longer one is an error, and so is anything that is
    /// not a regular file.
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// Reads at most the first `bytes` of a file.
    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>>;

    /// The entries of a directory, by name.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>>;

    /// Fails if `to` exists: no file is ever replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the bytes of a file survive a loss of power.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks a file. Creates it if it does not exist. Returns `None` if another process holds the
    /// lock.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// The same for a file that exists.
    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// Whether a process holds the lock on a file.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;
}

/// The counters of an account: what is used in bytes, and the number of changes.
#[derive(Debug)]
pub(crate) enum Counters {
    File(SharedCounters, FileId),
    Memory([AtomicU64; 2]),
}

impl Counters {
    pub(super) fn in_memory() -> Self {
        Self::Memory(Default::default())
    }

    fn get(&self) -> &[AtomicU64; 2] {
        match self {
            Self::File(shared, _) => shared.get(),
            Self::Memory(counters) => counters,
        }
    }

    pub(super) fn used(&self) -> &AtomicU64 {
        &self.get()[0]
    }

    pub(super) fn changes(&self) -> &AtomicU64 {
        &self.get()[1]
    }

    pub(super) fn note_change(&self) {
        self.changes().fetch_add(1, Ordering::AcqRel);
    }

    /// Whether they are in this file, or in memory if there is none.
    pub(super) fn is_of(&self, id: Option<FileId>) -> bool {
        match self {
            Self::File(shared, own) => !shared.loss().is_lost() && id == Some(*own),
            Self::Memory(_) => id.is_none(),
        }
    }
}

/// A mapped file.
pub(crate) enum Map {
    File(Mapping),
    #[cfg(test)]
    Simulated(Box<dyn SimulatedMap>),
}

/// The map of a disk in memory.
#[cfg(test)]
pub(crate) trait SimulatedMap: Send + Sync {
    fn bytes(&mut self) -> &mut [u8];
    fn written(&mut self, range: Range<usize>);
    fn loss(&self) -> Loss;
}

impl Map {
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::File(map) => map.bytes(),
            #[cfg(test)]
            Self::Simulated(map) => map.bytes(),
        }
    }

    /// Has to be called after each write to [`bytes`](Self::bytes).
    #[inline]
    pub(crate) fn written(&mut self, range: Range<usize>) {
        match self {
            Self::File(_) => {
                let _ = range;
            }
            #[cfg(test)]
            Self::Simulated(map) => map.written(range),
        }
    }

    /// Gives unused memory from this offset on back to the system.
    pub(crate) fn release(&self, from: usize) {
        match self {
            Self::File(map) => map.release(from),
            #[cfg(test)]
            Self::Simulated(_) => {}
        }
    }

    /// Whether what is written to it no longer reaches the file.
    pub(crate) fn loss(&self) -> Loss {
        match self {
            Self::File(map) => map.loss(),
            #[cfg(test)]
            Self::Simulated(map) => map.loss(),
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Map")
    }
}
