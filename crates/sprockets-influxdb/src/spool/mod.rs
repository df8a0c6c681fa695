//! The spool: what waits for the server, on disk, so that it outlives the process.
//!
//! Lines that are in memory have segments (`segment`) in mapped files, at the cost of a copy. What waits for long is sealed
//! (`format`) into files of its own, and out of memory. Each process writes to a slot (`slot`) of its own, and takes over
//! those of processes that are no more. Whatever the disk does, nothing here fails for the application: without a disk
//! that works there are no segments, and lines wait in memory only.
//!
//! ```text
//! <spool>/slots/      what waits
//!         damaged/    files in which lines are lost, for a person to look at
//!         quarantine/ lines that the server refused, with its reason
//! ```

mod disk;
mod format;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod inspect;
mod quarantine;
mod recovery;
mod segment;
#[cfg(test)]
pub(crate) mod simulated;
mod slot;

pub use inspect::{Content, Directory, FileInfo, FileKind, SlotInfo};
pub use quarantine::{QuarantineClaim, QuarantineEntry, QuarantineFile};
pub(crate) use recovery::Adopted;
pub(crate) use segment::Segment;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use disk::{Disk, Files};
use format::{Contents, MARK, MOST_BYTES, Salt};
use quarantine::Quarantine;
use slot::{Slot, SlotFile, SlotFileKind};

use crate::config::{Precision, SpoolSync};
use crate::sync::{Mutex, lock};

/// What a line costs on disk beside its bytes.
pub(crate) const OVERHEAD: usize = MARK;
/// The most that is kept of what servers refuse.
const QUARANTINE_BYTES: u64 = 64 << 20;
/// As long as the header of a usual database's name is at most.
const MOST_HEADER_BYTES: usize = 256;
/// A file that could not be read so often is given up.
const READS: u32 = 3;
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
    /// One sync at a time: each returns when all before it is on disk, also what another was about.
    syncing: Mutex<()>,
    /// Of each segment, whether it was written to since it was synced, where that is done.
    written: Mutex<HashMap<PathBuf, Arc<AtomicBool>>>,
    /// Set while the disk does not do what it is asked to: then it is not asked by the application's threads.
    is_failing: AtomicBool,
    /// Set while it does not even read: a full disk does, and it is what is read and delivered that makes room there.
    is_unreadable: AtomicBool,
    /// Names that have to be synced before they survive a loss of power.
    has_new_names: AtomicBool,
    used_by_others: AtomicU64,
    segment_bytes: AtomicUsize,
    search: recovery::Search,
}

#[derive(Debug, Default)]
struct Own {
    slot: Option<Arc<Slot>>,
    /// Why it is failing, until it was told.
    failure: Option<String>,
    /// Slots whose processes are no more, by their directories: those that are ours now.
    seen: Vec<PathBuf>,
    /// Slots that are not for us, of which that was told.
    told: Vec<PathBuf>,
}

/// What became of lines that were to be sealed.
#[derive(Debug)]
pub(crate) enum SealOutcome {
    Sealed(SealedFile),
    /// No file takes them.
    TooLong,
    /// The disk does not work; why, [`Spool::take_failure`] tells.
    Failed,
}

/// A file with lines that wait.
#[derive(Debug)]
pub(crate) struct SealedFile {
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
    /// How often it could not be read.
    failures: AtomicU32,
}

impl SealedFile {
    fn new(
        path: PathBuf,
        slot: Arc<Slot>,
        (database, precision): (String, Precision),
        lines: usize,
        bytes: usize,
    ) -> Self {
        let (damage, failures) = (Mutex::default(), AtomicU32::new(0));
        Self { path, _slot: slot, database, precision, lines, bytes, damage, failures }
    }
}

