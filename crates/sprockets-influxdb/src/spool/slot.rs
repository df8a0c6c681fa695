//! A slot: the directory of one process in the spool. The process holds a lock in it, so that no
//! other process takes its files for those of a dead process.
//!
//! ```text
//! <spool>/slots/<process>-<random>/lock
//!                                  00000001.open        a segment, being written
//!                                  00000002-310.lp      a sealed file of 310 lines
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::account::{Account, SLOT_BYTES};
use super::disk::{DirEntry, DirEntryKind, Disk, FileId, Lock, is_gone};
use crate::sys;

/// Attempts to create a slot before another process adopts it.
const ATTEMPTS: usize = 256;
/// The directory of all slots.
pub(super) const SLOTS: &str = "slots";
pub(super) const LOCK: &str = "lock";
const OPEN: &str = ".open";
const SEALED: &str = ".lp";
/// A sealed file while it is written. Its lines are in segments or in memory as well.
const UNFINISHED: &str = ".unfinished";

/// The kind of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotFileKind {
    /// A segment.
    Open,
    /// A sealed file with this number of lines.
    Sealed(usize),
    /// A sealed file that was never completed.
    Unfinished,
}

#[derive(Debug)]
pub(crate) struct Slot {
    disk: Arc<dyn Disk>,
    account: Arc<Account>,
    directory: PathBuf,
    lock: Option<Box<dyn Lock>>,
    /// `None` if it could not be found out.
    lock_id: Option<FileId>,
    next: AtomicU64,
    generation: u64,
    /// Whether the name of the directory is synced.
    is_name_synced: AtomicBool,
    /// Set while the disk does not answer.
    is_suspended: Arc<AtomicBool>,
}

impl Slot {
    /// Creates a slot for this process.
    pub(super) fn new(
        (disk, account): (&Arc<dyn Disk>, &Arc<Account>),
        slots: &Path,
        is_suspended: Arc<AtomicBool>,
    ) -> io::Result<Arc<Self>> {
        // Another process may adopt the new slot before it is locked.
        for _ in 0..ATTEMPTS {
            let name = format!("{}-{:08x}", std::process::id(), fastrand::u32(..));
            let directory = slots.join(name);
            disk.create_dir(&directory)?;
            match Self::take((disk, account), directory.clone(), is_suspended.clone()) {
                Ok(Some(slot)) => {
                    account.add(SLOT_BYTES);
                    return Ok(slot);
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let _ = disk.remove(&directory.join(LOCK));
                    let _ = disk.remove_dir(&directory);
                    return Err(error);
                }
                _ => {}
            }
        }
        Err(io::Error::other("other processes took each new slot"))
    }

    /// Adopts the slot of a dead process. Returns `None` if a living process holds it.
    pub(super) fn adopt(
        on: (&Arc<dyn Disk>, &Arc<Account>),
        directory: PathBuf,
        is_suspended: Arc<AtomicBool>,
    ) -> io::Result<Option<Arc<Self>>> {
        Self::take(on, directory, is_suspended)
    }

    fn take(
        (disk, account): (&Arc<dyn Disk>, &Arc<Account>),
        directory: PathBuf,
        is_suspended: Arc<AtomicBool>,
    ) -> io::Result<Option<Arc<Self>>> {
        let Some(lock) = disk.lock(&directory.join(LOCK))? else { return Ok(None) };
        let lock = Some(lock);
        let lock_id = disk.stat(&directory.join(LOCK)).ok().map(|file| file.id);
        let (disk, account, generation) = (disk.clone(), account.clone(), sys::generation());
        let (next, is_name_synced) = (AtomicU64::new(1), AtomicBool::new(false));
        let slot = Self {
            disk,
            account,
            directory,
            lock,
            lock_id,
            next,
            generation,
            is_name_synced,
            is_suspended,
        };
        // Its last holder may have removed the slot before we locked it. Then the lock is on a
        // deleted file.
        let is_there = slot.disk.list(&slot.directory)?.iter().any(|entry| entry.name == LOCK);
        Ok(is_there.then(|| Arc::new(slot)))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.directory.join(LOCK)
    }

