//! Recovery: adopts the slots of dead processes, one by one, and hands out their files, which this
//! process then delivers. Files that are not ours or not understood are left alone.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::account::{SLOT_BYTES, counted};
use super::damaged;
use super::dir::{ACCOUNT, DAMAGED, QUARANTINE, SpoolDir};
use super::disk::{DirEntry, DirEntryKind};
use super::format::{self, Contents, MARK, MAX_FILE_BYTES, Unreadable};
use super::sealed::SealedFile;
use super::slot::{SLOTS, Slot, SlotFile, SlotFileKind};
use crate::clock::Clock;
use crate::config::Precision;
use crate::printable;
use crate::sync::{Condvar, Mutex, lock, wait};

/// How much of a file is read to find its header.
const HEADER_READ_BYTES: usize = 8192;

#[derive(Debug)]
pub(crate) struct Recovery {
    dir: Arc<SpoolDir>,
    slots: Mutex<KnownSlots>,
    /// Whether every slot of a dead process was found at a look, and its files are counted. False
    /// during a look.
    is_complete: Mutex<bool>,
    completed: Condvar,
}

/// Slots of other processes, by directory.
#[derive(Debug, Default)]
struct KnownSlots {
    adopted: HashSet<PathBuf>,
    /// Slots whose permissions do not allow us to adopt them, and for which that was reported.
    inaccessible: HashSet<PathBuf>,
    /// Directories of the last listing that were not looked at yet.
    listed: VecDeque<PathBuf>,
    /// Whether living processes held slots at the last look.
    has_held: bool,
    /// Whether it was reported that slots belong to other users.
    has_reported_foreign: bool,
}

/// An adopted slot, with the files that were not handed out yet.
#[derive(Debug)]
pub(crate) struct Adopted {
    slot: Arc<Slot>,
    files: VecDeque<SlotFile>,
    /// Paths in the slot that are not files of a slot.
    strays: Vec<PathBuf>,
}

impl Recovery {
    pub(super) fn new(dir: Arc<SpoolDir>) -> Self {
        Self {
            dir,
            slots: Mutex::default(),
            is_complete: Mutex::default(),
            completed: Condvar::default(),
        }
    }

    /// Notes that there is nothing left to adopt, and that what was adopted is counted.
    pub(crate) fn set_complete(&self) {
        *lock(&self.is_complete) = true;
        self.completed.notify_all();
    }

    /// Waits until there is nothing left to adopt, at most for `timeout`. Returns whether that is
    /// so.
    pub(crate) fn await_complete(&self, clock: &Clock, timeout: Duration) -> bool {
        let until = clock.now().saturating_add(timeout);
        let mut is_complete = lock(&self.is_complete);
        loop {
            let left = until.saturating_sub(clock.now());
            if *is_complete || left.is_zero() {
                return *is_complete;
            }
            is_complete = wait(&self.completed, is_complete, Some(left));
        }
    }

    /// Lists the slots for [`adopt`](Self::adopt), once for all of them, and corrects the account
    /// of what is used. Returns a message if slots of other users were found for the first time.
    pub(crate) fn look(&self) -> Option<String> {
        *lock(&self.is_complete) = false;
        let mut entries = Vec::new();
        self.dir.account.correct(|| {
            entries = self.slots();
            self.measure(&entries)
        });
        let is_foreign = |(_, entry): &&(PathBuf, DirEntry)| entry.is_foreign;
        let foreign = entries.iter().find(is_foreign).map(|(directory, _)| directory.clone());
        let listed = entries.into_iter().filter(|(_, entry)| !entry.is_foreign);
        let listed: VecDeque<_> = listed.map(|(directory, _)| directory).collect();
        let mut known = lock(&self.slots);
        let exists: HashSet<_> = listed.iter().collect();
        known.adopted.retain(|slot| exists.contains(slot));
        known.inaccessible.retain(|slot| exists.contains(slot));
        known.listed = listed;
        known.has_held = false;
        let foreign = foreign.filter(|_| !known.has_reported_foreign)?;
        known.has_reported_foreign = true;
        Some(report_foreign(&foreign))
    }

