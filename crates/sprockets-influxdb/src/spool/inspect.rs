//! The spool as operators see it: which measurements wait, whose they are, and whether the files
//! are intact. Only reads, also while processes write.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::disk::{DirEntry, DirEntryKind, Disk, Files};
use super::format::{self, Contents, MAX_FILE_BYTES, Unreadable};
use super::quarantine::{QuarantineFile, is_quarantine_file};
use super::slot::{self, LOCK, SlotFileKind};
use crate::config::Precision;
use crate::sys;

/// Attempts to read a segment that is being written. A line that is written during a read looks
/// damaged.
const ATTEMPTS: u32 = 5;

/// The directory of a spool. Its methods never change anything in it.
///
/// ```
/// use sprockets_influxdb::spool::Directory;
///
/// # fn main() -> std::io::Result<()> {
/// # let spool = tempfile::tempdir()?;
/// let directory = Directory::new(spool.path());
/// for slot in directory.slots()? {
///     for file in slot.files {
///         if let Some(content) = file.read()? {
///             let path = file.path.display();
///             println!("{path}: {} lines for {}", content.len(), content.database);
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

/// The files of one process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotInfo {
    /// The name of its directory.
    pub name: String,
    /// The id of the process that created it, in that process's PID namespace.
    pub process: Option<u32>,
    /// Whether a living process holds it: the one that created it, or one that adopted it.
    pub is_alive: bool,
    /// Its files, oldest first.
    pub files: Vec<FileInfo>,
    /// Paths in the slot that are not files of a spool.
    pub strays: Vec<PathBuf>,
}

/// A file with lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its path.
    pub path: PathBuf,
    /// Its kind, by its name.
    pub kind: FileKind,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last written to. For a segment in use, this may be when it was created.
    pub modified: Option<SystemTime>,
    /// Why it was set aside. `None` if it was not.
    pub reason: Option<String>,
    /// Whether a process may write to it while it is read.
    is_alive: bool,
}

/// The kind of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A segment: being written, or written until its process ended.
    Open,
    /// A sealed file: complete, with this number of lines.
    Sealed(usize),
    /// A sealed file that was never completed. Its lines are in other files.
    Unfinished,
    /// Not a file of a slot, for example one that was set aside.
    Other,
}

/// The contents of a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Content {
    /// The database of its lines.
    pub database: String,
    /// The precision of their timestamps.
    pub precision: Precision,
    /// A description of the damage, if any. The intact lines are available all the same.
    pub damage: Option<String>,
    bytes: Vec<u8>,
    lines: Vec<Range<usize>>,
}

impl Directory {
    /// The spool at this path, the same as for [`Config::spool`](crate::Config::spool).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The slots of all processes. Each process has one.
    ///
    /// # Errors
    ///
    /// Fails if the directory does not exist or cannot be read. Slots that this user may not read
    /// are skipped.
    pub fn slots(&self) -> io::Result<Vec<SlotInfo>> {
        let directory = self.root.join("slots");
        let entries = self.entries(&directory)?;
        let slots = entries.into_iter().filter(|entry| entry.kind == DirEntryKind::Directory);
        slots
            .filter_map(|entry| skip_gone(slot_info(&directory, &entry.name)).transpose())
            .collect()
    }

    /// Files in which lines were lost, set aside for an operator to look at. Their intact lines
    /// were delivered.
    ///
    /// # Errors
    ///
    /// The same as [`slots`](Self::slots).
    pub fn damaged(&self) -> io::Result<Vec<FileInfo>> {
        let directory = self.root.join("damaged");
        let mut files = Vec::new();
        for entry in self.entries(&directory)? {
            let path = directory.join(&entry.name);
            if entry.kind == DirEntryKind::File && !entry.name.ends_with(".reason") {
                let mut file = FileInfo::new(path, FileKind::Other, entry.bytes, false);
                let reason = fs::read_to_string(directory.join(format!("{}.reason", entry.name)));
                file.reason = reason.ok().map(|reason| reason.trim_end().to_owned());
                files.push(file);
            }
        }
        Ok(files)
    }

    /// The files of the quarantine, oldest first.
    ///
    /// # Errors
    ///
    /// The same as [`slots`](Self::slots).
    pub fn quarantine(&self) -> io::Result<Vec<QuarantineFile>> {
        let directory = self.root.join("quarantine");
        let entries = self.entries(&directory)?;
        let files = entries.into_iter().filter(is_quarantine_file);
        files
            .filter_map(|entry| {
                skip_gone(QuarantineFile::at(directory.join(entry.name))).transpose()
            })
            .collect()
    }

