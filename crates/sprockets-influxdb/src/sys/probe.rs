//! Asks whether a disk answers, without waiting for it.
//!
//! A thread that writes to a frozen disk cannot be ended, and neither can its process. So a helper
//! process makes the call. It shares memory with this process, which makes it cheap (about 30 µs),
//! and nothing else: if the disk hangs, only the helper stays, until the disk answers.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer holds: probes may come one after the other.
const MAX_AGE: Duration = Duration::from_millis(5);

/// Probes one disk. At most one helper runs.
#[derive(Debug)]
pub(crate) struct Probe {
    kind: Kind,
    state: Mutex<State>,
}

/// What a helper does to the file that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Sets the time of the last access. Waits for a disk of any kind that hangs, and for one whose
    /// journal is slow.
    Touch,
    /// Writes no bytes. Waits for a file system that is frozen, and for nothing else.
    Write,
}

#[derive(Debug, Default)]
struct State {
    running: Option<helper::Helper>,
    answered: Option<Instant>,
}

impl Probe {
    /// Finds out whether the disk changes files and directories.
    pub(crate) fn of_changes() -> Self {
        Self { kind: Kind::Touch, state: Mutex::default() }
    }

    /// Finds out whether the file system is frozen. Never waits for a slow disk.
    pub(crate) fn of_freezes() -> Self {
        Self { kind: Kind::Write, state: Mutex::default() }
    }

