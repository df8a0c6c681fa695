//! The quarantine seen from outside, for operators: what servers refused, and why; and a way to take lines out of it that
//! loses none, whenever it is interrupted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use percent_encoding::percent_decode_str;

use super::disk::{Disk, Entry, EntryKind, Files};
use super::{MOST_FILE_BYTES, quarantine};
use crate::config::Precision;
use crate::lines::line_end;
use crate::sys::FileLock;

/// What a file's name has when somebody takes lines out of it: its process, if it lives, begins another.
const TAKEN: &str = ".retry.lp";

/// A file of the quarantine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuarantineFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When a line was last added to it.
    pub modified: Option<SystemTime>,
}

/// A line that a server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuarantineEntry {
    /// When, in UTC, as RFC 3339 has it.
    pub time: String,
    /// For which database. Empty if the file does not say.
    pub database: String,
    /// Of the line's timestamp.
    pub precision: Precision,
    /// Why, in the server's words.
    pub reason: String,
    /// The line, without its line feed.
    pub line: Vec<u8>,
}

/// A file of the quarantine that nobody else takes lines out of for as long as this is there.
#[derive(Debug)]
pub struct QuarantineTaken {
    path: PathBuf,
    /// As much of it as was read: a process that had it open may have appended since.
    bytes: usize,
    entries: Vec<QuarantineEntry>,
    _lock: FileLock,
}

impl QuarantineFile {
    pub(super) fn is_one(entry: &Entry) -> bool {
        entry.kind == EntryKind::File && entry.name.ends_with(".lp")
    }

