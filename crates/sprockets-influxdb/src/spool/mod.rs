//! The spool: what waits for the server, on disk, so that it outlives the process.
//!
//! Lines that are in memory have [twins](twin) in mapped files, at the cost of a copy. What waits for long is
//! [sealed](format) into files of its own, and out of memory. Each process writes to a [slot] of its own, and takes over
//! those of processes that are no more. Whatever the disk does, nothing here fails for the application: without a disk
//! that works there are no twins, and lines wait in memory only.
//!
//! ```text
//! <spool>/slots/      what waits
//!         damaged/    files in which lines are lost, for a person to look at
//!         quarantine/ lines that the server refused, with its reason
//! ```

mod disk;
mod format;
mod quarantine;
mod slot;
mod twin;

pub(crate) use twin::Twin;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use disk::{Disk, EntryKind, Files};
use format::{Contents, MARK, MOST_BYTES, Seal, Unreadable};
use quarantine::Quarantine;
use slot::{Form, Found, Slot};

use crate::config::{Precision, SpoolSync};
use crate::sync::lock;

/// What a line costs on disk beside its bytes.
pub(crate) const OVERHEAD: usize = MARK;
/// The most that is kept of what servers refuse.
const QUARANTINE_BYTES: u64 = 64 << 20;
/// As long as the header of a usual database's name is at most.
const MOST_HEADER_BYTES: usize = 256;
/// No file of ours is longer: what is, is not read.
const MOST_FILE_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Spool {
    /// Where lines that the server refuses go.
    pub(crate) quarantine: Quarantine,
    disk: Arc<dyn Disk>,
    root: PathBuf,
    sync: SpoolSync,
    own: Mutex<Own>,
    /// Set while the disk does not do what it is asked to: then it is not asked by the application's threads.
    is_failing: AtomicBool,
    /// Names that have to be synced before they survive a loss of power.
    has_new_names: AtomicBool,
    used_by_others: AtomicU64,
}

#[derive(Debug, Default)]
struct Own {
    slot: Option<Arc<Slot>>,
    /// Why it is failing, until it was told.
    failure: Option<String>,
    /// Slots whose processes are no more, by their directories: those that are ours now, or that cannot be.
    seen: Vec<PathBuf>,
}

/// A file with lines that wait.
#[derive(Debug)]
pub(crate) struct Stored {
    path: PathBuf,
    /// Locked for as long as one of its files waits.
    _slot: Arc<Slot>,
    pub(crate) database: String,
    pub(crate) precision: Precision,
    pub(crate) lines: usize,
    /// Of its lines.
    pub(crate) bytes: usize,
    /// What was wrong with it when it was read: then it is set aside when its lines are decided.
    damage: Mutex<Option<String>>,
}

/// The lines of a file.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: usize,
}

/// A slot that was taken over, whose files are looked at one by one.
#[derive(Debug)]
pub(crate) struct Adopted {
    slot: Arc<Slot>,
    files: VecDeque<Found>,
    strays: Vec<PathBuf>,
}

impl Spool {
    pub(crate) fn new(root: &Path, sync: SpoolSync) -> Self {
        Self::on(Arc::new(Files), root, sync)
    }

    pub(crate) fn on(disk: Arc<dyn Disk>, root: &Path, sync: SpoolSync) -> Self {
        Self {
            quarantine: Quarantine::new(disk.clone(), root.join("quarantine"), QUARANTINE_BYTES),
            disk,
            root: root.to_owned(),
            sync,
            own: Mutex::default(),
            is_failing: AtomicBool::new(false),
            has_new_names: AtomicBool::new(false),
            used_by_others: AtomicU64::new(0),
        }
    }

