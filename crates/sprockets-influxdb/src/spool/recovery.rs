//! What processes have left that are no more: their slots are taken over, one by one, and what waits in them is delivered
//! by this one. What is not ours, or not to be understood, is left alone.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::disk::DirEntryKind;
use super::format::{self, Contents, MARK, Unreadable};
use super::slot::{Slot, SlotFile, SlotFileKind};
use super::{MOST_FILE_BYTES, SealedFile, Spool};
use crate::clock::Clock;
use crate::config::Precision;
use crate::sync::{Condvar, Mutex, lock, wait};

/// A slot that was taken over, whose files are looked at one by one.
#[derive(Debug)]
pub(crate) struct Adopted {
    slot: Arc<Slot>,
    files: VecDeque<SlotFile>,
    strays: Vec<PathBuf>,
}

/// Whether all that others had left was found once.
#[derive(Debug, Default)]
pub(super) struct Search {
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Spool {
    /// To be called when all that others had left was found.
    pub(crate) fn note_searched(&self) {
        *lock(&self.search.is_over) = true;
        self.search.over.notify_all();
    }

    /// Waits until all that others had left was found, at most for so long. Returns whether it was.
    pub(crate) fn await_search(&self, clock: &Clock, timeout: Duration) -> bool {
        let until = clock.now().saturating_add(timeout);
        let mut is_over = lock(&self.search.is_over);
        loop {
            let left = until.saturating_sub(clock.now());
            if *is_over || left.is_zero() {
                return *is_over;
            }
            is_over = wait(&self.search.over, is_over, Some(left));
        }
    }

    /// Takes over a slot whose process is no more, if there is one, or says why one is not for us.
    pub(crate) fn adopt(&self) -> Option<Result<Adopted, String>> {
        let slots = self.root.join("slots");
        let entries = self.disk.list(&slots).ok()?;
        let is_there =
            |seen: &PathBuf| entries.iter().any(|entry| slots.join(&entry.name) == *seen);
        {
            let mut own = lock(&self.own);
            own.seen.retain(is_there);
            own.told.retain(is_there);
        }
        for entry in entries {
            let directory = slots.join(&entry.name);
            if entry.kind != DirEntryKind::Directory || self.is_known(&directory) {
                continue;
            }
            match Slot::adopt(&self.disk, directory.clone()) {
                Ok(Some(slot)) => {
                    lock(&self.own).seen.push(directory);
                    return Some(Ok(self.adopted(slot)));
                }
                // One of another user's, who may have permitted it at the next look.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let told = &mut lock(&self.own).told;
                    if !told.contains(&directory) {
                        let slot = directory.display();
                        let problem = format!("{slot} of the spool is left alone: {error}");
                        told.push(directory);
                        return Some(Err(problem));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn adopted(&self, slot: Arc<Slot>) -> Adopted {
        // What its process had not synced was not promised; what is counted as recovered is.
        if let Some(error) = self.is_synced().then(|| self.sync_names(&slot).err()).flatten() {
            self.fail("be synced", &error);
        }
        let (files, strays) = slot.files().unwrap_or_default();
        Adopted { slot, files: files.into(), strays }
    }

    fn is_known(&self, directory: &Path) -> bool {
        let own = lock(&self.own);
        let is_own = own.slot.as_ref().is_some_and(|slot| slot.directory() == directory);
        is_own || own.seen.iter().any(|seen| seen == directory)
    }

    /// The next file of a slot that was taken over, and what there is to say of files that are passed over. `None` at
    /// the end.
    pub(crate) fn next(&self, adopted: &mut Adopted) -> Option<Result<SealedFile, String>> {
        loop {
            if let Some(stray) = adopted.strays.pop() {
                let stray = stray.display();
                return Some(Err(format!("{stray} is no file of the spool: it is left alone")));
            }
            let SlotFile { path, kind, bytes } = adopted.files.pop_front()?;
            let problem = match kind {
                SlotFileKind::Unfinished => {
                    let _ = self.disk.remove(&path);
                    continue;
                }
                SlotFileKind::Open | SlotFileKind::Sealed(_) => {
                    match self.look(&path, kind, bytes, &adopted.slot) {
                        Ok(Some(stored)) => {
                            let synced =
                                if self.is_synced() { self.disk.sync(&path) } else { Ok(()) };
                            if let Err(error) = synced {
                                self.fail("be synced", &error);
                            }
                            return Some(Ok(stored));
                        }
                        Ok(None) => {
                            let _ = self.disk.remove(&path);
                            continue;
                        }
                        Err(problem) => problem,
                    }
                }
            };
            return Some(Err(problem));
        }
    }

    /// What waits in a file; `None` if nothing does.
    fn look(
        &self,
        path: &Path,
        kind: SlotFileKind,
        file_bytes: u64,
        slot: &Arc<Slot>,
    ) -> Result<Option<SealedFile>, String> {
        let stored = |database: String, precision, lines, bytes| {
            Some(SealedFile::new(
                path.to_owned(),
                slot.clone(),
                (database, precision),
                lines,
                bytes,
            ))
        };
        let left = |why: &str| format!("{} of the spool is left alone: {why}", path.display());
        let most_lines = MOST_FILE_BYTES / MARK;
        if file_bytes > MOST_FILE_BYTES as u64
            || matches!(kind, SlotFileKind::Sealed(n) if n > most_lines)
        {
            return Err(left("it has more in it than any that we write"));
        }
        if let SlotFileKind::Sealed(lines @ 1..) = kind {
            let start =
                self.disk.read_start(path, 8192).map_err(|error| left(&error.to_string()))?;
            if let Some((database, precision, header)) = format::read_start(&start) {
                let bytes = (file_bytes as usize).saturating_sub(header + lines * MARK);
                return Ok(stored(database, precision, lines, bytes));
            }
        }
        let file = self
            .disk
            .read(path, MOST_FILE_BYTES as u64)
            .map_err(|error| left(&error.to_string()))?;
        match format::read(&file) {
            Ok(Contents { lines, .. })
                if lines.is_empty()
                    && matches!(kind, SlotFileKind::Open | SlotFileKind::Sealed(0)) =>
            {
                Ok(None)
            }
            Ok(Contents { lines, database, precision, .. }) => {
                let bytes = lines.iter().map(ExactSizeIterator::len).sum();
                let count =
                    if let SlotFileKind::Sealed(count) = kind { count } else { lines.len() };
                Ok(stored(database, precision, count.max(lines.len()), bytes))
            }
            Err(Unreadable::Empty) if kind == SlotFileKind::Open => Ok(None),
            Err(Unreadable::Newer(version)) => {
                let why = format!("a later release wrote it, in version {version} of the format");
                Err(left(&why))
            }
            Err(Unreadable::Foreign) => Err(left("it is not a file of a spool")),
            Err(Unreadable::Empty | Unreadable::Damaged) => match kind {
                // Its lines are found to be lost when they are to be read: then it is set aside.
                SlotFileKind::Sealed(lines @ 1..) => {
                    Ok(stored(String::new(), Precision::default(), lines, file.len()))
                }
                _ => Err(self.set_aside(path, "damaged beyond repair")),
            },
        }
    }

    /// Looks how much of the directory others use.
    pub(crate) fn measure(&self) {
        let sum = |directory: &Path| -> u64 {
            let entries = self.disk.list(directory).unwrap_or_default();
            entries
                .iter()
                .filter(|entry| entry.kind == DirEntryKind::File)
                .map(|entry| entry.bytes)
                .sum()
        };
        let mut used = sum(&self.root.join("damaged")) + sum(&self.root.join("quarantine"));
        let slots = self.root.join("slots");
        for entry in self.disk.list(&slots).unwrap_or_default() {
            let directory = slots.join(&entry.name);
            if !self.is_known(&directory) {
                used += sum(&directory);
            }
        }
        self.used_by_others.store(used, Ordering::Relaxed);
    }
}
