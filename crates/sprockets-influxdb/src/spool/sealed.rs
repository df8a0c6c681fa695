//! Sealed files: each has the lines of one batch, and is never changed after it was written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::damaged;
use super::dir::SpoolDir;
use super::disk::is_gone;
use super::format::{self, Contents, MARK, MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_LINE_BYTES, Salt};
use super::slot::Slot;
use crate::config::Precision;
use crate::sync::{Mutex, lock};

/// Attempts to read a file before its lines are given up as damaged.
const MAX_READS: u32 = 3;

/// Writes, reads and removes sealed files.
#[derive(Debug)]
pub(crate) struct SealedFiles {
    dir: Arc<SpoolDir>,
}

/// A file with the lines of a batch. It may also be a segment of a dead process.
#[derive(Debug)]
pub(crate) struct SealedFile {
    pub(super) path: PathBuf,
    /// Locked while one of its files exists.
    _slot: Arc<Slot>,
    /// The length of the file.
    file_bytes: u64,
    pub(crate) database: String,
    pub(crate) precision: Precision,
    pub(crate) lines: usize,
    /// Length of its lines, line feeds included.
    pub(crate) bytes: usize,
    /// What was wrong with it when it was read. Such a file is set aside, not removed.
    damage: Mutex<Option<String>>,
    failed_reads: AtomicU32,
}

/// The result of sealing lines.
#[derive(Debug)]
pub(crate) enum SealOutcome {
    Sealed(SealedFile),
    /// The lines do not fit into a file.
    TooLong,
    /// The spool has no room for the file, or the memory none for its contents.
    NoRoom,
    /// The disk does not work. [`Spool::take_failure`](super::Spool::take_failure) has the reason.
    Failed,
}

/// The lines of a file.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: usize,
}

impl SealedFile {
    pub(super) fn new(
        (path, file_bytes): (PathBuf, u64),
        slot: Arc<Slot>,
        (database, precision): (String, Precision),
        lines: usize,
        bytes: usize,
    ) -> Self {
        Self {
            path,
            _slot: slot,
            file_bytes,
            database,
            precision,
            lines,
            bytes,
            damage: Mutex::default(),
            failed_reads: AtomicU32::new(0),
        }
    }
}

impl SealedFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of its file in bytes.
    pub(crate) fn file_bytes(&self) -> usize {
        self.file_bytes as usize
    }

    /// Whether something was wrong with it when it was read.
    pub(crate) fn is_damaged(&self) -> bool {
        lock(&self.damage).is_some()
    }
}

impl SealedFiles {
    pub(super) fn new(dir: Arc<SpoolDir>) -> Self {
        Self { dir }
    }

    /// What the spool may take, in bytes.
    pub(super) fn max_spool_bytes(&self) -> usize {
        usize::try_from(self.dir.account.limit()).unwrap_or(usize::MAX)
    }

    /// The largest size of a sealed file with this number of lines and bytes.
    pub(crate) fn max_file_size(lines: usize, bytes: usize) -> usize {
        bytes + lines * MARK + 4 * MAX_HEADER_BYTES
    }