    pub(crate) fn sync_level(&self) -> SpoolSync {
        self.sync
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Bytes in the directory that are not this process's.
    pub(crate) fn used_by_others(&self) -> u64 {
        self.used_by_others.load(Ordering::Relaxed)
    }

    /// A file for so many bytes of lines in memory. `None` while the disk does not work; why, [`take_failure`](Self::take_failure) tells.
    pub(crate) fn twin(&self, bytes: usize) -> Option<Twin> {
        if self.is_failing() {
            return None;
        }
        self.new_twin(bytes).map_err(|error| self.fail("be written to", &error)).ok()
    }

    fn new_twin(&self, bytes: usize) -> io::Result<Twin> {
        let capacity = (bytes + bytes / 8 + 2 * MOST_HEADER_BYTES).next_multiple_of(4096);
        let slot = self.slot()?;
        let path = slot.open_path();
        let map = self.disk.map_new(&path, capacity)?;
        self.has_new_names.store(true, Ordering::Relaxed);
        Ok(Twin::new(map, path, slot))
    }

    /// Removes the file of a twin that is not used again.
    pub(crate) fn discard_twin(&self, twin: Twin) {
        // One that stays is found by the next process, which delivers what is in it once more: that harms nobody.
        let _ = self.disk.remove(twin.path());
    }

    /// Writes lines to a file, sealed. Each line has its line feed.
    pub(crate) fn seal<'a>(
        &self,
        database: &str,
        precision: Precision,
        lines: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Stored> {
        let sealed = self.try_seal(database, precision, lines);
        sealed.map_err(|error| self.fail("be written to", &error)).ok()
    }

    fn try_seal<'a>(
        &self,
        database: &str,
        precision: Precision,
        lines: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<Stored> {
        let salt = fastrand::u64(..);
        let (seal, mut file) =
            (Seal::new(salt), format::header(database, precision, salt).into_bytes());
        let (mut count, mut bytes) = (0, 0);
        for line in lines {
            if line.len() > MOST_BYTES || file.len() + line.len() + 2 * MARK > MOST_FILE_BYTES {
                return Err(io::Error::other("there are more bytes than one file takes"));
            }
            file.extend_from_slice(&seal.mark(line));
            file.extend_from_slice(line);
            count += 1;
            bytes += line.len();
        }
        file.extend_from_slice(format::end(count).as_bytes());
        let slot = self.slot()?;
        let (unfinished, path) = slot.sealed_paths(count);
        let is_synced = self.sync != SpoolSync::Process;
        let written = self.disk.write_new(&unfinished, &file).and_then(|()| {
            if is_synced {
                self.disk.sync(&unfinished)?;
            }
            self.disk.rename(&unfinished, &path)?;
            if is_synced { self.disk.sync_dir(slot.directory()) } else { Ok(()) }
        });
        if let Err(error) = written {
            let _ = self.disk.remove(&unfinished);
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        let (database, damage) = (database.to_owned(), Mutex::default());
        Ok(Stored { path, _slot: slot, database, precision, lines: count, bytes, damage })
    }

    /// Reads the lines of a file; fewer than it had, if it is damaged.
    pub(crate) fn load(&self, stored: &Stored) -> Loaded {
        let read = self.disk.read(&stored.path, MOST_FILE_BYTES as u64);
        let file = match read {
            Ok(file) => file,
            Err(error) => {
                *lock(&stored.damage) = Some(format!("cannot be read: {error}"));
                return Loaded { bytes: Vec::new(), lines: 0 };
            }
        };
        let (lines, damage) = match format::read(&file) {
            Ok(Contents { lines, damage, .. }) => (lines, damage),
            Err(_) => (Vec::new(), Some("no line of it can be read".to_owned())),
        };
        let lost = stored.lines.saturating_sub(lines.len());
        let cut = (lost > 0 && damage.is_none()).then(|| "cut short".to_owned());
        if let Some(damage) = damage.or(cut) {
            *lock(&stored.damage) =
                Some(format!("{damage}; {lost} of {} lines are lost", stored.lines));
        }
        let mut bytes = Vec::with_capacity(lines.iter().map(ExactSizeIterator::len).sum());
        for line in &lines {
            bytes.extend_from_slice(&file[line.clone()]);
        }
        Loaded { bytes, lines: lines.len() }
    }

    /// Removes a file whose lines are decided; one that was damaged is set aside. Returns what there is to say of it.
    pub(crate) fn discard(&self, stored: &Stored) -> Option<String> {
        let damage = lock(&stored.damage).take();
        match damage {
            Some(damage) => Some(self.set_aside(&stored.path, &damage)),
            None => {
                let _ = self.disk.remove(&stored.path);
                None
            }
        }
    }

    /// Moves a file to where people find it, with the reason beside it.
    fn set_aside(&self, path: &Path, reason: &str) -> String {
        let directory = self.root.join("damaged");
        let part = |path: Option<&Path>| {
            let name = path.and_then(Path::file_name).unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let name = format!("{}-{}", part(path.parent()), part(Some(path)));
        let aside = directory.join(&name);
        let moved = self.disk.create_dir(&directory).and_then(|()| self.disk.rename(path, &aside));
        match moved {
            Ok(()) => {
                let told = self.disk.append(
                    &directory.join(format!("{name}.reason")),
                    format!("{reason}\n").as_bytes(),
                );
                let _ = told;
                format!(
                    "{} of the spool is {reason}: it is set aside as {}",
                    path.display(),
                    aside.display()
                )
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{} of the spool is gone: {reason}", path.display())
            }
            Err(error) => {
                // It would be found damaged again and again.
                let _ = self.disk.remove(path);
                format!(
                    "{} of the spool is {reason}; it cannot be set aside: {error}",
                    path.display()
                )
            }
        }
    }

    /// Has all that was written survive a loss of power.
    pub(crate) fn sync(&self) {
        let Some(slot) = lock(&self.own).slot.clone() else { return };
        let synced = slot.files().and_then(|(files, _)| {
            for Found { path, form, .. } in files {
                if form == Form::Open {
                    match self.disk.sync(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
            }
            if self.has_new_names.swap(false, Ordering::Relaxed) {
                self.disk.sync_dir(slot.directory())?;
            }
            Ok(())
        });
        if let Err(error) = synced {
            self.has_new_names.store(true, Ordering::Relaxed);
            self.fail("be synced", &error);
        }
    }

    /// Tries whether a disk that was failing works again.
    pub(crate) fn retry(&self, bytes: usize) -> Option<Twin> {
        match self.new_twin(bytes) {
            Ok(twin) => {
                self.is_failing.store(false, Ordering::Relaxed);
                Some(twin)
            }
            Err(error) => {
                self.fail("be written to", &error);
                None
            }
        }
    }

    /// Why the disk is failing, once.
    pub(crate) fn take_failure(&self) -> Option<String> {
        lock(&self.own).failure.take()
    }

    fn fail(&self, what: &str, error: &io::Error) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let root = self.root.display();
            let failure = format!("the spool {root} cannot {what}: {error}");
            lock(&self.own).failure = Some(failure);
        }
    }

    /// This process's slot, made when it is needed.
    fn slot(&self) -> io::Result<Arc<Slot>> {
        let mut own = lock(&self.own);
        if let Some(slot) = &own.slot {
            return Ok(slot.clone());
        }
        let slot = Slot::new(&self.disk, &self.root.join("slots"))?;
        own.slot = Some(slot.clone());
        Ok(slot)
    }

    /// Gives up this process's slot, when nothing is written to it any more.
    pub(crate) fn leave(&self) {
        lock(&self.own).slot = None;
    }

    /// Takes over a slot whose process is no more, if there is one.
    pub(crate) fn adopt(&self) -> Option<Adopted> {
        let slots = self.root.join("slots");
        for entry in self.disk.list(&slots).ok()? {
            let directory = slots.join(&entry.name);
            if entry.kind != EntryKind::Directory || self.is_known(&directory) {
                continue;
            }
            // One of another user's is not for us, and says so each time.
            if let Ok(Some(slot)) = Slot::adopt(&self.disk, directory.clone()) {
                lock(&self.own).seen.push(directory);
                let (files, strays) = slot.files().unwrap_or_default();
                return Some(Adopted { slot, files: files.into(), strays });
            }
        }
        None
    }

    fn is_known(&self, directory: &Path) -> bool {
        let own = lock(&self.own);
        let is_own = own.slot.as_ref().is_some_and(|slot| slot.directory() == directory);
        is_own || own.seen.iter().any(|seen| seen == directory)
    }

    /// The next file of a slot that was taken over, and what there is to say of files that are passed over. `None` at
    /// the end.
    pub(crate) fn next(&self, adopted: &mut Adopted) -> Option<Result<Stored, String>> {
        loop {
            if let Some(stray) = adopted.strays.pop() {
                let stray = stray.display();
                return Some(Err(format!("{stray} is no file of the spool: it is left alone")));
            }
            let Found { path, form, bytes } = adopted.files.pop_front()?;
            let shown = path.display();
            let problem = match form {
                Form::Unfinished => {
                    let _ = self.disk.remove(&path);
                    continue;
                }
                Form::Open | Form::Sealed(_) => {
                    match self.look(&path, form, bytes, &adopted.slot) {
                        Ok(Some(stored)) => return Some(Ok(stored)),
                        Ok(None) => {
                            let _ = self.disk.remove(&path);
                            continue;
                        }
                        Err(problem) => problem,
                    }
                }
            };
            return Some(Err(format!("{shown} of the spool is left alone: {problem}")));
        }
    }

    /// What waits in a file; `None` if nothing does.
    fn look(
        &self,
        path: &Path,
        form: Form,
        file_bytes: u64,
        slot: &Arc<Slot>,
    ) -> Result<Option<Stored>, String> {
        let stored = |database: String, precision, lines, bytes| {
            let (path, slot, damage) = (path.to_owned(), slot.clone(), Mutex::default());
            Some(Stored { path, _slot: slot, database, precision, lines, bytes, damage })
        };
        if let Form::Sealed(lines) = form {
            let start = self.disk.read_start(path, 8192).map_err(|error| error.to_string())?;
            if let Some((database, precision, header)) = format::read_start(&start) {
                let bytes = (file_bytes as usize).saturating_sub(header + lines * MARK);
                return Ok(stored(database, precision, lines, bytes));
            }
        }
        let file =
            self.disk.read(path, MOST_FILE_BYTES as u64).map_err(|error| error.to_string())?;
        match format::read(&file) {
            Ok(Contents { lines, .. }) if lines.is_empty() && form == Form::Open => Ok(None),
            Ok(Contents { lines, database, precision, .. }) => {
                let bytes = lines.iter().map(ExactSizeIterator::len).sum();
                let count = if let Form::Sealed(count) = form { count } else { lines.len() };
                Ok(stored(database, precision, count.max(lines.len()), bytes))
            }
            Err(Unreadable::Empty) if form == Form::Open => Ok(None),
            Err(Unreadable::Newer(version)) => {
                Err(format!("a later release wrote it, in version {version} of the format"))
            }
            Err(Unreadable::Foreign) => Err("it is not a file of a spool".to_owned()),
            Err(Unreadable::Empty | Unreadable::Damaged) => {
                Err(self.set_aside(path, "damaged beyond repair"))
            }
        }
    }

    /// Looks how much of the directory others use.
    pub(crate) fn measure(&self) {
        let sum = |directory: &Path| -> u64 {
            let entries = self.disk.list(directory).unwrap_or_default();
            entries
                .iter()
                .filter(|entry| entry.kind == EntryKind::File)
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
