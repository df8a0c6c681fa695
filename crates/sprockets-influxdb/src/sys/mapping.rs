//! Files that are mapped to memory, and the guard that keeps them from ending the process.
//!
//! The kernel raises SIGBUS in a thread that touches a mapped page which it cannot provide: another
//! program cut the file, or the disk is full and the file system copies on write, so that room was
//! not kept. The handler puts memory in place of the mapping and marks it as lost. The thread goes
//! on. Any other SIGBUS goes to the handler that was there before.

use std::fmt;
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use memmap2::MmapMut;

#[cfg(unix)]
use super::errno::errno;

/// The start of an entry that is being set up. No mapping starts here.
const RESERVED: usize = 1;

/// All entries, as a list that only grows. The handler reads it without a lock.
static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

/// A mapping that the handler knows. Entries are used again and never freed.
struct Entry {
    /// Its first address. 0 while the entry is free.
    start: AtomicUsize,
    len: AtomicUsize,
    is_lost: AtomicBool,
    next: AtomicPtr<Entry>,
}

/// A mapped file.
pub(crate) struct Mapping {
    map: MmapMut,
    entry: &'static Entry,
}

/// Whether a mapping is lost: what is written to it does not reach the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss(&'static AtomicBool);

impl Loss {
    pub(crate) fn is_lost(self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// One without a mapping.
    #[cfg(test)]
    pub(crate) fn simulated() -> Self {
        Self(Box::leak(Box::new(AtomicBool::new(false))))
    }
}

impl Mapping {
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        guard_mappings()?;
        // SAFETY: a segment is only written, in a directory that this process has locked. The
        // account of the spool is shared with other processes, and only read and written as
        // atomic numbers. If another process cuts the file, the handler replaces the mapping.
        let mut map = unsafe { MmapMut::map_mut(file) }?;
        let entry = free_entry();
        entry.is_lost.store(false, Ordering::Relaxed);
        entry.len.store(map.len().next_multiple_of(page_size()), Ordering::Relaxed);
        entry.start.store(map.as_mut_ptr().addr(), Ordering::Release);
        Ok(Self { map, entry })
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.map
    }

    pub(crate) fn loss(&self) -> Loss {
        Loss(&self.entry.is_lost)
    }

    /// Gives the memory of whole pages from this offset on back to the system. The file keeps what
    /// was written. Later uses map the pages again.
    pub(crate) fn release(&self, from: usize) {
        let from = from.next_multiple_of(page_size());
        #[cfg(unix)]
        if let Some(len) = self.map.len().checked_sub(from).filter(|len| *len > 0) {
            // SAFETY: the pages are of a shared mapping of a file, which has their contents, or of
            // a lost one, of which nothing is read. An error changes nothing.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, len)
            };
        }
    }
}

/// Two counters in a mapped file, which processes share.
pub(crate) struct SharedCounters(Mapping);

impl SharedCounters {
    /// The length of the file.
    pub(crate) const FILE_BYTES: u64 = 4096;

    /// Fails if the file is too short.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let map = Mapping::new(file)?;
        if map.map.len() < Self::FILE_BYTES as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let counters = Self(map);
        // The first write provides the page, or marks it as lost.
        counters.get()[0].fetch_add(0, Ordering::Relaxed);
        Ok(counters)
    }

    pub(crate) fn get(&self) -> &[AtomicU64; 2] {
        // SAFETY: the mapping is as long as this value, starts at a page, and is never moved. It is
        // only accessed by atomic operations, in this and in other processes.
        unsafe { &*self.0.map.as_ptr().cast() }
    }

    pub(crate) fn loss(&self) -> Loss {
        self.0.loss()
    }
}

impl fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCounters")
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.entry.start.store(0, Ordering::Release);
    }
}

/// An entry that is reserved for the caller. Takes no lock, which another thread could hold at the
/// moment of a fork.
fn free_entry() -> &'static Entry {
    let mut next = ENTRIES.load(Ordering::Acquire);
    // SAFETY: entries are leaked, and shared from when they are in the list.
    while let Some(entry) = unsafe { next.as_ref() } {
        let reserved =
            entry.start.compare_exchange(0, RESERVED, Ordering::Acquire, Ordering::Relaxed);
        if reserved.is_ok() {
            return entry;
        }
        next = entry.next.load(Ordering::Acquire);
    }
    let entry: &'static Entry = Box::leak(Box::new(Entry {
        start: AtomicUsize::new(RESERVED),
        len: AtomicUsize::new(0),
        is_lost: AtomicBool::new(false),
        next: AtomicPtr::default(),
    }));
    let pointer = ptr::from_ref(entry).cast_mut();
    let mut first = ENTRIES.load(Ordering::Acquire);
    loop {
        entry.next.store(first, Ordering::Relaxed);
        let added =
            ENTRIES.compare_exchange_weak(first, pointer, Ordering::AcqRel, Ordering::Acquire);
        match added {
            Ok(_) => return entry,
            Err(newer) => first = newer,
        }
    }
}