    /// Writes lines, each with its line feed, to a new file.
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
            if line.len() > MAX_LINE_BYTES || file.len() + line.len() + 2 * MARK > MAX_FILE_BYTES {
                return SealOutcome::TooLong;
            }
            if file.try_reserve(line.len() + 2 * MARK).is_err() {
                return SealOutcome::NoRoom;
            }
            file.extend_from_slice(&salt.mark(line));
            file.extend_from_slice(line);
            count += 1;
            bytes += line.len();
        }
        file.extend_from_slice(format::end(count).as_bytes());
        let file_bytes = file.len() as u64;
        let Some(claim) = self.dir.account.claim_reserved(file_bytes) else {
            return SealOutcome::NoRoom;
        };
        match self.dir.in_slot(|slot| self.write(slot, count, &file)) {
            Ok((slot, path)) => {
                claim.keep();
                let kind = (database.to_owned(), precision);
                SealOutcome::Sealed(SealedFile::new((path, file_bytes), slot, kind, count, bytes))
            }
            Err(error) => {
                self.dir.fail("be written to", &error);
                SealOutcome::Failed
            }
        }
    }

    fn write(
        &self,
        slot: Arc<Slot>,
        lines: usize,
        file: &[u8],
    ) -> io::Result<(Arc<Slot>, PathBuf)> {
        let disk = &self.dir.disk;
        let is_synced = self.dir.is_synced();
        let (unfinished, path) = slot.sealed_paths(lines);
        let written = disk.write_new(&unfinished, file).and_then(|()| {
            if is_synced {
                disk.sync(&unfinished)?;
            }
            disk.rename(&unfinished, &path)?;
            if is_synced { self.dir.sync_names(&slot) } else { Ok(()) }
        });
        if let Err(error) = written {
            let _ = disk.remove(&unfinished);
            let _ = disk.remove(&path);
            return Err(error);
        }
        Ok((slot, path))
    }

    /// Reads the lines of a file. A damaged file has fewer lines than expected, or none. Returns
    /// `None` while the disk does not work, or there is no memory for the lines.
    pub(crate) fn load(&self, sealed: &SealedFile) -> Option<Loaded> {
        let file = match self.dir.disk.read(&sealed.path, MAX_FILE_BYTES as u64) {
            Ok(file) => file,
            Err(error) => {
                use io::ErrorKind::{InvalidData, InvalidInput, NotFound, OutOfMemory};
                let is_last =
                    || sealed.failed_reads.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_READS;
                let is_permanent = match error.kind() {
                    NotFound | InvalidData | InvalidInput => true,
                    OutOfMemory => false,
                    _ => is_last(),
                };
                if !is_permanent {
                    self.dir.health.set_unreadable();
                    self.dir.fail("be read", &error);
                    return None;
                }
                *lock(&sealed.damage) = Some(format!("not readable: {error}"));
                return Some(Loaded { bytes: Vec::new(), lines: 0 });
            }
        };
        let (lines, damage) = match format::read(&file) {
            Ok(Contents { lines, damage, .. }) => (lines, damage),
            Err(_) => (Vec::new(), Some("damaged beyond repair".to_owned())),
        };
        let lost = sealed.lines.saturating_sub(lines.len());
        let is_cut = lost > 0 && damage.is_none();
        if let Some(damage) = damage.or_else(|| is_cut.then(|| "cut short".to_owned())) {
            *lock(&sealed.damage) =
                Some(format!("{damage}; {lost} of {} lines are lost", sealed.lines));
        }
        // In place: fresh memory of this size has to be cleared by the kernel first.
        let (mut bytes, mut end) = (file, 0);
        for line in &lines {
            bytes.copy_within(line.clone(), end);
            end += line.len();
        }
        bytes.truncate(end);
        Some(Loaded { bytes, lines: lines.len() })
    }

    /// Those of these paths at which there is no file any more.
    pub(crate) fn find_removed(&self, paths: Vec<PathBuf>) -> Vec<PathBuf> {
        let disk = &self.dir.disk;
        let is_removed = |path: &PathBuf| disk.stat(path).is_err_and(|error| is_gone(&error));
        paths.into_iter().filter(is_removed).collect()
    }

    /// Removes a file whose lines are decided. Sets a damaged file aside instead, and returns a
    /// message about it.
    pub(crate) fn remove(&self, sealed: &SealedFile) -> Option<String> {
        let damage = lock(&sealed.damage).take();
        match damage {
            Some(damage) => Some(damaged::set_aside(&self.dir, &sealed.path, &damage)),
            None => {
                let _ = self.dir.disk.remove(&sealed.path);
                self.dir.account.release(sealed.file_bytes);
                None
            }
        }
    }
}
