//! The file operations of the spool: one seam, so that tests can put a disk there that fails, or loses what was not
//! synced.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use memmap2::MmapMut;

use crate::sys;

/// What is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirEntry {
    pub(crate) name: String,
    pub(crate) kind: DirEntryKind,
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirEntryKind {
    File,
    Directory,
    /// A link, a pipe, a device: nothing of ours, and not to be opened.
    Other,
}

/// A lock on a file, held until it is dropped, or the process is no more.
pub(crate) trait Lock: Send + Sync + fmt::Debug {}

pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory, and those above it, for nobody but this user.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// A new file of zeros, in memory as well: its bytes survive the process when they are written there.
    fn map_new(&self, path: &Path, bytes: usize) -> io::Result<Map>;

    /// A new file with these bytes.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Appends to a file, which is made if there is none.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// A file of at most so many bytes; one that is longer is an error, and so is what is not a file.
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// The beginning of a file: so many bytes, or fewer.
    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>>;

    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Has a file's bytes survive a loss of power.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Has the names in a directory survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks a file, which is made if there is none; `None` while another holds its lock.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A file's bytes in memory.
pub(crate) enum Map {
    File(MmapMut),
    #[cfg(test)]
    Simulated(super::simulated::Mapped),
}

impl Map {
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::File(map) => map,
            #[cfg(test)]
            Self::Simulated(map) => &mut map.bytes,
        }
    }

    /// To be called after bytes were written.
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
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Map")
    }
}

/// The machine's own.
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
        // Written out: on a full disk, a hole is only noticed by the signal that kills whoever writes there.
        let filled = file.write_all(&vec![0; bytes]).and_then(|()| sys::map(&file));
        match filled {
            Ok(mut map) => {
                // The first write to each page costs thousands of times what those after it do.
                map.iter_mut().step_by(4096).for_each(|byte| *byte = 0);
                Ok(Map::File(map))
            }
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        private().create_new(true).open(path)?.write_all(bytes)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        private().append(true).create(true).open(path)?.write_all(bytes)
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        if bytes > most {
            let message = format!("it has {bytes} bytes, more than {most}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut read = Vec::with_capacity(bytes as usize);
        file.take(most).read_to_end(&mut read)?;
        Ok(read)
    }

    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = Vec::with_capacity(bytes);
        open(path)?.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Others may remove what is listed.
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            let kind = match metadata.file_type() {
                kind if kind.is_file() => DirEntryKind::File,
                kind if kind.is_dir() => DirEntryKind::Directory,
                _ => DirEntryKind::Other,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { name, kind, bytes: metadata.len() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // What was written through a mapping is part of it: fsync writes all dirty pages of a file.
        File::open(path)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = private().read(true).create(true).truncate(false).open(path)?;
        let opened = file.metadata()?;
        let Some(lock) = sys::FileLock::try_on(file)? else { return Ok(None) };
        // Who had it may have removed it meanwhile, and another made it anew.
        let is_there = fs::metadata(path).is_ok_and(|metadata| is_same(&metadata, &opened));
        Ok(is_there.then(|| Box::new(lock) as Box<dyn Lock>))
    }
}

impl Lock for sys::FileLock {}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_one: &fs::Metadata, _other: &fs::Metadata) -> bool {
    true
}

/// To read a file, and nothing that is none: opening a pipe waits for its other end.
fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    File::open(path)
}

/// To write files that nobody but this user reads: measurements may say what others are not to know.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