/// The action that the handler passes other signals to. Never freed.
#[cfg(unix)]
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());
/// Set while the previous action runs.
#[cfg(unix)]
static IS_PASSED_ON: AtomicBool = AtomicBool::new(false);

/// Installs the handler, also if another one was installed after it.
#[cfg(unix)]
fn guard_mappings() -> io::Result<()> {
    // SAFETY: the actions are locals, for which zeros are a valid value. The handler only calls
    // what a signal handler may call.
    unsafe {
        let mut current: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut current) != 0 {
            return Err(io::Error::last_os_error());
        }
        let handler = on_sigbus as *const () as libc::sighandler_t;
        if current.sa_sigaction == handler {
            return Ok(());
        }
        PREVIOUS.store(Box::into_raw(Box::new(current)), Ordering::Release);
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        match libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Lets SIGBUS reach its handler on this thread. The kernel kills a process whose thread blocks
/// the signal that it causes.
#[cfg(unix)]
pub(crate) fn unblock() {
    // SAFETY: a local set, for which zeros are a valid value.
    unsafe {
        let mut signals: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&raw mut signals, libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const signals, ptr::null_mut());
    }
}

#[cfg(unix)]
extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid structure.
    let address = unsafe {
        // One that a process sent has no address.
        if (*info).si_code > 0 { (*info).si_addr().addr() } else { 0 }
    };
    if !replace(address) {
        pass_on(signal, info, context);
    }
}

/// Puts memory in place of the mapping at an address. Returns whether it did.
#[cfg(unix)]
fn replace(address: usize) -> bool {
    let mut next = ENTRIES.load(Ordering::Acquire);
    // SAFETY: entries are leaked, and shared from when they are in the list.
    while let Some(entry) = unsafe { next.as_ref() } {
        let start = entry.start.load(Ordering::Acquire);
        let len = entry.len.load(Ordering::Relaxed);
        if start > RESERVED && (start..start + len).contains(&address) {
            entry.is_lost.store(true, Ordering::Relaxed);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
            // SAFETY: the range is a mapping of ours, which holds no references but to bytes and
            // atomic numbers: other threads that use it write to the old pages or to the new ones.
            // The call restores what it may change: `errno`.
            let mapped = unsafe {
                let errno = errno();
                let before = *errno;
                let place = ptr::with_exposed_provenance_mut(start);
                let mapped = libc::mmap(place, len, access, kind, -1, 0);
                *errno = before;
                mapped
            };
            return mapped != libc::MAP_FAILED;
        }
        next = entry.next.load(Ordering::Acquire);
    }
    false
}

/// Does what would happen without this handler.
#[cfg(unix)]
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: a leaked action that the system returned.
    let previous = unsafe { PREVIOUS.load(Ordering::Acquire).as_ref() };
    let function = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    // A previous handler that calls this one again would never end.
    let is_again = IS_PASSED_ON.swap(true, Ordering::Relaxed);
    if is_again || matches!(function, libc::SIG_DFL | libc::SIG_IGN) {
        // SAFETY: restores the default action. The instruction that caused the signal runs
        // again and causes it again; a signal that was sent is sent again.
        unsafe {
            let mut default: libc::sigaction = mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &raw const default, ptr::null_mut());
            if (*info).si_code <= 0 {
                libc::raise(signal);
            }
        }
        return;
    }
    let takes_info = previous.is_some_and(|action| action.sa_flags & libc::SA_SIGINFO != 0);
    // SAFETY: the function is a handler with these parameters, by the flags of its action.
    unsafe {
        if takes_info {
            type Function = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            mem::transmute::<usize, Function>(function)(signal, info, context);
        } else {
            mem::transmute::<usize, extern "C" fn(libc::c_int)>(function)(signal);
        }
    }
    IS_PASSED_ON.store(false, Ordering::Relaxed);
}

#[cfg(unix)]
pub(super) fn page_size() -> usize {
    // SAFETY: it only reads a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// There are no signals on this system.
#[cfg(not(unix))]
fn guard_mappings() -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn unblock() {}

#[cfg(not(unix))]
fn page_size() -> usize {
    4096
}

#[cfg(all(test, unix))]
mod tests;
