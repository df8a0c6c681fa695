//! The names of quarantine files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::spool::disk::{DirEntry, DirEntryKind};

const END: &str = ".lp";

/// The path of a new file. Names sort by time and are unique.
pub(super) fn new_path(directory: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (process, random) = (std::process::id(), fastrand::u32(..));
    directory.join(format!("{:016}-{process}-{random:08x}{END}", now.as_micros()))
}

pub(crate) fn is_quarantine_file(entry: &DirEntry) -> bool {
    entry.kind == DirEntryKind::File && entry.name.ends_with(END)
}
