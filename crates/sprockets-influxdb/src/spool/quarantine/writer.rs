//! Writes rejected lines to the quarantine. Its size is bounded: the oldest file is removed for a
//! new one.
//!
//! A file is locked while it is written to. A file that is claimed, or was removed, is not written
//! to any more: the next lines go to a new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::entry::Text;
use super::name;
use crate::config::Precision;
use crate::printable::one_line;
use crate::rfc3339;
use crate::spool::account::counted;
use crate::spool::dir::{QUARANTINE, SpoolDir};
use crate::spool::disk::Lock;
use crate::sync::{Mutex, lock};

/// The largest size of a file after which a new one is started, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The quarantine takes at most this part of the spool's bound.
const SHARE_OF_SPOOL: u64 = 4;

#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: Arc<SpoolDir>,
    max_bytes: AtomicU64,
    current: Mutex<Option<Current>>,
}

/// The file that is written to.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    bytes: usize,
}

impl Quarantine {
    pub(in crate::spool) fn new(dir: Arc<SpoolDir>, max_bytes: u64) -> Self {
        Self { dir, max_bytes: max_bytes.into(), current: Mutex::default() }
    }

    /// Keeps to a share of the bound of the whole spool.
    pub(crate) fn set_spool_bytes(&self, bytes: usize) {
        let max_bytes = self.max_bytes().min(bytes as u64 / SHARE_OF_SPOOL);
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    fn max_bytes(&self) -> u64 {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// The size of a file after which a new one is started.
    fn file_bytes(&self) -> usize {
        (self.max_bytes() as usize / 4).min(MAX_FILE_BYTES)
    }

    /// Keeps lines, without their line feeds, each with the server's reason.
    pub(crate) fn keep<'a>(
        &self,
        database: &str,
        precision: Precision,
        lines: impl Iterator<Item = (&'a [u8], &'a str)>,
    ) -> io::Result<()> {
        let now = rfc3339::format(SystemTime::now());
        let mut text = Text::default();
        for (line, reason) in lines {
            text.push(&now, database, precision, line, reason);
            if text.bytes().len() >= self.file_bytes() {
                self.write(std::mem::take(&mut text).bytes())?;
            }
        }
        if text.bytes().is_empty() { Ok(()) } else { self.write(text.bytes()) }
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let disk = &self.dir.disk;
        let mut current_file = lock(&self.current);
        // A failed write may leave half a line, after which nothing can be appended.
        let opened = self.reopen(current_file.take(), text.len());
        if opened.is_none() {
            self.make_room(&self.directory()?, |used| {
                used + text.len().max(self.file_bytes()) as u64 <= self.max_bytes()
            })?;
        }
        let bytes = opened.as_ref().map_or(0, |(current, _)| current.bytes);
        let account = &self.dir.account;
        let claim = || account.claim_growth(bytes as u64, text.len() as u64);
        let mut claimed = claim();
        if claimed.is_none() {
            self.make_room(&self.directory()?, |_| {
                claimed = claim();
                claimed.is_some()
            })?;
        }
        let claimed = claimed.ok_or_else(|| io::Error::other("the spool is full"))?;
        let (mut current, _lock) = opened.map_or_else(|| self.create(), Ok)?;
        disk.append(&current.path, text)?;
        claimed.keep();
        current.bytes += text.len();
        if self.dir.is_synced() {
            disk.sync(&current.path)?;
            self.dir.sync_parents(&current.path)?;
        }
        *current_file = Some(current);
        Ok(())
    }

    fn directory(&self) -> io::Result<PathBuf> {
        self.dir.usable(QUARANTINE, false)
    }

    /// Locks the current file, if there is room in it and nobody claimed or removed it.
    fn reopen(&self, current: Option<Current>, bytes: usize) -> Option<(Current, Box<dyn Lock>)> {
        let current = current.filter(|current| current.bytes + bytes <= self.file_bytes())?;
        let lock = self.dir.disk.lock_existing(&current.path).ok()??;
        Some((current, lock))
    }

    fn create(&self) -> io::Result<(Current, Box<dyn Lock>)> {
        let path = name::new_path(&self.directory()?);
        let locked = self.dir.disk.lock(&path)?;
        let locked = locked.ok_or_else(|| io::Error::other("another process took the new file"))?;
        Ok((Current { path, bytes: 0 }, locked))
    }

    /// Removes the oldest files until there `is_room` beside those that are left, in bytes. Claimed
    /// files stay, and those that cannot be removed.
    fn make_room(&self, directory: &Path, mut is_room: impl FnMut(u64) -> bool) -> io::Result<()> {
        let disk = &self.dir.disk;
        let mut entries = disk.list(directory)?;
        entries.retain(name::is_quarantine_file);
        let mut used: u64 = entries.iter().map(counted).sum();
        for entry in entries.iter().filter(|entry| !entry.is_foreign) {
            if is_room(used) {
                break;
            }
            let path = directory.join(&entry.name);
            let Ok(Some(_lock)) = disk.lock_existing(&path) else { continue };
            if disk.remove(&path).is_err() {
                continue;
            }
            used -= counted(entry);
            self.dir.account.release(counted(entry));
            let name = one_line(&entry.name);
            tracing::warn!("the quarantine is full: its oldest file, {name}, is removed");
        }
        Ok(())
    }
}
