//! The quarantine as operators see it, and claims to retry its lines. A retry loses no line,
//! whenever it is interrupted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::entry::{self, QuarantineEntry, Text};
use super::name;
use crate::spool::Files;
use crate::spool::disk::{Disk, Lock};
use crate::spool::format::MAX_FILE_BYTES;

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
    /// For reading.
    disk: Arc<dyn Disk>,
    /// For claims and removals.
    own: Arc<dyn Disk>,
}

/// A claimed file of the quarantine. While this exists, nobody else can claim the file, and no
/// client adds lines to it.
#[derive(Debug)]
pub struct QuarantineClaim {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    _lock: Box<dyn Lock>,
}

impl QuarantineFile {
    /// A file of a quarantine at any path.
    ///
    /// # Errors
    ///
    /// Fails if it does not exist.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let directory = path.parent().unwrap_or(Path::new(""));
        let (disk, own) = (Arc::new(Files::any_user(directory)), Arc::new(Files::own(directory)));
        let metadata = fs::symlink_metadata(&path)?;
        let modified = metadata.modified().ok();
        Ok(Self::on((disk, own), path, metadata.len(), modified))
    }

    pub(crate) fn on(
        (disk, own): (Arc<dyn Disk>, Arc<dyn Disk>),
        path: PathBuf,
        bytes: u64,
        modified: Option<SystemTime>,
    ) -> Self {
        Self { path, bytes, modified, disk, own }
    }

    /// Reads its entries. A file that was removed has none.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read.
    pub fn read(&self) -> io::Result<Vec<QuarantineEntry>> {
        let bytes = if_exists(self.disk.read(&self.path, MAX_FILE_BYTES as u64))?;
        Ok(entry::read(&bytes.unwrap_or_default()))
    }

    /// Claims the file, to retry its lines. Returns `None` if it was removed, or is in use.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened.
    pub fn claim(&self) -> io::Result<Option<QuarantineClaim>> {
        let lock = if_exists(self.own.lock_existing(&self.path))?.flatten();
        let claim = |lock| {
            let (path, disk) = (self.path.clone(), self.own.clone());
            QuarantineClaim { path, disk, _lock: lock }
        };
        Ok(lock.map(claim))
    }

    /// Removes the file with its lines. A file that was removed already is not an error.
    ///
    /// # Errors
    ///
    /// Fails if it is in use, if it grew since its length was read, or if it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        let Some(lock) = if_exists(self.own.lock_existing(&self.path))? else { return Ok(()) };
        let in_use = || io::Error::new(io::ErrorKind::WouldBlock, "it is in use");
        let _lock = lock.ok_or_else(in_use)?;
        if self.own.stat(&self.path)?.bytes != self.bytes {
            return Err(io::Error::other("lines were added to it meanwhile"));
        }
        self.own.remove(&self.path)
    }

    /// Lets it be claimed and removed whoever owns it. Default: only if this process's user does.
    #[must_use]
    pub fn any_user(mut self) -> Self {
        self.own = self.disk.clone();
        self
    }
}

impl QuarantineClaim {
    /// Reads its entries.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn read(&self) -> io::Result<Vec<QuarantineEntry>> {
        Ok(entry::read(&self.disk.read(&self.path, MAX_FILE_BYTES as u64)?))
    }

    /// Replaces the file by a new one with the `remaining` entries, or by none. The file is removed
    /// last: until then, and if this fails, it is unchanged.
    ///
    /// # Errors
    ///
    /// Fails if the disk cannot be written to.
    pub fn finish(self, remaining: &[QuarantineEntry]) -> io::Result<()> {
        if !remaining.is_empty() {
            self.write(remaining)?;
        }
        self.disk.remove(&self.path)
    }

    fn write(&self, remaining: &[QuarantineEntry]) -> io::Result<()> {
        let mut text = Text::default();
        remaining.iter().for_each(|entry| text.push_entry(entry));
        let directory = self.path.parent().unwrap_or(&self.path);
        // Only the holder of the lock writes it. An earlier one may have been interrupted.
        let unfinished = self.path.with_extension("unfinished");
        if_exists(self.disk.remove(&unfinished))?;
        self.disk.write_new(&unfinished, text.bytes())?;
        self.disk.sync(&unfinished)?;
        self.disk.rename(&unfinished, &name::new_path(directory))?;
        self.disk.sync_dir(directory)
    }
}

/// Turns the error about a file that does not exist into `None`.
fn if_exists<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