    /// Whether the disk answers within a time. Returns true if that cannot be found out.
    pub(crate) fn answers(&self, path: &Path, timeout: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.answered.is_some_and(|answered| answered.elapsed() < MAX_AGE) {
            return true;
        }
        // One that runs has had its time before.
        let (helper, timeout) = match state.running.take() {
            Some(helper) => (helper, Duration::ZERO),
            None => match helper::Helper::start(path, self.kind) {
                Some(helper) => (helper, timeout),
                None => return true,
            },
        };
        let started = Instant::now();
        let has_ended = helper.ends_within(timeout);
        if has_ended {
            state.answered = Some(started);
        } else {
            state.running = Some(helper);
        }
        has_ended
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod helper {
    use std::ffi::CString;
    use std::fs;
    use std::mem;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::ptr;
    use std::time::{Duration, Instant};

    use crate::sys::probe::Kind;

    const STACK_BYTES: usize = 32 * 1024;
    /// How much longer a helper may take that has not come to run.
    const PATIENCE: u32 = 8;

    /// A helper process, and the memory that it uses.
    #[derive(Debug)]
    pub(super) struct Helper {
        process: libc::pid_t,
        descriptor: OwnedFd,
        /// Leaked if the helper still runs when this is dropped.
        memory: mem::ManuallyDrop<Box<Memory>>,
    }

    #[derive(Debug)]
    #[repr(C, align(16))]
    struct Memory {
        stack: [u8; STACK_BYTES],
        path: CString,
        kind: Kind,
        times: [(i64, i64); 2],
    }

    impl Helper {
        /// `None` if no helper can be started.
        pub(super) fn start(path: &Path, kind: Kind) -> Option<Self> {
            let path = CString::new(path.as_os_str().as_bytes()).ok()?;
            let times = [(0, libc::UTIME_NOW), (0, libc::UTIME_OMIT)];
            let memory = Box::new(Memory { stack: [0; STACK_BYTES], path, kind, times });
            let mut memory = mem::ManuallyDrop::new(memory);
            let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_FS | libc::CLONE_PIDFD;
            let mut descriptor: libc::c_int = -1;
            // SAFETY: the new process runs `touch` on a stack of its own. It has the signal mask of
            // this thread, which blocks all signals meanwhile, so that no handler runs in it. It
            // has no exit signal: the application does not see it end.
            let process = unsafe {
                let mut all: libc::sigset_t = mem::zeroed();
                let mut before: libc::sigset_t = mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
                let stack = (&raw mut memory.stack).cast::<u8>().add(STACK_BYTES);
                let argument = (&raw mut **memory).cast();
                let descriptor = &raw mut descriptor;
                let process = libc::clone(touch, stack.cast(), flags, argument, descriptor);
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
                process
            };
            if process < 0 {
                drop(mem::ManuallyDrop::into_inner(memory));
                return None;
            }
            // SAFETY: the system has just opened it for this process.
            let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
            Some(Self { process, descriptor, memory })
        }

        /// Waits for its end, longer if it has not come to run.
        pub(super) fn ends_within(&self, timeout: Duration) -> bool {
            let start = Instant::now();
            loop {
                let left = timeout.saturating_sub(start.elapsed());
                if self.has_ended(left) {
                    return true;
                }
                let is_over = start.elapsed() >= timeout;
                if is_over && (self.waits() || start.elapsed() >= PATIENCE * timeout) {
                    return false;
                }
                if is_over {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }

        /// Waits for its end, at most for `timeout`. May return earlier, after a signal.
        fn has_ended(&self, timeout: Duration) -> bool {
            let descriptor = self.descriptor.as_raw_fd();
            let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
            let milliseconds = timeout.as_micros().div_ceil(1000) as libc::c_int;
            // SAFETY: a pointer to one local structure.
            unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 }
        }

        /// Whether it waits in the kernel, by the letter of its state.
        fn waits(&self) -> bool {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.process));
            let state = |stat: &str| stat.rsplit_once(") ")?.1.chars().next();
            stat.is_ok_and(|stat| state(&stat).is_some_and(|state| state == 'D' || state == 'S'))
        }
    }

    impl Drop for Helper {
        fn drop(&mut self) {
            if self.has_ended(Duration::ZERO) {
                // SAFETY: it has ended, so it uses the memory no more, which nothing else frees. It
                // is a child of this process and was not waited for.
                unsafe {
                    libc::waitpid(self.process, ptr::null_mut(), libc::__WCLONE | libc::WNOHANG);
                    mem::ManuallyDrop::drop(&mut self.memory);
                }
            }
        }
    }

    /// The helper. It shares this process's memory, thread-local memory included, so it makes
    /// system calls by itself: those of libc set `errno`.
    extern "C" fn touch(argument: *mut libc::c_void) -> libc::c_int {
        const CLOSE_RANGE_UNSHARE: usize = 2;
        // SAFETY: `start` passes a pointer to memory that outlives the helper. The first call gives
        // the helper a table of descriptors of its own, an empty one, so that it keeps no socket
        // open; the second one only reads what it is given.
        unsafe {
            let memory = &*argument.cast::<Memory>();
            let last = u32::MAX as usize;
            system_call(libc::SYS_close_range as usize, [0, last, CLOSE_RANGE_UNSHARE, 0]);
            let path = memory.path.as_ptr().addr();
            let here = libc::AT_FDCWD as usize;
            if memory.kind == Kind::Write {
                let flags = (libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK) as usize;
                let file = system_call(libc::SYS_openat as usize, [here, path, flags, 0]);
                // Of an error it makes another.
                system_call(libc::SYS_write as usize, [file, path, 0, 0]);
                return 0;
            }
            let times = memory.times.as_ptr().addr();
            let flags = libc::AT_SYMLINK_NOFOLLOW as usize;
            system_call(libc::SYS_utimensat as usize, [here, path, times, flags]);
        }
        0
    }

    #[cfg(target_arch = "x86_64")]
    unsafe fn system_call(number: usize, [a, b, c, d]: [usize; 4]) -> usize {
        let result;
        // SAFETY: the caller's. The call changes these registers only.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") number => result,
                in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
                lateout("rcx") _, lateout("r11") _,
                options(nostack),
            );
        }
        result
    }

    #[cfg(target_arch = "aarch64")]
    unsafe fn system_call(number: usize, [a, b, c, d]: [usize; 4]) -> usize {
        let result;
        // SAFETY: the caller's. The call changes these registers only.
        unsafe {
            std::arch::asm!(
                "svc 0",
                in("x8") number,
                inlateout("x0") a => result,
                in("x1") b, in("x2") c, in("x3") d,
                options(nostack),
            );
        }
        result
    }
}

/// There are no helpers on this system.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod helper {
    use std::path::Path;
    use std::time::Duration;

    use crate::sys::probe::Kind;

    #[derive(Debug)]
    pub(super) enum Helper {}

    impl Helper {
        pub(super) fn start(_path: &Path, _kind: Kind) -> Option<Self> {
            None
        }

        pub(super) fn ends_within(&self, _timeout: Duration) -> bool {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_works_answers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for probe in [Probe::of_changes(), Probe::of_freezes()] {
            for path in [file.path(), Path::new("/does/not/exist"), Path::new("/")] {
                for _ in 0..50 {
                    probe.state.lock().unwrap().answered = None;
                    assert!(probe.answers(path, Duration::from_secs(10)));
                }
            }
        }
    }
}
