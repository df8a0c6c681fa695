//! A disk in memory, for tests. It fails on demand, and a loss of power costs what was not synced,
//! sector by sector and name by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{DirEntry, DirEntryKind, Disk, FileStat, Lock, Map, SimulatedMap};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::sys::Loss;

/// The unit that a disk writes atomically, in bytes.
const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(crate) struct Simulated(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    contents: Image,
    locked: BTreeSet<usize>,
    operations: usize,
    crash: Option<(usize, Box<dyn FnMut() + Send>)>,
    crashed: Option<Image>,
    fault: Option<Fault>,
}

/// The contents of the disk, now and after a loss of power.
#[derive(Clone, Default)]
pub(crate) struct Image {
    names: BTreeMap<PathBuf, Node>,
    synced_names: BTreeMap<PathBuf, Node>,
    files: Vec<Arc<File>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// Sectors written since the last sync. Any of them may survive a loss of power.
    unsynced: Vec<(usize, Vec<u8>)>,
}

/// A fault: the operations with these numbers fail.
#[derive(Clone)]
pub(crate) struct Fault {
    pub(crate) operations: Range<usize>,
    pub(crate) error: i32,
    /// Whether only operations that take room fail.
    pub(crate) is_full: bool,
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulated")
    }
}

impl Simulated {
    pub(crate) fn of(contents: Image) -> Self {
        Self(Arc::new(Mutex::new(State { contents, ..State::default() })))
    }

    /// The number of operations so far, including writes to mapped files.
    pub(crate) fn operations(&self) -> usize {
        lock(&self.0).operations
    }

    /// Keeps the contents right before an operation, and then calls `on_crash`.
    pub(crate) fn crash_at(&self, operation: usize, on_crash: impl FnMut() + Send + 'static) {
        lock(&self.0).crash = Some((operation, Box::new(on_crash)));
    }

    /// The contents at the crash, or now if there was none.
    pub(crate) fn crashed(&self) -> Image {
        let state = lock(&self.0);
        state.crashed.clone().unwrap_or_else(|| state.contents.clone())
    }

    /// The names of the entries of a directory.
    pub(crate) fn list_names(&self, directory: &Path) -> Vec<String> {
        let entries = self.list(directory).unwrap_or_default();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    pub(crate) fn fail(&self, fault: Option<Fault>) {
        lock(&self.0).fault = fault;
    }

    fn operation(&self, takes_room: bool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.0);
        state.count();
        let number = state.operations;
        match &state.fault {
            Some(fault) if fault.operations.contains(&number) && (takes_room || !fault.is_full) => {
                Err(io::Error::from_raw_os_error(fault.error))
            }
            _ => Ok(state),
        }
    }
}

impl Simulated {
    fn lock_file(&self, state: &mut State, file: usize) -> Option<Box<dyn Lock>> {
        let is_free = state.locked.insert(file);
        is_free.then(|| Box::new(SimulatedLock { disk: self.clone(), file }) as Box<dyn Lock>)
    }
}

impl State {
    fn count(&mut self) {
        self.operations += 1;
        let number = self.operations;
        if let Some((at, on_crash)) = &mut self.crash {
            if *at == number {
                self.crashed = Some(self.contents.clone());
                on_crash();
            }
        }
    }
}

impl Image {
    /// The contents after the process was killed: everything that was written.
    pub(crate) fn after_end_of_process(&self) -> Self {
        self.clone()
    }

    /// The contents after a loss of power. For each name, length and sector, `choose` gets the
    /// number of versions and returns one: the synced version is first, the newest last.
    pub(crate) fn after_loss_of_power(&self, mut choose: impl FnMut(usize) -> usize) -> Self {
        let mut names = BTreeMap::new();
        let paths: BTreeSet<_> = self.names.keys().chain(self.synced_names.keys()).collect();
        for path in paths {
            let versions = [self.synced_names.get(path), self.names.get(path)];
            let chosen = if versions[0] == versions[1] { 0 } else { choose(2) };
            let parent = path.parent().unwrap_or(path);
            let has_parent =
                parent == path || parent == Path::new("/") || names.contains_key(parent);
            if let (Some(node), true) = (versions[chosen], has_parent) {
                names.insert(path.clone(), *node);
            }
        }
        let lose = |file: &Arc<File>| Arc::new(file.after_loss_of_power(&mut choose));
        let files = self.files.iter().map(lose).collect();
        Self { synced_names: names.clone(), names, files }
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        if path == Path::new("/") {
            return Ok(Node::Directory);
        }
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        match self.node(path)? {
            Node::File(number) => Ok(Arc::make_mut(&mut self.files[number])),
            Node::Directory => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Creates a file. Fails if it exists.
    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.node(path.parent().unwrap_or(Path::new("/")))?;
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.files.push(Arc::default());
        self.names.insert(path.to_owned(), Node::File(self.files.len() - 1));
        Ok(self.files.len() - 1)
    }

    fn children(&self, directory: &Path) -> BTreeMap<PathBuf, Node> {
        children(&self.names, directory)
    }
}

fn children(names: &BTreeMap<PathBuf, Node>, directory: &Path) -> BTreeMap<PathBuf, Node> {
    let is_child = |(path, _): &(&PathBuf, &Node)| path.parent() == Some(directory);
    names.iter().filter(is_child).map(|(path, node)| (path.clone(), *node)).collect()
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            let place = sector * SECTOR..((sector + 1) * SECTOR).min(self.bytes.len());
            self.unsynced.push((sector, self.bytes[place].to_vec()));
        }
    }

    fn after_loss_of_power(&self, choose: &mut impl FnMut(usize) -> usize) -> Self {
        let lengths = [self.synced.len(), self.bytes.len()];
        let length = lengths[if lengths[0] == lengths[1] { 0 } else { choose(2) }];
        let mut versions: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
        for (sector, bytes) in &self.unsynced {
            versions.entry(*sector).or_default().push(bytes);
        }
        let mut bytes = self.synced.clone();
        bytes.resize(length, 0);
        for (sector, versions) in versions {
            let Some(version) = choose(versions.len() + 1).checked_sub(1) else { continue };
            let start = (sector * SECTOR).min(length);
            let end = (start + versions[version].len()).min(length);
            bytes[start..end].copy_from_slice(&versions[version][..end - start]);
        }
        Self { synced: bytes.clone(), bytes, unsynced: Vec::new() }
    }
}

