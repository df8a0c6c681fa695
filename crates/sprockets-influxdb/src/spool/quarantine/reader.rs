//! The quarantine as operators see it, and claims to retry its lines. A retry loses no line,
//! whenever it is interrupted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::entry::{self, QuarantineEntry};
use crate::spool::disk::{DirEntry, DirEntryKind, Disk, Files};
use crate::spool::format::MAX_FILE_BYTES;
use crate::sys::FileLock;

/// The end of a claimed file's name. A client that has the file open starts another one.
const CLAIMED: &str = ".retry.lp";

/// A file of the quarantine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuarantineFile {
    /// Its path.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// When a line was last added to it.
    pub modified: Option<SystemTime>,
}

/// A claimed file of the quarantine. While this exists, nobody else can claim the file.
#[derive(Debug)]
pub struct QuarantineClaim {
    path: PathBuf,
    /// How much of it was read. A client that had it open may append more.
    bytes: usize,
    entries: Vec<QuarantineEntry>,
    _lock: FileLock,
}

impl QuarantineFile {
    pub(crate) fn is_one(entry: &DirEntry) -> bool {
        entry.kind == DirEntryKind::File && entry.name.ends_with(".lp")
    }

    /// A file of a quarantine at any path.
    ///
    /// # Errors
    ///
    /// Fails if it does not exist.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let metadata = fs::metadata(&path)?;
        Ok(Self { path, bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Reads its entries. A file that was removed has none.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read.
    pub fn read(&self) -> io::Result<Vec<QuarantineEntry>> {
        let bytes = if_exists(Files.read(&self.path, MAX_FILE_BYTES as u64))?;
        Ok(entry::read(&bytes.unwrap_or_default()))
    }

    /// Claims the file, to retry its lines. Returns `None` if it was removed, or is claimed
    /// already.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read or renamed.
    pub fn claim(&self) -> io::Result<Option<QuarantineClaim>> {
        let path = claimed_path(&self.path);
        if path != self.path && if_exists(fs::rename(&self.path, &path))?.is_none() {
            return Ok(None);
        }
        let Some(file) = if_exists(File::open(&path))? else { return Ok(None) };
        let Some(lock) = FileLock::try_on(file)? else { return Ok(None) };
        // Before our lock, its last holder may have removed or replaced it.
        let Some(bytes) = if_exists(Files.read(&path, MAX_FILE_BYTES as u64))? else {
            return Ok(None);
        };
        let (entries, bytes) = (entry::read(&bytes), bytes.len());
        Ok(Some(QuarantineClaim { path, bytes, entries, _lock: lock }))
    }

    /// Removes the file with its lines. A file that was removed already is not an error.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        if_exists(fs::remove_file(&self.path)).map(|_| ())
    }
}

impl QuarantineClaim {
    /// Its entries.
    pub fn entries(&self) -> &[QuarantineEntry] {
        &self.entries
    }

    /// Replaces the entries of the file by `remaining`, followed by those that were added since the
    /// claim. Removes the file if there are none. Until then, and if this fails, the file is
    /// unchanged.
    ///
    /// # Errors
    ///
    /// Fails if the disk cannot be written to.
    pub fn finish(self, remaining: &[QuarantineEntry]) -> io::Result<()> {
        let current = Files.read(&self.path, MAX_FILE_BYTES as u64)?;
        let mut text = Vec::new();
        remaining.iter().for_each(|entry| entry.write_to(&mut text));
        text.extend_from_slice(current.get(self.bytes..).unwrap_or_default());
        if text.is_empty() {
            return Files.remove(&self.path);
        }
        let unfinished = self.path.with_extension("unfinished");
        if_exists(fs::remove_file(&unfinished))?;
        Files.write_new(&unfinished, &text)?;
        Files.sync(&unfinished)?;
        Files.rename(&unfinished, &self.path)
    }
}

fn claimed_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(CLAIMED) {
        return path.to_owned();
    }
    path.with_file_name(format!("{}{CLAIMED}", name.trim_end_matches(".lp")))
}

/// Turns the error about a file that does not exist into `None`.
fn if_exists<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# 2026-11-23T15:04:05Z precision=s database=db\n# reason: 400: no\nm f=1 7\n\
        # 2026-11-23T15:04:06Z precision=ns database=db\n# reason: type conflict\nn f=1 8\n";

    #[test]
    fn a_finished_claim_keeps_remaining_lines_and_those_added_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1-2.lp");
        fs::write(&path, FILE).unwrap();
        let file = QuarantineFile::at(&path).unwrap();
        let claim = file.claim().unwrap().unwrap();
        let claimed = claim.path.clone();
        assert!(file.claim().unwrap().is_none() && !path.exists());
        assert!(QuarantineFile::at(&claimed).unwrap().claim().unwrap().is_none());
        let added = "# 2026-11-23T15:04:07Z precision=ns database=db\n# reason: late\no f=1 9\n";
        Files.append(&claimed, added.as_bytes()).unwrap();
        let refused_again = claim.entries()[1].refused_again("still");
        claim.finish(&[refused_again]).unwrap();
        let file = QuarantineFile::at(&claimed).unwrap();
        let entries = file.read().unwrap();
        let reasons: Vec<_> = entries.into_iter().map(|entry| entry.reason).collect();
        assert_eq!(reasons, ["still", "late"]);
        file.claim().unwrap().unwrap().finish(&[]).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
