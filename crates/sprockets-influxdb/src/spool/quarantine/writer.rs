//! Writes refused lines to the quarantine. Its size is bounded: the oldest file is removed for a
//! new one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::entry;
use crate::config::Precision;
use crate::printable::one_line;
use crate::spool::disk::{DirEntryKind, Disk};
use crate::sync::{Mutex, lock};

/// Size of a file after which a new one is started, in bytes.
const FILE_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Quarantine {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    max_bytes: u64,
    current: Mutex<Option<Current>>,
}

/// The file that is written to.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    bytes: u64,
}

impl Quarantine {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf, max_bytes: u64) -> Self {
        Self { disk, directory, max_bytes, current: Mutex::default() }
    }

    /// Keeps lines, without their line feeds, each with the server's reason.
    pub(crate) fn keep<'a>(
        &self,
        database: &str,
        precision: Precision,
        lines: impl Iterator<Item = (&'a [u8], &'a str)>,
    ) -> io::Result<()> {
        let now = entry::rfc3339(SystemTime::now());
        let mut text = Vec::new();
        for (line, reason) in lines {
            entry::write(&mut text, &now, database, precision, line, reason);
        }
        self.write(&text)
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let mut current_file = lock(&self.current);
        let bytes = text.len() as u64;
        let is_full = |current: &Current| current.bytes > 0 && current.bytes + bytes > FILE_BYTES;
        if current_file.as_ref().is_none_or(is_full) {
            self.disk.create_dir(&self.directory)?;
            self.make_room(bytes)?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // Names sort by time, and differ between processes.
            let name = format!("{:016}-{}.lp", now.as_micros(), std::process::id());
            *current_file = Some(Current { path: self.directory.join(name), bytes: 0 });
        }
        let Some(current) = current_file.as_mut() else { return Ok(()) };
        let path = current.path.clone();
        current.bytes += bytes;
        // A failed write may leave half a line, after which nothing can be appended.
        self.disk.append(&path, text).inspect_err(|_| *current_file = None)
    }

    /// Removes the oldest files until a new one fits.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries = self.disk.list(&self.directory)?;
        entries.retain(|entry| entry.kind == DirEntryKind::File && entry.name.ends_with(".lp"));
        let mut used: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if used + bytes.max(FILE_BYTES) <= self.max_bytes {
                break;
            }
            used -= entry.bytes;
            match self.disk.remove(&self.directory.join(&entry.name)) {
                // Another process makes room as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                removed => removed?,
            }
            tracing::warn!(
                "the quarantine is full: its oldest file, {}, is removed",
                one_line(&entry.name)
            );
        }
        Ok(())
    }
}