    /// Adopts the next listed slot of a dead process, if there is one. The error is a message about
    /// a slot that cannot be adopted.
    pub(crate) fn adopt(&self) -> Option<Result<Adopted, String>> {
        loop {
            let directory = lock(&self.slots).listed.pop_front()?;
            if self.is_ours(&directory) {
                continue;
            }
            let on = (&self.dir.disk, &self.dir.account);
            match Slot::adopt(on, directory.clone(), self.dir.health.suspended()) {
                Ok(Some(slot)) => {
                    lock(&self.slots).adopted.insert(directory);
                    return Some(Ok(self.open(slot)));
                }
                Ok(None) => lock(&self.slots).has_held = true,
                // Its permissions do not allow it, but they may change.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let shown = printable::shown(&directory);
                    let message = format!("{shown} of the spool is left alone: {error}");
                    if lock(&self.slots).inaccessible.insert(directory) {
                        return Some(Err(message));
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// Whether the next look may soon find more: living processes held slots at the last one, or
    /// the account may have to be corrected.
    pub(crate) fn is_look_due_soon(&self) -> bool {
        lock(&self.slots).has_held || self.dir.account.has_excess()
    }

    /// All slots, with their paths.
    fn slots(&self) -> Vec<(PathBuf, DirEntry)> {
        let mut slots = Vec::new();
        for directory in self.dir.dirs(SLOTS) {
            let entries = self.dir.disk.list(&directory).unwrap_or_default().into_iter();
            let entries = entries.filter(|entry| entry.kind == DirEntryKind::Directory);
            slots.extend(entries.map(|entry| (directory.join(&entry.name), entry)));
        }
        slots
    }

    fn open(&self, slot: Arc<Slot>) -> Adopted {
        // Its process may not have synced its names. What is counted as recovered has to be synced.
        if self.dir.is_synced() {
            if let Err(error) = self.dir.sync_names(&slot) {
                self.dir.fail("be synced", &error);
            }
        }
        let (files, strays) = slot.files().unwrap_or_default();
        Adopted { slot, files: files.into(), strays }
    }

    /// Whether a slot is this process's own, or was adopted by it.
    fn is_ours(&self, directory: &Path) -> bool {
        self.dir.is_own_slot(directory) || lock(&self.slots).adopted.contains(directory)
    }

    /// The next file of an adopted slot. The error is a message about a file that is left alone or
    /// set aside. Returns `None` at the end.
    pub(crate) fn next_file(&self, adopted: &mut Adopted) -> Option<Result<SealedFile, String>> {
        if let Some(stray) = adopted.strays.pop() {
            let stray = printable::shown(&stray);
            return Some(Err(format!("{stray} is not a file of the spool: it is left alone")));
        }
        while let Some(file) = adopted.files.pop_front() {
            match self.inspect(&file, &adopted.slot) {
                Ok(Some(sealed)) => {
                    if self.dir.is_synced() {
                        if let Err(error) = self.dir.disk.sync(&file.path) {
                            self.dir.fail("be synced", &error);
                        }
                    }
                    return Some(Ok(sealed));
                }
                Ok(None) => {
                    if self.dir.disk.remove(&file.path).is_ok() {
                        self.dir.account.release(file.bytes);
                    }
                }
                Err(message) => return Some(Err(message)),
            }
        }
        None
    }

    /// Looks at a file. Returns `None` if it has no lines.
    fn inspect(&self, file: &SlotFile, slot: &Arc<Slot>) -> Result<Option<SealedFile>, String> {
        let SlotFile { path, kind, bytes: file_bytes } = file;
        let sealed = |database: String, precision, lines, bytes| {
            let kind = (database, precision);
            let file = (path.clone(), *file_bytes);
            Some(SealedFile::new(file, slot.clone(), kind, lines, bytes))
        };
        let left_alone =
            |why: &str| format!("{} of the spool is left alone: {why}", printable::shown(path));
        let failed = |error: io::Error| left_alone(&error.to_string());
        // The number of lines by its name, of a sealed file that is not empty.
        let named_lines = match *kind {
            SlotFileKind::Unfinished => return Ok(None),
            SlotFileKind::Open | SlotFileKind::Sealed(0) => None,
            SlotFileKind::Sealed(lines) => Some(lines),
        };
        let is_too_long = named_lines.is_some_and(|lines| lines > MAX_FILE_BYTES / MARK);
        if *file_bytes > MAX_FILE_BYTES as u64 || is_too_long {
            return Err(left_alone("it is longer than any file that we write"));
        }
        // The header is enough to know a sealed file: its lines are read when they are sent.
        if let Some(lines) = named_lines {
            let start = self.dir.disk.read_start(path, HEADER_READ_BYTES).map_err(failed)?;
            if let Some((database, precision, header)) = format::read_start(&start) {
                let bytes = (*file_bytes as usize).saturating_sub(header + lines * MARK);
                return Ok(sealed(database, precision, lines, bytes));
            }
        }
        let text = self.dir.disk.read(path, MAX_FILE_BYTES as u64).map_err(failed)?;
        match format::read(&text) {
            Ok(Contents { lines, lost: 0, .. }) if lines.is_empty() && named_lines.is_none() => {
                Ok(None)
            }
            Ok(Contents { lines, database, precision, lost, .. }) => {
                let bytes = lines.iter().map(ExactSizeIterator::len).sum();
                let count = named_lines.unwrap_or(lines.len() + lost).max(lines.len());
                Ok(sealed(database, precision, count, bytes))
            }
            Err(Unreadable::Empty) if *kind == SlotFileKind::Open => Ok(None),
            Err(Unreadable::Newer(version)) => {
                let why = format!("a later release wrote it, in version {version} of the format");
                Err(left_alone(&why))
            }
            Err(Unreadable::Foreign) => Err(left_alone("it is not a file of a spool")),
            Err(Unreadable::Empty | Unreadable::Damaged) => match named_lines {
                // Its lines are counted as lost when it is loaded. Then it is set aside.
                Some(lines) => Ok(sealed(String::new(), Precision::default(), lines, text.len())),
                None => match format::count_headless(&text) {
                    0 => Err(damaged::set_aside(&self.dir, path, "damaged beyond repair")),
                    lines => Ok(sealed(String::new(), Precision::default(), lines, text.len())),
                },
            },
        }
    }

    /// The size of all files of this user in bytes.
    fn measure(&self, slots: &[(PathBuf, DirEntry)]) -> u64 {
        let files_in = |directory: &Path| -> u64 {
            let entries = self.dir.disk.list(directory).unwrap_or_default();
            let is_file = |entry: &&DirEntry| entry.kind == DirEntryKind::File;
            entries.iter().filter(is_file).map(counted).sum()
        };
        let others = [ACCOUNT, DAMAGED, QUARANTINE].into_iter();
        let others = others.flat_map(|name| self.dir.dirs(name));
        let others: u64 = others.map(|directory| files_in(&directory)).sum();
        let own = slots.iter().filter(|(_, entry)| !entry.is_foreign);
        let slots: u64 = own.map(|(directory, _)| SLOT_BYTES + files_in(directory)).sum();
        others + slots
    }
}

fn report_foreign(directory: &Path) -> String {
    let directory = printable::shown(directory);
    format!(
        "slots of other users in the spool, such as {directory}, are left alone: an operator can \
         deliver their lines by `spool deliver --any-user`"
    )
}
