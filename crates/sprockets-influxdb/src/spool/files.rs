//! The operating system's files. The directory may be shared with users who must not be trusted:
//!
//! - Below the root, each directory is opened by the descriptor of the one above. No link is
//!   followed.
//! - Files are only used in a directory of this user's own that not everybody may write to, and the
//!   same holds for the files. An operator may allow those of any user.
//! - Only regular files are used. Opening anything else does not wait.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::disk::{Counters, DirEntry, DirEntryKind, Disk, FileStat, Lock, Map};
use crate::sys::{self, Mapping, Probe, SharedCounters, at};

/// Permission for users who are neither the owner nor in the group.
const WRITABLE_BY_OTHERS: u32 = 0o002;

#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    is_any_user: AtomicBool,
}

/// A name in an open directory.
struct Place<'a> {
    directory: File,
    name: &'a OsStr,
}

impl Files {
    /// The files below a directory that belong to this user.
    pub(crate) fn own(root: &Path) -> Self {
        Self { root: root.to_owned(), is_any_user: AtomicBool::new(false) }
    }

    /// The files below a directory, whoever owns them.
    pub(crate) fn any_user(root: &Path) -> Self {
        Self { root: root.to_owned(), is_any_user: AtomicBool::new(true) }
    }

    fn is_any_user(&self) -> bool {
        self.is_any_user.load(Ordering::Relaxed)
    }

