//! The spool as operators see it: which measurements wait, whose they are, and whether the files
//! are intact. Only reads, also while processes write.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use super::Files;
use super::dir::{DAMAGED, QUARANTINE};
use super::disk::{DirEntry, DirEntryKind, Disk};
use super::format::{self, Contents, MAX_FILE_BYTES, Unreadable};
use super::quarantine::{QuarantineFile, is_quarantine_file};
use super::slot::{self, LOCK, SLOTS, SlotFileKind};
use crate::config::Precision;
use crate::printable;
use crate::sys;

/// Attempts to read a segment that is being written. A line that is written during a read looks
/// damaged.
const ATTEMPTS: u32 = 5;
/// How much of a reason is read.
const MAX_REASON_BYTES: usize = 4_096;

/// The directory of a spool. Its methods never change anything in it. They follow no links.
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
    disk: Arc<dyn Disk>,
}

/// The files of one process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotInfo {
    /// The name of its directory.
    pub name: String,
    /// The id of the process that created it, in that process's PID namespace.
    pub process: Option<u32>,
    /// The user id of its owner. `None` if it cannot be told.
    pub user: Option<u32>,
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
    disk: Arc<dyn Disk>,
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

impl SlotInfo {
    /// Whether it belongs to the user of this process, whose clients adopt it.
    pub fn is_of_this_user(&self) -> bool {
        self.user.is_none_or(sys::is_user)
    }
}

impl Directory {
    /// The spool at this path, the same as for [`Config::spool`](crate::Config::spool).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let root = path.into();
        let disk = Arc::new(Files::any_user(&root));
        Self { root, disk }
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
        let entries = self.entries(SLOTS)?.into_iter();
        let slots = entries.filter(|(_, entry)| entry.kind == DirEntryKind::Directory);
        slots
            .filter_map(|(path, entry)| skip_gone(self.slot(path, entry.name)).transpose())
            .collect()
    }

    /// Files in which lines were lost, set aside for an operator to look at. Their intact lines
    /// were delivered.
    ///
    /// # Errors
    ///
    /// The same as [`slots`](Self::slots).
    pub fn damaged(&self) -> io::Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        for (path, entry) in self.entries(DAMAGED)? {
            if entry.kind == DirEntryKind::File && !entry.name.ends_with(".reason") {
                let reason_path = path.with_file_name(format!("{}.reason", entry.name));
                let reason = self.disk.read_start(&reason_path, MAX_REASON_BYTES);
                let reason = reason.map(|reason| String::from_utf8_lossy(&reason).into_owned());
                let mut file = self.file(path, FileKind::Other, entry.bytes, false);
                file.reason = reason.ok().map(|reason| printable::one_line(reason.trim_end()));
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
        let mut entries = self.entries(QUARANTINE)?;
        entries.retain(|(_, entry)| is_quarantine_file(entry));
        entries.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        let own: Arc<dyn Disk> = Arc::new(Files::own(&self.root));
        let file = |(path, entry): (PathBuf, DirEntry)| {
            let modified = modified(&path);
            QuarantineFile::on((self.disk.clone(), own.clone()), path, entry.bytes, modified)
        };
        Ok(entries.into_iter().map(file).collect())
    }

    /// The entries of a subdirectory, with their paths. None if it does not exist yet.
    fn entries(&self, name: &str) -> io::Result<Vec<(PathBuf, DirEntry)>> {
        let mut all = Vec::new();
        // A spool that does not exist is an error, not an empty spool.
        for directory in self.disk.dirs(&self.root.join(name))? {
            let entries = skip_gone(self.disk.list(&directory))?.unwrap_or_default().into_iter();
            all.extend(entries.map(|entry| (directory.join(&entry.name), entry)));
        }
        Ok(all)
    }

    fn slot(&self, directory: PathBuf, name: String) -> io::Result<SlotInfo> {
        // Before its files are listed: the files of a dead process do not change any more.
        let is_alive = match self.disk.is_locked(&directory.join(LOCK)) {
            // It cannot be locked.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                false
            }
            is_locked => is_locked?,
        };
        let (found, strays) = slot::files(&*self.disk, &directory)?;
        let files = found.into_iter();
        let files = files.map(|file| self.file(file.path, file.kind.into(), file.bytes, is_alive));
        let files = files.collect();
        let process = name.split('-').next().and_then(|process| process.parse().ok());
        let user = user(&directory);
        Ok(SlotInfo { name, process, user, is_alive, files, strays })
    }

    fn file(&self, path: PathBuf, kind: FileKind, bytes: u64, is_alive: bool) -> FileInfo {
        FileInfo::new(self.disk.clone(), path, kind, bytes, is_alive)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(unix)]
fn user(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).ok().map(|metadata| metadata.uid())
}

#[cfg(not(unix))]
fn user(_path: &Path) -> Option<u32> {
    None
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
        let disk = Arc::new(Files::any_user(path.parent().unwrap_or(Path::new(""))));
        let bytes = fs::symlink_metadata(&path)?.len();
        let parsed = path.file_name().and_then(|name| slot::parse_name(&name.to_string_lossy()));
        let kind = parsed.map_or(FileKind::Other, |(_, kind)| kind.into());
        // A process may be writing to it.
        Ok(Self::new(disk, path, kind, bytes, true))
    }

    fn new(disk: Arc<dyn Disk>, path: PathBuf, kind: FileKind, bytes: u64, is_alive: bool) -> Self {
        let modified = modified(&path);
        Self { path, kind, bytes, modified, reason: None, is_alive, disk }
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
        let bytes = match self.disk.read(&self.path, MAX_FILE_BYTES as u64) {
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