    /// Whether another program removed its directory or its lock. Without the lock, another process
    /// takes it for the slot of a dead process.
    pub(super) fn is_removed(&self) -> bool {
        match self.disk.stat(&self.directory.join(LOCK)) {
            Ok(found) => self.lock_id.is_some_and(|id| id != found.id),
            Err(error) => is_gone(&error),
        }
    }

    /// Whether its name, and those of the directories above, survive a loss of power.
    pub(super) fn is_name_synced(&self) -> bool {
        self.is_name_synced.load(Ordering::Relaxed)
    }

    pub(super) fn set_name_synced(&self) {
        self.is_name_synced.store(true, Ordering::Relaxed);
    }

    /// The path of a new segment.
    pub(super) fn open_path(&self) -> PathBuf {
        self.directory.join(format!("{:08}{OPEN}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    /// The path to write a sealed file to, and its path when it is complete.
    pub(super) fn sealed_paths(&self, lines: usize) -> (PathBuf, PathBuf) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = |end: &str| self.directory.join(format!("{number:08}-{lines}{end}"));
        (path(UNFINISHED), path(SEALED))
    }

    /// Its files, oldest first, and the paths of everything else in it.
    pub(super) fn files(&self) -> io::Result<(Vec<SlotFile>, Vec<PathBuf>)> {
        files(&*self.disk, &self.directory)
    }
}

/// The files of a slot, oldest first, and the paths of everything else in it.
pub(super) fn files(
    disk: &dyn Disk,
    directory: &Path,
) -> io::Result<(Vec<SlotFile>, Vec<PathBuf>)> {
    let mut files = Vec::new();
    let mut strays = Vec::new();
    for entry in disk.list(directory)? {
        let path = directory.join(&entry.name);
        match parse_name(&entry.name) {
            Some((number, kind)) if entry.kind == DirEntryKind::File => {
                files.push((number, SlotFile { path, kind, bytes: entry.bytes }));
            }
            _ if entry.name == LOCK => {}
            _ => strays.push(path),
        }
    }
    files.sort_by_key(|(number, _)| *number);
    Ok((files.into_iter().map(|(_, found)| found).collect(), strays))
}

/// A file of a slot.
#[derive(Debug)]
pub(super) struct SlotFile {
    pub(super) path: PathBuf,
    pub(super) kind: SlotFileKind,
    pub(super) bytes: u64,
}

impl Drop for Slot {
    /// Removes a slot without files.
    fn drop(&mut self) {
        if self.generation != sys::generation() || self.is_suspended.load(Ordering::Relaxed) {
            return;
        }
        let is_lock = |entry: &DirEntry| entry.name == LOCK;
        if self.disk.list(&self.directory).is_ok_and(|entries| entries.iter().all(is_lock)) {
            // A process that locks it from now on finds that it is gone.
            let _ = self.disk.remove(&self.directory.join(LOCK));
            if self.disk.remove_dir(&self.directory).is_ok() {
                self.account.release(SLOT_BYTES);
            }
            // Only a directory that was made because others had taken the usual one.
            let parent = self.directory.parent().filter(|parent| !parent.ends_with(SLOTS));
            let _ = parent.map(|parent| self.disk.remove_dir(parent));
        }
        drop(self.lock.take());
    }
}

/// The number and the kind of a file of a slot.
pub(super) fn parse_name(name: &str) -> Option<(u64, SlotFileKind)> {
    let (number, rest) = name.split_at_checked(8)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    if rest == OPEN {
        return Some((number, SlotFileKind::Open));
    }
    let rest = rest.strip_prefix('-')?;
    if rest.ends_with(UNFINISHED) {
        return Some((number, SlotFileKind::Unfinished));
    }
    Some((number, SlotFileKind::Sealed(rest.strip_suffix(SEALED)?.parse().ok()?)))
}

#[cfg(all(test, unix))]
mod tests;
