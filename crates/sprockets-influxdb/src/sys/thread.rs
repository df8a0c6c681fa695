//! Threads of our own, on which no signal handler of the application runs.

use std::io;
use std::thread;

use super::memory::has_memory_for;

/// What a thread takes at its start: the standard library's stack of 2 MiB, and the first memory
/// that it allocates.
const THREAD_BYTES: usize = 3 << 20;

/// Starts a thread that blocks all signals except those that its own faults raise. The handlers of
/// the application may end the process: they must not run on a thread that this waits for.
///
/// A thread that finds no memory at its start ends the process, so none is started then.
#[cfg(unix)]
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if !has_memory_for(THREAD_BYTES) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    const FAULTS: [libc::c_int; 5] =
        [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGTRAP];
    // A new thread inherits the mask of the thread that starts it, which then restores its own.
    // SAFETY: the pointers are to local sets, for which zeros are a valid value.
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

/// There are no signals on this system.
#[cfg(not(unix))]
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}
