//! Lines that the server refused, as line protocol, each below comments that say when, for which database, and why: to be
//! read, mended and sent again. Bounded: the oldest file gives way.
//!
//! ```text
//! # 2026-11-23T15:04:05Z precision=ns database=example
//! # 400: field type conflict: input field "bytes" is type float, already exists as type integer
//! requests,method=GET bytes=5.5 1700000000000000000
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::disk::{DirEntryKind, Disk};
use crate::config::Precision;
use crate::sync::{Mutex, lock};

/// A file of the quarantine is not written to any more when it has so many bytes.
const FILE_BYTES: u64 = 1 << 20;
/// A reason that is longer is cut.
const REASON_CHARACTERS: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Quarantine {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    most_bytes: u64,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    bytes: u64,
}

impl Quarantine {
    pub(in crate::spool) fn new(disk: Arc<dyn Disk>, directory: PathBuf, most_bytes: u64) -> Self {
        Self { disk, directory, most_bytes, current: Mutex::default() }
    }

    /// Keeps lines, without their line feeds, each with the server's reason.
    pub(crate) fn keep<'a>(
        &self,
        database: &str,
        precision: Precision,
        lines: impl Iterator<Item = (&'a [u8], &'a str)>,
    ) -> io::Result<()> {
        let now = humantime(SystemTime::now());
        let mut text = Vec::new();
        for (line, reason) in lines {
            write_entry(&mut text, &now, database, precision, line, reason);
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
            // In the order of time, and of no other process's.
            let name = format!("{:016}-{}.lp", now.as_micros(), std::process::id());
            *current_file = Some(Current { path: self.directory.join(name), bytes: 0 });
        }
        let Some(current) = current_file.as_mut() else { return Ok(()) };
        let path = current.path.clone();
        current.bytes += bytes;
        // After half of a line nothing can be appended.
        self.disk.append(&path, text).inspect_err(|_| *current_file = None)
    }

    /// Removes the oldest files until a new one fits.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries = self.disk.list(&self.directory)?;
        entries.retain(|entry| entry.kind == DirEntryKind::File && entry.name.ends_with(".lp"));
        let mut used: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if used + bytes.max(FILE_BYTES) <= self.most_bytes {
                break;
            }
            used -= entry.bytes;
            match self.disk.remove(&self.directory.join(&entry.name)) {
                // Another process makes room, too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                removed => removed?,
            }
            tracing::warn!("the quarantine is full: its oldest file, {}, is removed", entry.name);
        }
        Ok(())
    }
}

/// Writes a line with what there is to say of it.
pub(super) fn write_entry(
    text: &mut Vec<u8>,
    time: &str,
    database: &str,
    precision: Precision,
    line: &[u8],
    reason: &str,
) {
    let database = super::super::format::encoded(database);
    let reason: String = reason
        .chars()
        .take(REASON_CHARACTERS)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let head = format!("# {time} precision={precision} database={database}\n# {reason}\n");
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(line);
    text.push(b'\n');
}

/// A time as RFC 3339 has it, in seconds.
pub(super) fn humantime(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Civil from days, by the calendar's eras of 400 years, which begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_shown_as_the_calendar_has_them() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_763_910_245, "2025-11-23T15:04:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(humantime(time), shown);
        }
    }
}