    /// The entries of a subdirectory. None if it does not exist yet.
    fn entries(&self, directory: &Path) -> io::Result<Vec<DirEntry>> {
        match Files.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A spool that does not exist is an error, not an empty spool.
                fs::metadata(&self.root).map(|_| Vec::new())
            }
            entries => entries,
        }
    }
}

/// Turns errors about files that others removed, or that we may not read, into `None`.
fn skip_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

fn slot_info(slots: &Path, name: &str) -> io::Result<SlotInfo> {
    let directory = slots.join(name);
    // Before its files are listed: the files of a dead process do not change any more.
    let is_alive = match fs::File::open(directory.join(LOCK)) {
        Ok(lock) => sys::is_locked(&lock)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let (found, strays) = slot::files(&Files, &directory)?;
    let files = found.into_iter();
    let files = files.map(|file| FileInfo::new(file.path, file.kind.into(), file.bytes, is_alive));
    let files = files.collect();
    let process = name.split('-').next().and_then(|process| process.parse().ok());
    Ok(SlotInfo { name: name.to_owned(), process, is_alive, files, strays })
}

impl From<SlotFileKind> for FileKind {
    fn from(kind: SlotFileKind) -> Self {
        match kind {
            SlotFileKind::Open => Self::Open,
            SlotFileKind::Sealed(lines) => Self::Sealed(lines),
            SlotFileKind::Unfinished => Self::Unfinished,
        }
    }
}

impl FileInfo {
    /// A file of a spool at any path.
    ///
    /// # Errors
    ///
    /// Fails if it does not exist.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let bytes = fs::metadata(&path)?.len();
        let parsed = path.file_name().and_then(|name| slot::parse_name(&name.to_string_lossy()));
        let kind = parsed.map_or(FileKind::Other, |(_, kind)| kind.into());
        // A process may be writing to it.
        Ok(Self::new(path, kind, bytes, true))
    }

    fn new(path: PathBuf, kind: FileKind, bytes: u64, is_alive: bool) -> Self {
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        Self { path, kind, bytes, modified, reason: None, is_alive }
    }

    /// Reads the file. Returns `None` if nothing was written to it, if it is
    /// [`Unfinished`](FileKind::Unfinished), or if it was removed because its lines were delivered.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, or has no usable content. The error says why.
    pub fn read(&self) -> io::Result<Option<Content>> {
        let mut attempts = if self.is_alive { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let content = self.read_once();
            let is_intact = match &content {
                Ok(content) => content.as_ref().is_none_or(|content| content.damage.is_none()),
                Err(error) => error.kind() != io::ErrorKind::InvalidData,
            };
            if is_intact || attempts == 0 {
                return content;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn read_once(&self) -> io::Result<Option<Content>> {
        if self.kind == FileKind::Unfinished {
            return Ok(None);
        }
        let bytes = match Files.read(&self.path, MAX_FILE_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let problem = match (format::read(&bytes), self.kind) {
            (Ok(Contents { database, precision, lines, mut damage, lost }), kind) => {
                let count = match kind {
                    FileKind::Sealed(count) => count,
                    _ => lines.len() + lost,
                };
                let lost = count.saturating_sub(lines.len());
                if lost > 0 {
                    let damage = damage.get_or_insert_with(|| "cut short".to_owned());
                    *damage += &format!("; {lost} of {count} lines are lost");
                }
                return Ok(Some(Content { database, precision, damage, bytes, lines }));
            }
            (Err(Unreadable::Empty), FileKind::Open | FileKind::Other) => return Ok(None),
            (Err(Unreadable::Empty), FileKind::Sealed(count)) => {
                format!("damaged beyond repair; {count} of {count} lines are lost")
            }
            (Err(Unreadable::Newer(version)), _) => {
                format!("a later release wrote it, in version {version} of the format")
            }
            (Err(Unreadable::Foreign), _) => "it is not a file of a spool".to_owned(),
            (Err(Unreadable::Empty | Unreadable::Damaged), _) => "damaged beyond repair".to_owned(),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }
}

impl Content {
    /// The number of intact lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no intact lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The intact lines in the order they were written, without their line feeds.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter().map(|line| &self.bytes[line.clone()]);
        lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }
}