    /// A file of a quarantine, wherever it is.
    ///
    /// # Errors
    ///
    /// One that is not there.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let metadata = fs::metadata(&path)?;
        Ok(Self { path, bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Reads what is in it. One that is gone has nothing in it.
    ///
    /// # Errors
    ///
    /// One that cannot be read.
    pub fn read(&self) -> io::Result<Vec<QuarantineEntry>> {
        match Files.read(&self.path, MOST_FILE_BYTES as u64) {
            Ok(bytes) => Ok(entries(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Takes it, to send its lines again. `None` if it is gone, or another has it.
    ///
    /// # Errors
    ///
    /// One that cannot be read, or renamed.
    pub fn take(&self) -> io::Result<Option<QuarantineTaken>> {
        let path = taken_path(&self.path);
        if path != self.path {
            match fs::rename(&self.path, &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                renamed => renamed?,
            }
        }
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let Some(lock) = FileLock::try_on(file)? else { return Ok(None) };
        // Whoever had it may have removed it, or put another in its place, before our lock.
        let bytes = match Files.read(&path, MOST_FILE_BYTES as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let (entries, bytes) = (entries(&bytes), bytes.len());
        Ok(Some(QuarantineTaken { path, bytes, entries, _lock: lock }))
    }

    /// Removes it, with the lines in it.
    ///
    /// # Errors
    ///
    /// One that cannot be removed. One that is gone is no error.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

impl QuarantineTaken {
    /// What is in it.
    pub fn entries(&self) -> &[QuarantineEntry] {
        &self.entries
    }

    /// Gives it back with these lines in it, and those that came meanwhile; removes it if there are none. Until then, and if
    /// it fails, it is there as it was.
    ///
    /// # Errors
    ///
    /// A disk that cannot be written to.
    pub fn give_back(self, left: &[QuarantineEntry]) -> io::Result<()> {
        let now = Files.read(&self.path, MOST_FILE_BYTES as u64)?;
        let mut text = Vec::new();
        for entry in left {
            let QuarantineEntry { time, database, precision, reason, line } = entry;
            quarantine::write_entry(&mut text, time, database, *precision, line, reason);
        }
        text.extend_from_slice(now.get(self.bytes..).unwrap_or_default());
        if text.is_empty() {
            return Files.remove(&self.path);
        }
        let unfinished = self.path.with_extension("unfinished");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Files.write_new(&unfinished, &text)?;
        Files.sync(&unfinished)?;
        Files.rename(&unfinished, &self.path)
    }
}

impl QuarantineEntry {
    /// It, refused again now for that reason.
    pub fn refused_again(&self, reason: impl Into<String>) -> Self {
        let time = quarantine::humantime(SystemTime::now());
        Self { time, reason: reason.into(), ..self.clone() }
    }
}

fn taken_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(TAKEN) {
        return path.to_owned();
    }
    path.with_file_name(format!("{}{TAKEN}", name.trim_end_matches(".lp")))
}

/// What a file's text says. Someone may have mended it: comments say what is so for the lines after them.
fn entries(bytes: &[u8]) -> Vec<QuarantineEntry> {
    let mut entries = Vec::new();
    let mut head = QuarantineEntry {
        time: String::new(),
        database: String::new(),
        precision: Precision::default(),
        reason: String::new(),
        line: Vec::new(),
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some(comment) = rest.strip_prefix(b"#") {
            let end = memchr::memchr(b'\n', comment).unwrap_or(comment.len());
            read_comment(&mut head, String::from_utf8_lossy(&comment[..end]).trim());
            rest = comment.get(end + 1..).unwrap_or_default();
            continue;
        }
        let (line, after) = rest.split_at(line_end(rest));
        rest = after;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !line.trim_ascii().is_empty() {
            entries.push(QuarantineEntry { line: line.to_owned(), ..head.clone() });
        }
    }
    entries
}

fn read_comment(head: &mut QuarantineEntry, comment: &str) {
    let mut words = comment.split(' ');
    let (time, precision, database) = (words.next(), words.next(), words.next());
    let precision = precision.and_then(|word| word.strip_prefix("precision=")?.parse().ok());
    let database = database.and_then(|word| word.strip_prefix("database="));
    if let (Some(time), Some(precision), Some(database)) = (time, precision, database) {
        head.time = time.to_owned();
        head.precision = precision;
        head.database = percent_decode_str(database).decode_utf8_lossy().into_owned();
        head.reason.clear();
    } else {
        head.reason = comment.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# 2026-11-23T15:04:05Z precision=s database=my%20db\n# 400: no\nm f=\"two\n# lines\" 7\n\
                        # 2026-11-23T15:04:06Z precision=ns database=db\n# field type conflict\nn f=1 8\n";

    #[test]
    fn what_is_read_is_what_is_written() {
        let read = entries(FILE.as_bytes());
        assert_eq!(read.len(), 2);
        assert_eq!((&*read[0].database, read[0].precision), ("my db", Precision::Seconds));
        assert_eq!((&*read[0].reason, &*read[0].line), ("400: no", &b"m f=\"two\n# lines\" 7"[..]));
        assert_eq!(&*read[1].time, "2026-11-23T15:04:06Z");
        let mut text = Vec::new();
        for entry in &read {
            let QuarantineEntry { time, database, precision, reason, line } = entry;
            quarantine::write_entry(&mut text, time, database, *precision, line, reason);
        }
        assert_eq!(String::from_utf8(text).unwrap(), FILE);
    }

    #[test]
    fn lines_are_taken_out_and_what_comes_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1-2.lp");
        fs::write(&path, FILE).unwrap();
        let file = QuarantineFile::at(&path).unwrap();
        let taken = file.take().unwrap().unwrap();
        let taken_path = taken.path.clone();
        assert!(file.take().unwrap().is_none() && !path.exists());
        assert!(QuarantineFile::at(&taken_path).unwrap().take().unwrap().is_none());
        let late = "# 2026-11-23T15:04:07Z precision=ns database=db\n# late\no f=1 9\n";
        Files.append(&taken_path, late.as_bytes()).unwrap();
        let again = taken.entries()[1].refused_again("still");
        taken.give_back(&[again]).unwrap();
        let file = QuarantineFile::at(&taken_path).unwrap();
        let reasons: Vec<_> = file.read().unwrap().into_iter().map(|entry| entry.reason).collect();
        assert_eq!(reasons, ["still", "late"]);
        file.take().unwrap().unwrap().give_back(&[]).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
