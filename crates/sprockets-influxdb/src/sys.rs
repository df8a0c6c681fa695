//! System calls that need `unsafe`. Only this module and its children have any.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Once;
#[cfg(unix)]
use std::sync::atomic::AtomicI32;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(unix)]
pub(crate) mod at;
#[cfg(unix)]
mod errno;
mod mapping;
mod memory;
mod probe;
#[cfg(unix)]
mod termination;
mod thread;

pub(crate) use mapping::{Loss, Mapping, SharedCounters, unblock as unblock_sigbus};
pub(crate) use memory::{has_memory_for, populate};
pub(crate) use probe::Probe;
#[cfg(unix)]
pub use termination::{await_sigterm, before_sigterm};
pub(crate) use thread::spawn;

static FORKS: AtomicU64 = AtomicU64::new(0);

/// The file descriptors of locks that this process holds. 0, standard input, means none.
#[cfg(unix)]
static LOCKS: [AtomicI32; 256] = [const { AtomicI32::new(0) }; 256];

/// A number that changes in each forked child, once a client was created. It costs a load, where
/// the process id costs a system call.
#[inline]
pub fn generation() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Makes [`generation`] change in forked children from now on.
#[cfg(unix)]
pub(crate) fn watch_forks() {
    static WATCH: Once = Once::new();
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        for lock in &LOCKS {
            let descriptor = lock.swap(0, Ordering::Relaxed);
            if descriptor != 0 {
                // The parent's lock would be held as long as this copy of its descriptor is open.
                // SAFETY: the descriptor is a copy of one that a `FileLock` owns. In the child,
                // that `FileLock` never closes it.
                unsafe { libc::close(descriptor) };
            }
        }
        termination::forget_after_fork();
    }
    WATCH.call_once(|| {
        // An error (out of memory) leaves forks unnoticed.
        // SAFETY: the handler is static. Atomic operations and `close` are allowed in the child of
        // a process with several threads.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// There is no fork on this system.
#[cfg(not(unix))]
pub(crate) fn watch_forks() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {});
}

/// Nanoseconds between the Unix epoch and now.
// `SystemTime` takes 6 ns more, which is a tenth of adding a measurement.
#[cfg(all(unix, target_pointer_width = "64"))]
#[inline]
pub(crate) fn wall_clock() -> i64 {
    nanoseconds(libc::CLOCK_REALTIME)
}

/// Nanoseconds of the monotonic clock, from an unspecified origin.
// The difference of two `Instant`s is a call, which between two requests takes 10 ns and more.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[inline]
pub(crate) fn monotonic_clock() -> i64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

#[cfg(all(unix, target_pointer_width = "64"))]
#[inline]
fn nanoseconds(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value that lives until the call returns. The call does not fail
    // for these clocks where seconds have 64 bits.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Whether a process has a file locked. Holds a shared lock meanwhile, which does not disturb
/// others that ask the same.
#[cfg(unix)]
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open.
    let flock = |operation| unsafe { libc::flock(file.as_raw_fd(), operation) };
    if flock(libc::LOCK_SH | libc::LOCK_NB) == 0 {
        // Closing is not enough: a process forked meanwhile has a copy of the descriptor.
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

/// Whether this process has the permissions of this user.
#[cfg(unix)]
pub(crate) fn is_user(user: u32) -> bool {
    user == at::user()
}

#[cfg(not(unix))]
pub(crate) fn is_user(_user: u32) -> bool {
    true
}

/// An advisory lock on a file. It ends with the process that took it, also if children live on.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: Option<File>,
    generation: u64,
}

impl FileLock {
    /// Takes the lock. Returns `None` if another process holds it.
    #[cfg(unix)]
    pub(crate) fn try_on(file: File) -> io::Result<Option<Self>> {
        use std::os::fd::AsRawFd;
        let descriptor = file.as_raw_fd();
        let free = |lock: &AtomicI32| {
            lock.compare_exchange(0, descriptor, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if !LOCKS.iter().any(free) {
            return Err(io::Error::other("this process holds too many locks of spool files"));
        }
        let lock = Self { file: Some(file), generation: generation() };
        // SAFETY: the descriptor is open.
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
            // The fork closed it. The number may be that of another file now.
            std::mem::forget(file);
            return;
        }
        #[cfg(unix)]
        {
            use std::os::fd::AsRawFd;
            let descriptor = file.as_raw_fd();
            // A process forked just now may have a copy of the descriptor, which would keep the
            // lock. SAFETY: the descriptor is open.
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

/// Forks, for tests.
#[cfg(all(test, unix))]
mod forked {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A child process.
    pub(crate) struct Forked(libc::pid_t);

    impl Forked {
        /// Runs `child` in a forked process, at most for a minute.
        pub(crate) fn run(child: impl FnOnce() -> bool) -> Self {
            // SAFETY: the child never returns from here. It ends without destructors or exit
            // handlers.
            let process = unsafe { libc::fork() };
            assert!(process >= 0, "no fork: {}", std::io::Error::last_os_error());
            if process == 0 {
                // SAFETY: a timer that ends the process, and an exit.
                unsafe {
                    libc::alarm(60);
                    let passed = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
                    libc::_exit(i32::from(!passed));
                }
            }
            Self(process)
        }

        /// Waits for its end. Returns whether `child` returned true.
        pub(crate) fn passed(self) -> bool {
            let mut status = 0;
            // SAFETY: a child of this process, waited for once, and a pointer to a local.
            let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
            waited == self.0 && status == 0
        }
    }
}
