//! What the operating system offers only by calls that Rust cannot check: the one module with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Once;
#[cfg(unix)]
use std::sync::atomic::AtomicI32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use memmap2::MmapMut;

#[cfg(unix)]
mod termination;

#[cfg(unix)]
pub use termination::{await_sigterm, before_sigterm};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// The file descriptors of locks that this process holds; 0 for none, which no file of ours has.
#[cfg(unix)]
static LOCKS: [AtomicI32; 256] = [const { AtomicI32::new(0) }; 256];

/// A number that differs between a process and one forked from it, once there was a client. Costs a load; the process's
/// id costs a system call.
#[inline]
pub fn generation() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Makes [`generation`] notice forks from now on.
#[cfg(unix)]
pub(crate) fn watch_forks() {
    static WATCH: Once = Once::new();
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        for lock in &LOCKS {
            let descriptor = lock.swap(0, Ordering::Relaxed);
            if descriptor != 0 {
                // SAFETY: it is this process's copy of a descriptor that a `FileLock` of the parent owns, which in the
                // child never closes it. A lock is held as long as any copy of its descriptor is open.
                unsafe { libc::close(descriptor) };
            }
        }
        termination::forget_after_fork();
    }
    WATCH.call_once(|| {
        // SAFETY: the handler lives as long as the process, and does nothing but atomic operations and `close`, which
        // are allowed in the child of a process with several threads. An error (no memory) leaves forks unnoticed,
        // nothing worse.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// There is no fork here.
#[cfg(not(unix))]
pub(crate) fn watch_forks() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {});
}

/// Starts a thread that takes no signal: whatever the application's handlers do, as to end the process, they do it on its
/// own threads, not on one that the end waits for. Signals that a thread's own fault raises are left alone.
#[cfg(unix)]
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    const FAULTS: [libc::c_int; 5] =
        [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGTRAP];
    // SAFETY: the sets are ours, and a set of zeros is one that can be filled. A new thread begins with the mask of the
    // one that starts it, which gets its own back.
    unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut signals);
        for fault in FAULTS {
            libc::sigdelset(&raw mut signals, fault);
        }
        let is_masked =
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, &raw mut before) == 0;
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        if is_masked {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        }
        spawned.map(drop)
    }
}

/// There are no signals here.
#[cfg(not(unix))]
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// A file's bytes in memory.
pub(crate) fn map(file: &File) -> io::Result<MmapMut> {
    // SAFETY: the bytes change under us only if somebody else writes to the file, which is one that this process made
    // anew, under a name of its own in a directory that it has locked, and does not read: it only writes there, and takes
    // nothing from it for granted. Whoever cuts the file short has the process killed by a signal.
    unsafe { MmapMut::map_mut(file) }
}

/// Whether somebody has a file locked. While it asks, it has a lock itself, which keeps nobody from asking.
#[cfg(unix)]
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    // SAFETY: a descriptor that is open.
    let flock = |operation| unsafe { libc::flock(file.as_raw_fd(), operation) };
    if flock(libc::LOCK_SH | libc::LOCK_NB) == 0 {
        // Not with the descriptor's end: a process forked meanwhile has it too.
        flock(libc::LOCK_UN);
        return Ok(false);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        error => Err(error),
    }
}

#[cfg(not(unix))]
pub(crate) fn is_locked(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// An advisory lock on a whole file. It ends with the process that took it, not with the processes forked from it.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: Option<File>,
    generation: u64,
}

impl FileLock {
    /// Takes the lock, unless another has it.
    #[cfg(unix)]
    pub(crate) fn try_on(file: File) -> io::Result<Option<Self>> {
        use std::os::fd::AsRawFd;
        let descriptor = file.as_raw_fd();
        let free = |lock: &AtomicI32| {
            lock.compare_exchange(0, descriptor, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if !LOCKS.iter().any(free) {
            return Err(io::Error::other("this process holds as many locks as it may"));
        }
        let lock = Self { file: Some(file), generation: generation() };
        // SAFETY: a descriptor that is open.
        if unsafe { libc::flock(descriptor, libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(lock));
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn try_on(_file: File) -> io::Result<Option<Self>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there is no spool on this system"))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.generation != generation() {
            // It was closed when the process was forked; the number may be that of another file now.
            std::mem::forget(file);
            return;
        }
        #[cfg(unix)]
        {
            use std::os::fd::AsRawFd;
            let descriptor = file.as_raw_fd();
            // A process forked right now may have a copy of the descriptor, which would keep the lock.
            // SAFETY: a descriptor that is open.
            unsafe { libc::flock(descriptor, libc::LOCK_UN) };
            let own = |lock: &&AtomicI32| lock.load(Ordering::Relaxed) == descriptor;
            if let Some(lock) = LOCKS.iter().find(own) {
                lock.store(0, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(all(test, unix))]
pub(crate) use forked::Forked;

/// Forks, for tests: the child of a process with several threads, which a test process always is, may do what a child
/// of a service does.
#[cfg(all(test, unix))]
mod forked {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A child process.
    pub(crate) struct Forked(libc::pid_t);

    impl Forked {
        /// Runs `child` in a forked process, which ends after it, or after a minute.
        pub(crate) fn run(child: impl FnOnce() -> bool) -> Self {
            // SAFETY: the child never returns from here: it runs `child` and ends without destructors or exit handlers.
            let process = unsafe { libc::fork() };
            assert!(process >= 0, "no fork: {}", std::io::Error::last_os_error());
            if process == 0 {
                // SAFETY: a timer that ends the process, and the end of the process.
                unsafe {
                    libc::alarm(60);
                    let passed = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
                    libc::_exit(i32::from(!passed));
                }
            }
            Self(process)
        }

        /// Waits for its end, and tells whether `child` returned true.
        pub(crate) fn passed(self) -> bool {
            let mut status = 0;
            // SAFETY: our own child, waited for once, and a place for its status.
            let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
            waited == self.0 && status == 0
        }
    }
}
