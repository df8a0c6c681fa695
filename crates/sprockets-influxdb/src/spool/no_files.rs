//! There is no spool on systems other than Unix: every operation fails.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{DirEntry, Disk, FileStat, Lock, Map};
use crate::sys;

#[derive(Debug)]
pub(crate) struct Files;

impl Files {
    pub(crate) fn own(_root: &Path) -> Self {
        Self
    }

    pub(crate) fn any_user(_root: &Path) -> Self {
        Self
    }
}

impl Lock for sys::FileLock {}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there is no spool on this system"))
}

impl Disk for Files {
    fn usable_dir(&self, _path: &Path, _is_shared: bool) -> io::Result<PathBuf> {
        unsupported()
    }

    fn dirs(&self, _path: &Path) -> io::Result<Vec<PathBuf>> {
        unsupported()
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        unsupported()
    }

    fn map_new(&self, _path: &Path, _bytes: usize) -> io::Result<Map> {
        unsupported()
    }

    fn write_new(&self, _path: &Path, _bytes: &[u8]) -> io::Result<()> {
        unsupported()
    }

    fn append(&self, _path: &Path, _bytes: &[u8]) -> io::Result<()> {
        unsupported()
    }

    fn read(&self, _path: &Path, _max_bytes: u64) -> io::Result<Vec<u8>> {
        unsupported()
    }

    fn read_start(&self, _path: &Path, _bytes: usize) -> io::Result<Vec<u8>> {
        unsupported()
    }

    fn stat(&self, _path: &Path) -> io::Result<FileStat> {
        unsupported()
    }

    fn list(&self, _directory: &Path) -> io::Result<Vec<DirEntry>> {
        unsupported()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        unsupported()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        unsupported()
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        unsupported()
    }

    fn sync(&self, _path: &Path) -> io::Result<()> {
        unsupported()
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        unsupported()
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        unsupported()
    }

    fn lock_existing(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        unsupported()
    }

    fn is_locked(&self, _path: &Path) -> io::Result<bool> {
        unsupported()
    }
}