    /// Opens the directory of a path below the root.
    fn place<'a>(&self, path: &'a Path) -> io::Result<Place<'a>> {
        let below =
            path.strip_prefix(&self.root).map_err(|_| invalid("it is outside the spool"))?;
        let mut names = below.components().map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(invalid("it is outside the spool")),
        });
        let mut name = names.next_back().ok_or_else(|| invalid("it is the spool itself"))??;
        let mut directory = self.open_root()?;
        let last = std::mem::take(&mut name);
        for name in names {
            directory = at::open_directory_at(&directory, name?).map_err(explained)?;
        }
        Ok(Place { directory, name: last })
    }

    /// The place of a file: only in a directory that others cannot change.
    fn file_place<'a>(&self, path: &'a Path) -> io::Result<Place<'a>> {
        let place = self.place(path)?;
        self.check_owner(&place.directory)?;
        Ok(place)
    }

    /// Opens a regular file.
    fn open(&self, path: &Path, flags: i32) -> io::Result<File> {
        let place = self.file_place(path)?;
        let file = at::open_at(&place.directory, place.name, flags).map_err(explained)?;
        if !file.metadata()?.is_file() {
            return Err(invalid("it is not a regular file"));
        }
        self.keep_owner(&file, &place.directory, flags)?;
        self.check_owner(&file)?;
        Ok(file)
    }

    /// Gives a new file in another user's directory to that user. Only root has that right.
    fn keep_owner(&self, file: &File, directory: &File, flags: i32) -> io::Result<()> {
        if !self.is_any_user() || flags & libc::O_CREAT == 0 || at::user() != 0 {
            return Ok(());
        }
        let (file_owner, owner) = (file.metadata()?, directory.metadata()?);
        if file_owner.uid() == at::user() && owner.uid() != at::user() {
            fchown(file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    }

    /// Opens a directory to list or sync it.
    fn open_directory(&self, path: &Path) -> io::Result<File> {
        if path == self.root || !path.starts_with(&self.root) {
            return open_followed(path);
        }
        let place = self.place(path)?;
        at::open_at(&place.directory, place.name, libc::O_DIRECTORY).map_err(explained)
    }

    fn open_root(&self) -> io::Result<File> {
        open_followed(&self.root)
    }

    fn check_owner(&self, file: &File) -> io::Result<()> {
        if self.is_any_user() {
            return Ok(());
        }
        let metadata = file.metadata()?;
        let (owner, user) = (metadata.uid(), at::user());
        let what = if metadata.is_dir() { "its directory" } else { "it" };
        if owner != user {
            return Err(denied(format!("{what} belongs to user {owner}, this process to {user}")));
        }
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(denied(format!("every user may write to {what}")));
        }
        Ok(())
    }

    fn lock_opened(&self, path: &Path, file: File) -> io::Result<Option<Box<dyn Lock>>> {
        let opened = file.metadata()?;
        let Some(lock) = sys::FileLock::try_on(file)? else { return Ok(None) };
        // Its last holder may have removed the file, and another process created it again.
        let place = self.file_place(path)?;
        let found = at::stat_at(&place.directory, place.name);
        let is_there = found.is_ok_and(|found| found.id == (opened.dev(), opened.ino()));
        Ok(is_there.then(|| Box::new(lock) as Box<dyn Lock>))
    }

    /// Names in the root: `base`, and those that were made because others had taken that.
    fn names(&self, base: &str) -> io::Result<Vec<String>> {
        let is_one = |name: &String| {
            let rest = name.strip_prefix(base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let mut names: Vec<_> =
            self.list(&self.root)?.into_iter().map(|entry| entry.name).collect();
        names.retain(is_one);
        Ok(names)
    }

    /// Whether this user may use a directory in the root, and nobody else owns it. Root is trusted
    /// with a directory in which everybody has a slot.
    fn is_usable(&self, root: &File, name: &str, is_shared: bool) -> bool {
        let name = OsStr::new(name);
        let Ok(found) = at::stat_at(root, name) else { return false };
        let is_own =
            found.user == at::user() && (is_shared || found.mode & WRITABLE_BY_OTHERS == 0);
        let is_trusted = is_own || (is_shared && found.user == 0);
        found.is_directory() && is_trusted && at::is_writable(root, name)
    }
}

impl Disk for Files {
    fn allow_any_user(&self) {
        self.is_any_user.store(true, Ordering::Relaxed);
    }

    fn usable_dir(&self, path: &Path, is_shared: bool) -> io::Result<PathBuf> {
        let base = base(path)?;
        DirBuilder::new().mode(0o700).recursive(true).create(&self.root)?;
        let root = self.open_root()?;
        let _ = at::create_directory_at(&root, OsStr::new(base));
        let is_usable = |name: &String| self.is_usable(&root, name, is_shared);
        if let Some(name) = self.names(base)?.into_iter().find(is_usable) {
            return Ok(self.root.join(name));
        }
        // Others have taken the name: make one that nobody can guess.
        let name = format!("{base}-{}-{:016x}", at::user(), fastrand::u64(..));
        at::create_directory_at(&root, OsStr::new(&name))?;
        Ok(self.root.join(name))
    }

    fn dirs(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let root = self.open_root()?;
        let is_known = |name: &String| {
            let is_trusted = |user| self.is_any_user() || user == at::user() || user == 0;
            let found = at::stat_at(&root, OsStr::new(name));
            found.is_ok_and(|found| found.is_directory() && is_trusted(found.user))
        };
        Ok(self
            .names(base(path)?)?
            .into_iter()
            .filter(is_known)
            .map(|name| self.root.join(name))
            .collect())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        at::create_directory_at(&place.directory, place.name)
    }

    fn map_new(&self, path: &Path, bytes: usize) -> io::Result<Map> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        check_size(bytes as u64)?;
        let mut file = self.open(path, flags)?;
        // Written, not truncated to length: a full disk is noticed here, where it is an error. In
        // pieces, as a chunk may be larger than the memory that is left.
        let written = io::copy(&mut io::repeat(0).take(bytes as u64), &mut file);
        let filled = written.and_then(|_| Mapping::new(&file));
        let touched = filled.and_then(|mut map| {
            // The first write to each page is thousands of times slower than later ones.
            map.bytes().iter_mut().step_by(4096).for_each(|byte| *byte = 0);
            if map.loss().is_lost() { Err(no_room()) } else { Ok(map) }
        });
        touched.map(Map::File).inspect_err(|_| drop(self.remove(path)))
    }

    fn open_counters(&self, path: &Path) -> io::Result<Counters> {
        check_size(SharedCounters::FILE_BYTES)?;
        let file = self.open(path, libc::O_RDWR | libc::O_CREAT)?;
        let metadata = file.metadata()?;
        if metadata.len() < SharedCounters::FILE_BYTES {
            // Appends zeros. Another process may have done so, and count in them already.
            file.set_len(SharedCounters::FILE_BYTES)?;
        }
        let id = (metadata.dev(), metadata.ino());
        Ok(Counters::File(SharedCounters::new(&file)?, id))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        check_size(bytes.len() as u64)?;
        self.open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)?.write_all(bytes)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open(path, libc::O_WRONLY | libc::O_APPEND)?;
        check_size(file.metadata()?.len() + bytes.len() as u64)?;
        file.write_all(bytes)
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, libc::O_RDONLY)?;
        let bytes = file.metadata()?.len();
        if bytes > max_bytes {
            let message = format!("it has {bytes} bytes, more than {max_bytes}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut read = Vec::new();
        if !sys::has_memory_for(bytes as usize) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        read.try_reserve_exact(bytes as usize)?;
        file.take(max_bytes).read_to_end(&mut read)?;
        Ok(read)
    }

    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = Vec::with_capacity(bytes);
        self.open(path, libc::O_RDONLY)?.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    fn answers(&self, probe: &Probe, path: &Path, timeout: Duration) -> bool {
        probe.answers(path, timeout)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let place = self.place(path)?;
        let found = at::stat_at(&place.directory, place.name)?;
        Ok(FileStat { id: found.id, bytes: found.bytes })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>> {
        let opened = self.open_directory(directory)?;
        let mut entries = Vec::new();
        // Whoever replaces the directory just now adds names only: what they refer to is looked at
        // in the opened one.
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            // Another process may have removed it.
            let Ok(found) = at::stat_at(&opened, &name) else { continue };
            let kind = match found {
                found if found.is_file() => DirEntryKind::File,
                found if found.is_directory() => DirEntryKind::Directory,
                _ => DirEntryKind::Other,
            };
            let is_foreign = !self.is_any_user() && found.user != at::user();
            let name = name.to_string_lossy().into_owned();
            let (bytes, allocated) = (found.bytes, found.allocated);
            entries.push(DirEntry { name, kind, bytes, allocated, is_foreign });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.file_place(from)?, self.file_place(to)?);
        at::rename_at((&from.directory, from.name), (&to.directory, to.name))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let place = self.file_place(path)?;
        at::remove_at(&place.directory, place.name, false)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        at::remove_at(&place.directory, place.name, true)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // fsync writes all dirty pages of a file, including those of a mapping.
        self.open(path, libc::O_RDONLY)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.open_directory(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.lock_opened(path, self.open(path, libc::O_RDWR | libc::O_CREAT)?)
    }

    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.lock_opened(path, self.open(path, libc::O_RDONLY)?)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        sys::is_locked(&self.open(path, libc::O_RDONLY)?)
    }
}

impl Lock for sys::FileLock {}

/// Opens a directory that an operator named. It may be a link.
fn open_followed(path: &Path) -> io::Result<File> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = libc::O_DIRECTORY | libc::O_NONBLOCK;
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn base(path: &Path) -> io::Result<&str> {
    let name = path.file_name().and_then(OsStr::to_str);
    name.ok_or_else(|| invalid("it is not a directory of the spool"))
}

/// What is behind an error about something that is no regular file or directory.
fn explained(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => invalid("it is a link"),
        Some(libc::ENOTDIR) => invalid("its directory is a link or a file"),
        Some(libc::ENXIO | libc::EISDIR) => invalid("it is not a regular file"),
        _ => error,
    }
}

/// Fails if the limit of the process does not allow a file of this size.
fn check_size(bytes: u64) -> io::Result<()> {
    if at::may_write(bytes) { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}

/// The error of a full disk whose file system copies on write.
fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no room for the pages of a mapped file")
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn denied(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}
