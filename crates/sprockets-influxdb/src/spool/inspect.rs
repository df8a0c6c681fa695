//! A spool seen from outside, for operators: what waits in it, whose it is, and whether it is whole. Reads only, also while
//! processes write.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::disk::{DirEntryKind, Disk, Files};
use super::format::{self, Contents, Unreadable};
use super::quarantine::QuarantineFile;
use super::slot::{self, SlotFileKind};
use super::{MOST_FILE_BYTES, slot::LOCK};
use crate::config::Precision;
use crate::sys;

/// A file that is being written is read so often before what looks like damage is taken for it: a line that was written
/// during the reading can look so.
const TRIES: u32 = 5;

/// The directory of a spool. Looking into it changes nothing there.
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
///             println!("{}: {} lines for {}", file.path.display(), content.len(), content.database);
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

/// What one process wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotInfo {
    /// The name of its directory.
    pub name: String,
    /// The process's number, as its own system counted.
    pub process: Option<u32>,
    /// Whether a process has it: the one that wrote it, or one that took it over.
    pub is_alive: bool,
    /// Its files, oldest first.
    pub files: Vec<FileInfo>,
    /// What is there and is no file of a spool.
    pub strays: Vec<PathBuf>,
}

/// A file with lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileInfo {
    /// Where it is.
    pub path: PathBuf,
    /// What its name says.
    pub kind: FileKind,
    /// Its length.
    pub bytes: u64,
    /// When it was written to; of one that is being written, this may be its beginning.
    pub modified: Option<SystemTime>,
    /// Why it was set aside, in words.
    pub reason: Option<String>,
    /// Whether it may be written to while it is read.
    is_alive: bool,
}

/// What the name of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// It is being written, or was until its process ended.
    Open,
    /// It was whole, with so many lines.
    Sealed(usize),
    /// It was never whole, and what is in it is elsewhere.
    Unfinished,
    /// It is not of a slot, such as one that was set aside.
    Other,
}

/// What is in a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Content {
    /// Whose lines they are.
    pub database: String,
    /// Of their timestamps.
    pub precision: Precision,
    /// What is wrong with the file, in words; its intact lines are there all the same.
    pub damage: Option<String>,
    bytes: Vec<u8>,
    lines: Vec<Range<usize>>,
}

impl Directory {
    /// That of a spool, as [`Config::spool`](crate::Config::spool) has it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The slots of all processes, of which each has one.
    ///
    /// # Errors
    ///
    /// A directory that is not there, or cannot be read. A slot that is another user's is passed over.
    pub fn slots(&self) -> io::Result<Vec<SlotInfo>> {
        let directory = self.root.join("slots");
        let entries = self.entries(&directory)?;
        let slots = entries.into_iter().filter(|entry| entry.kind == DirEntryKind::Directory);
        slots.filter_map(|entry| gone(slot_info(&directory, &entry.name)).transpose()).collect()
    }

    /// Files in which lines were lost, which are set aside for a person to look at. What could be read of them is
    /// delivered.
    ///
    /// # Errors
    ///
    /// As [`slots`](Self::slots).
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

    /// The files with lines that servers refused, oldest first.
    ///
    /// # Errors
    ///
    /// As [`slots`](Self::slots).
    pub fn quarantine(&self) -> io::Result<Vec<QuarantineFile>> {
        let directory = self.root.join("quarantine");
        let entries = self.entries(&directory)?;
        let files = entries.into_iter().filter(QuarantineFile::is_one);
        files
            .filter_map(|entry| gone(QuarantineFile::at(directory.join(entry.name))).transpose())
            .collect()
    }

    /// What is in a part of the spool: nothing, if it is not there yet.
    fn entries(&self, directory: &Path) -> io::Result<Vec<super::disk::DirEntry>> {
        match Files.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Of a spool that is not there, nothing is said to be well.
                fs::metadata(&self.root).map(|_| Vec::new())
            }
            entries => entries,
        }
    }
}

/// What others remove while it is looked at is none of our business.
pub(super) fn gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

fn slot_info(slots: &Path, name: &str) -> io::Result<SlotInfo> {
    let directory = slots.join(name);
    // Before its files are looked at: what is found of one that is not alive is whole.
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
    /// A file of a spool, wherever it is.
    ///
    /// # Errors
    ///
    /// One that is not there.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let bytes = fs::metadata(&path)?.len();
        let parsed = path.file_name().and_then(|name| slot::parse_name(&name.to_string_lossy()));
        let kind = parsed.map_or(FileKind::Other, |(_, kind)| kind.into());
        // It may be one that a process writes to.
        Ok(Self::new(path, kind, bytes, true))
    }

    fn new(path: PathBuf, kind: FileKind, bytes: u64, is_alive: bool) -> Self {
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        Self { path, kind, bytes, modified, reason: None, is_alive }
    }

    /// Reads it. `None`: nothing was written to it, or it is [`Unfinished`](FileKind::Unfinished), or it is gone, as its
    /// lines were delivered.
    ///
    /// # Errors
    ///
    /// One that cannot be read, or of which nothing can be made use of; the error says why.
    pub fn read(&self) -> io::Result<Option<Content>> {
        let mut tries = if self.is_alive { TRIES } else { 1 };
        loop {
            tries -= 1;
            let content = self.read_once();
            let is_well = match &content {
                Ok(content) => content.as_ref().is_none_or(|content| content.damage.is_none()),
                Err(error) => error.kind() != io::ErrorKind::InvalidData,
            };
            if is_well || tries == 0 {
                return content;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn read_once(&self) -> io::Result<Option<Content>> {
        if self.kind == FileKind::Unfinished {
            return Ok(None);
        }
        let bytes = match Files.read(&self.path, MOST_FILE_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let problem = match (format::read(&bytes), self.kind) {
            (Ok(Contents { database, precision, lines, mut damage }), kind) => {
                if let FileKind::Sealed(count) = kind {
                    let lost = count.saturating_sub(lines.len());
                    if lost > 0 {
                        let damage = damage.get_or_insert_with(|| "cut short".to_owned());
                        *damage += &format!("; {lost} of {count} lines are lost");
                    }
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
    /// How many intact lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no intact line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The intact lines in the order in which they were written, without their line feeds.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter().map(|line| &self.bytes[line.clone()]);
        lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }
}
