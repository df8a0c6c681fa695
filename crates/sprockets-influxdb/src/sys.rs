//! What the operating system offers only by calls that Rust cannot check: the one module with `unsafe`.
#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);

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
    }
    WATCH.call_once(|| {
        // SAFETY: the handler lives as long as the process, and does nothing but an atomic addition, which is allowed in
        // the child of a process with several threads. An error (no memory) leaves forks unnoticed, nothing worse.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// There is no fork here.
#[cfg(not(unix))]
pub(crate) fn watch_forks() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {});
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