/// The lines of a file.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: usize,
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
            syncing: Mutex::default(),
            written: Mutex::default(),
            is_failing: AtomicBool::new(false),
            is_unreadable: AtomicBool::new(false),
            has_new_names: AtomicBool::new(false),
            used_by_others: AtomicU64::new(0),
            segment_bytes: AtomicUsize::new(0),
            search: recovery::Search::default(),
        }
    }

    pub(crate) fn sync_level(&self) -> SpoolSync {
        self.sync
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.is_unreadable.load(Ordering::Relaxed)
    }

    /// Bytes in the directory that are not this process's.
    pub(crate) fn used_by_others(&self) -> u64 {
        self.used_by_others.load(Ordering::Relaxed)
    }

    /// A file for so many bytes of lines in memory. `None` while the disk does not work; why, [`take_failure`](Self::take_failure) tells.
    pub(crate) fn segment(&self, bytes: usize) -> Option<Segment> {
        if self.is_failing() {
            return None;
        }
        self.new_segment(bytes).map_err(|error| self.fail("be written to", &error)).ok()
    }

    fn new_segment(&self, bytes: usize) -> io::Result<Segment> {
        let capacity = Self::segment_capacity(bytes);
        let slot = self.slot()?;
        let path = slot.open_path();
        let map = self.disk.map_new(&path, capacity)?;
        self.segment_bytes.fetch_add(capacity, Ordering::Relaxed);
        self.has_new_names.store(true, Ordering::Relaxed);
        let is_written = self.is_synced().then(|| Arc::new(AtomicBool::new(true)));
        if let Some(is_written) = &is_written {
            lock(&self.written).insert(path.clone(), is_written.clone());
        }
        Ok(Segment::new(map, path, slot, is_written))
    }

    /// What the file takes that has so many bytes of lines in memory.
    pub(crate) fn segment_capacity(bytes: usize) -> usize {
        (bytes + bytes / 8 + 2 * MOST_HEADER_BYTES).next_multiple_of(4096)
    }

    /// What a sealed file takes at most.
    pub(crate) fn sealed_capacity(lines: usize, bytes: usize) -> usize {
        bytes + lines * MARK + 4 * MOST_HEADER_BYTES
    }

    /// Removes the file of a segment that is not used again.
    pub(crate) fn discard_segment(&self, segment: Segment) {
        // One that stays is found by the next process, which delivers what is in it once more: that harms nobody.
        lock(&self.written).remove(segment.path());
        let _ = self.disk.remove(segment.path());
        self.segment_bytes.fetch_sub(segment.capacity(), Ordering::Relaxed);
    }

    /// What the files of segments take, whether or not there are lines in them.
    pub(crate) fn segment_bytes(&self) -> usize {
        self.segment_bytes.load(Ordering::Relaxed)
    }

    /// Writes lines to a file, sealed. Each line has its line feed.
    pub(crate) fn seal<'a>(
        &self,
        database: &str,
        precision: Precision,
        lines: impl Iterator<Item = &'a [u8]>,
    ) -> SealOutcome {
        let number = fastrand::u64(..);
        let salt = Salt::new(number);
        let mut file = format::header(database, precision, number).into_bytes();
        let (mut count, mut bytes) = (0, 0);
        for line in lines {
            if line.len() > MOST_BYTES || file.len() + line.len() + 2 * MARK > MOST_FILE_BYTES {
                return SealOutcome::TooLong;
            }
            file.extend_from_slice(&salt.mark(line));
            file.extend_from_slice(line);
            count += 1;
            bytes += line.len();
        }
        file.extend_from_slice(format::end(count).as_bytes());
        match self.write_sealed(count, &file) {
            Ok((slot, path)) => {
                let kind = (database.to_owned(), precision);
                SealOutcome::Sealed(SealedFile::new(path, slot, kind, count, bytes))
            }
            Err(error) => {
                self.fail("be written to", &error);
                SealOutcome::Failed
            }
        }
    }

    fn write_sealed(&self, lines: usize, file: &[u8]) -> io::Result<(Arc<Slot>, PathBuf)> {
        let slot = self.slot()?;
        let (unfinished, path) = slot.sealed_paths(lines);
        let written = self.disk.write_new(&unfinished, file).and_then(|()| {
            if self.is_synced() {
                self.disk.sync(&unfinished)?;
            }
            self.disk.rename(&unfinished, &path)?;
            if self.is_synced() { self.sync_names(&slot) } else { Ok(()) }
        });
        if let Err(error) = written {
            let _ = self.disk.remove(&unfinished);
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        Ok((slot, path))
    }

    /// Whether what is written is to survive a loss of power.
    pub(crate) fn is_synced(&self) -> bool {
        self.sync != SpoolSync::Process
    }

    /// Has a slot's names survive a loss of power, and its own: with those of the directories above, which may be new.
    fn sync_names(&self, slot: &Slot) -> io::Result<()> {
        self.disk.sync_dir(slot.directory())?;
        if slot.is_found.load(Ordering::Relaxed) {
            return Ok(());
        }
        for directory in slot.directory().ancestors().skip(1) {
            let is_none = directory.as_os_str().is_empty();
            let synced = self.disk.sync_dir(if is_none { Path::new(".") } else { directory });
            let is_ours = directory.starts_with(&self.root);
            match synced.map_err(|error| (error.kind(), error)) {
                // One in which we may not look was there before us.
                Err((io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput, _))
                    if !is_ours => {}
                synced => synced.map_err(|(_, error)| error)?,
            }
        }
        slot.is_found.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Reads the lines of a file; fewer than it had, if it is damaged. `None` while the disk does not work.
    pub(crate) fn load(&self, stored: &SealedFile) -> Option<Loaded> {
        let read = self.disk.read(&stored.path, MOST_FILE_BYTES as u64);
        let file = match read {
            Ok(file) => file,
            Err(error) => {
                use io::ErrorKind::{InvalidData, InvalidInput, NotFound};
                let is_for_good = matches!(error.kind(), NotFound | InvalidData | InvalidInput);
                if !is_for_good && stored.failures.fetch_add(1, Ordering::Relaxed) + 1 < READS {
                    self.is_unreadable.store(true, Ordering::Relaxed);
                    self.fail("be read", &error);
                    return None;
                }
                *lock(&stored.damage) = Some(format!("not to be read: {error}"));
                return Some(Loaded { bytes: Vec::new(), lines: 0 });
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
        Some(Loaded { bytes, lines: lines.len() })
    }

    /// Removes a file whose lines are decided; one that was damaged is set aside. Returns what there is to say of it.
    pub(crate) fn discard(&self, stored: &SealedFile) -> Option<String> {
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

    /// Has all that was written survive a loss of power. Returns whether it does.
    pub(crate) fn sync(&self) -> bool {
        self.try_sync().map_err(|error| self.fail("be synced", &error)).is_ok()
    }

    fn try_sync(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.syncing);
        let Some(slot) = lock(&self.own).slot.clone() else { return Ok(()) };
        for SlotFile { path, kind, .. } in slot.files()?.0 {
            let is_written = lock(&self.written).get(&path).cloned();
            let is_synced = |flag: &Arc<AtomicBool>| !flag.swap(false, Ordering::Acquire);
            if kind != SlotFileKind::Open || is_written.as_ref().is_some_and(is_synced) {
                continue;
            }
            match self.disk.sync(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    is_written.inspect(|flag| flag.store(true, Ordering::Relaxed));
                    return Err(error);
                }
                _ => {}
            }
        }
        if self.has_new_names.swap(false, Ordering::Relaxed) {
            self.sync_names(&slot)
                .inspect_err(|_| self.has_new_names.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }

    /// Tries whether a disk that was failing does again all that is asked of it. Returns so many segments if it does.
    pub(crate) fn retry(&self, bytes: usize, count: usize) -> Option<Vec<Segment>> {
        self.forget_gone_slot();
        self.is_unreadable.store(false, Ordering::Relaxed);
        let mut segments = Vec::new();
        let mut works = Ok(());
        while works.is_ok() && segments.len() < count {
            works = self.new_segment(bytes).map(|segment| segments.push(segment));
        }
        if works.is_ok() && self.is_synced() {
            works = self.try_sync();
        }
        self.is_failing.store(works.is_err(), Ordering::Relaxed);
        if works.is_err() {
            segments.drain(..).for_each(|segment| self.discard_segment(segment));
        }
        works.is_ok().then_some(segments)
    }

    /// Has a new slot made where somebody removed this process's.
    fn forget_gone_slot(&self) {
        let mut own = lock(&self.own);
        let is_gone = own.slot.as_ref().is_some_and(|slot| {
            let listed = self.disk.list(slot.directory());
            listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        });
        if is_gone {
            own.slot = None;
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
}

#[cfg(test)]
mod tests;
