//! The file operations of the spool behind a trait, so that tests can use a disk that fails or
//! loses everything that was not synced.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::sys::{self, Loss, Mapping, Probe};

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirEntry {
    pub(crate) name: String,
    pub(crate) kind: DirEntryKind,
    pub(crate) bytes: u64,
    /// What it takes on the disk, in bytes. Less than its length if it has holes.
    pub(crate) allocated: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirEntryKind {
    File,
    Directory,
    /// A link, pipe or device: never opened.
    Other,
}

/// What tells a file from another that had its name before: device and number.
pub(crate) type FileId = (u64, u64);

/// What a directory entry refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub(crate) id: FileId,
    pub(crate) bytes: u64,
}

/// A lock on a file, held until it is dropped or its process ends.
pub(crate) trait Lock: Send + Sync + fmt::Debug {}

pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory and its parents, with access for this user only.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a file of zeros and maps it. Bytes written to the mapping survive the process. Fails
    /// if the file exists.
    fn map_new(&self, path: &Path, bytes: usize) -> io::Result<Map>;

    /// Creates a file with these bytes. Fails if it exists.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Whether the disk answers within a time. Never waits longer, whatever the disk does.
    fn answers(&self, _probe: &Probe, _path: &Path, _timeout: Duration) -> bool {
        true
    }

    /// Looks at a file without opening it.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;

    /// Appends to a file. Fails if it does not exist.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Reads a file of at most `max_bytes`. A longer one is an error, and so is anything that is
    /// not a regular file.
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// Reads at most the first `bytes` of a file.
    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>>;

    /// The length of a file in bytes.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// The entries of a directory, by name.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>>;

    /// Fails if `to` exists: no file is ever replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the bytes of a file survive a loss of power.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks a file. Creates it if it does not exist. Returns `None` if another process holds the
    /// lock.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// The same for a file that exists.
    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A mapped file.
pub(crate) enum Map {
    File(Mapping),
    #[cfg(test)]
    Simulated(Box<dyn SimulatedMap>),
}

/// The map of a disk in memory.
#[cfg(test)]
pub(crate) trait SimulatedMap: Send + Sync {
    fn bytes(&mut self) -> &mut [u8];
    fn written(&mut self, range: Range<usize>);
    fn loss(&self) -> Loss;
}

impl Map {
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::File(map) => map.bytes(),
            #[cfg(test)]
            Self::Simulated(map) => map.bytes(),
        }
    }

    /// Has to be called after each write to [`bytes`](Self::bytes).
    #[inline]
    pub(crate) fn written(&mut self, range: Range<usize>) {
        match self {
            Self::File(_) => {
                let _ = range;
            }
            #[cfg(test)]
            Self::Simulated(map) => map.written(range),
        }
    }

    /// Whether what is written to it no longer reaches the file.
    pub(crate) fn loss(&self) -> Loss {
        match self {
            Self::File(map) => map.loss(),
            #[cfg(test)]
            Self::Simulated(map) => map.loss(),
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Map")
    }
}

/// The operating system's files.
#[derive(Debug)]
pub(crate) struct Files;

impl Disk for Files {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path)
    }

    fn map_new(&self, path: &Path, bytes: usize) -> io::Result<Map> {
        let mut file = private().read(true).create_new(true).open(path)?;
        // Written, not truncated to length: a full disk is noticed here, where it is an error.
        let filled = file.write_all(&vec![0; bytes]).and_then(|()| Mapping::new(&file));
        let touched = filled.and_then(|mut map| {
            // The first write to each page is thousands of times slower than later ones.
            map.bytes().iter_mut().step_by(4096).for_each(|byte| *byte = 0);
            if map.loss().is_lost() { Err(no_room()) } else { Ok(map) }
        });
        touched.map(Map::File).inspect_err(|_| drop(fs::remove_file(path)))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        private().create_new(true).open(path)?.write_all(bytes)
    }

    fn answers(&self, probe: &Probe, path: &Path, timeout: Duration) -> bool {
        probe.answers(path, timeout)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(FileStat { id: file_id(&metadata), bytes: metadata.len() })
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(path)?.write_all(bytes)
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        if bytes > max_bytes {
            let message = format!("it has {bytes} bytes, more than {max_bytes}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut read = Vec::with_capacity(bytes as usize);
        file.take(max_bytes).read_to_end(&mut read)?;
        Ok(read)
    }

    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = Vec::with_capacity(bytes);
        open(path)?.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::symlink_metadata(path)?.len())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Another process may have removed it.
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            let kind = match metadata.file_type() {
                kind if kind.is_file() => DirEntryKind::File,
                kind if kind.is_dir() => DirEntryKind::Directory,
                _ => DirEntryKind::Other,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry {
                name,
                kind,
                bytes: metadata.len(),
                allocated: allocated(&metadata),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // fsync writes all dirty pages of a file, including those of a mapping.
        File::open(path)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.lock_opened(path, private().read(true).create(true).truncate(false).open(path)?)
    }

    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.lock_opened(path, open(path)?)
    }
}

impl Files {
    fn lock_opened(&self, path: &Path, file: File) -> io::Result<Option<Box<dyn Lock>>> {
        let opened = file.metadata()?;
        let Some(lock) = sys::FileLock::try_on(file)? else { return Ok(None) };
        // Its last holder may have removed the file, and another process created it again.
        let is_there = fs::metadata(path).is_ok_and(|found| file_id(&found) == file_id(&opened));
        Ok(is_there.then(|| Box::new(lock) as Box<dyn Lock>))
    }
}

/// What a file takes on the disk, in bytes.
#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

impl Lock for sys::FileLock {}

#[cfg(unix)]
fn file_id(metadata: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Files have no identity on this system.
#[cfg(not(unix))]
fn file_id(_metadata: &fs::Metadata) -> FileId {
    (0, 0)
}

/// The error of a full disk whose file system copies on write.
fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no room for the pages of a mapped file")
}

/// Opens a regular file only: opening a pipe would wait for its other end.
fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(path)
}

/// Options to create files with access for this user only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