impl Disk for Simulated {
    fn usable_dir(&self, path: &Path, _is_shared: bool) -> io::Result<PathBuf> {
        self.create_dir(path)?;
        Ok(path.to_owned())
    }

    fn dirs(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![path.to_owned()])
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation(true)?;
        for directory in path.ancestors().filter(|directory| *directory != Path::new("/")) {
            state.contents.names.entry(directory.to_owned()).or_insert(Node::Directory);
        }
        Ok(())
    }

    fn map_new(&self, path: &Path, bytes: usize) -> io::Result<Map> {
        let mut state = self.operation(true)?;
        let file = state.contents.create(path)?;
        Arc::make_mut(&mut state.contents.files[file]).bytes = vec![0; bytes];
        Ok(Map::Simulated(Box::new(Mapped {
            disk: self.clone(),
            file,
            bytes: vec![0; bytes],
            loss: Loss::simulated(),
        })))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.operation(true) {
            Ok(mut state) => {
                let file = state.contents.create(path)?;
                Arc::make_mut(&mut state.contents.files[file]).write(0, bytes);
                Ok(())
            }
            Err(error) => {
                // A part of it was written.
                let mut state = lock(&self.0);
                let file = state.contents.create(path)?;
                Arc::make_mut(&mut state.contents.files[file]).write(0, &bytes[..bytes.len() / 2]);
                Err(error)
            }
        }
    }

    /// Not counted as an operation: it changes nothing.
    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let contents = &lock(&self.0).contents;
        match contents.node(path)? {
            Node::File(file) => {
                let bytes = contents.files[file].bytes.len() as u64;
                Ok(FileStat { id: (0, file as u64), bytes })
            }
            Node::Directory => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.operation(true)?;
        let file = state.contents.file(path)?;
        file.write(file.bytes.len(), bytes);
        Ok(())
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let bytes = self.operation(false)?.contents.file(path)?.bytes.clone();
        if bytes.len() as u64 > max_bytes {
            Err(io::ErrorKind::InvalidData.into())
        } else {
            Ok(bytes)
        }
    }

    fn read_start(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = self.operation(false)?.contents.file(path)?.bytes.clone();
        read.truncate(bytes);
        Ok(read)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.operation(false)?;
        state.contents.node(directory)?;
        let entry = |(path, node): (PathBuf, Node)| {
            let (kind, bytes) = match node {
                Node::Directory => (DirEntryKind::Directory, 0),
                Node::File(file) => {
                    (DirEntryKind::File, state.contents.files[file].bytes.len() as u64)
                }
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            DirEntry { name, kind, bytes, allocated: bytes, is_foreign: false }
        };
        Ok(state.contents.children(directory).into_iter().map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.operation(false)?;
        let names = &mut state.contents.names;
        if names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation(false)?;
        state.contents.file(path)?;
        state.contents.names.remove(path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation(false)?;
        if !state.contents.children(path).is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.contents.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation(false)?;
        let file = state.contents.file(path)?;
        file.synced.clone_from(&file.bytes);
        file.unsynced.clear();
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation(false)?;
        let contents = &mut state.contents;
        contents.node(path)?;
        for gone in children(&contents.synced_names, path).into_keys() {
            contents.synced_names.remove(&gone);
        }
        let names = contents.children(path);
        contents.synced_names.extend(names);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.operation(true)?;
        let file = match state.contents.node(path) {
            Ok(Node::File(file)) => file,
            Ok(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            Err(_) => state.contents.create(path)?,
        };
        Ok(self.lock_file(&mut state, file))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let state = self.operation(false)?;
        match state.contents.node(path)? {
            Node::File(file) => Ok(state.locked.contains(&file)),
            Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.operation(false)?;
        match state.contents.node(path)? {
            Node::File(file) => Ok(self.lock_file(&mut state, file)),
            Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

/// A mapped file of this disk.
struct Mapped {
    disk: Simulated,
    file: usize,
    bytes: Vec<u8>,
    loss: Loss,
}

impl SimulatedMap for Mapped {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn written(&mut self, range: Range<usize>) {
        let mut state = lock(&self.disk.0);
        state.count();
        Arc::make_mut(&mut state.contents.files[self.file]).write(range.start, &self.bytes[range]);
    }

    fn loss(&self) -> Loss {
        self.loss
    }
}

#[derive(Debug)]
struct SimulatedLock {
    disk: Simulated,
    file: usize,
}

impl Lock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        lock(&self.disk.0).locked.remove(&self.file);
    }
}
