//! Runs code before SIGTERM ends a process that has no handler for it. Only the Python package uses
//! it: a Rust program handles its signals itself.
//!
//! The handler only writes a byte to a pipe. A thread of our own reads it, runs the code, and sends
//! the signal again with the default action. So neither the main thread nor an interpreter is
//! needed, and the exit status stays that of a process killed by SIGTERM. A handler that the
//! application installed before is left alone; one that it installs later replaces ours.

use std::io::{self, Read};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::errno::errno;
use super::thread::spawn;

const NONE: i32 = -1;

/// The process whose thread reads the pipe. A forked child has the handler, but not the thread.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// Whether the process has received the signal, and will die of it.
static IS_DYING: AtomicBool = AtomicBool::new(false);
static READ: AtomicI32 = AtomicI32::new(NONE);
static WRITE: AtomicI32 = AtomicI32::new(NONE);

/// Runs `deliver` on a thread of its own before SIGTERM kills this process. Does nothing while
/// SIGTERM has another action than the default.
///
/// # Errors
///
/// The pipe or the thread cannot be made. Nothing has changed then.
pub fn before_sigterm(deliver: impl Fn() + Send + 'static) -> io::Result<()> {
    if OWNER.load(Ordering::Relaxed) == process() || !is_ours_to_take(&current_action()?) {
        return Ok(());
    }
    let (mut read, write) = UnixStream::pair()?;
    write.set_nonblocking(true)?;
    READ.store(read.as_raw_fd(), Ordering::Relaxed);
    let spawned = spawn("influxdb-sigterm", move || {
        while read.read_exact(&mut [0]).is_ok() {
            deliver();
            die();
            IS_DYING.store(false, Ordering::Relaxed);
            let _ = set_action(on_sigterm as *const () as libc::sighandler_t);
        }
    });
    if let Err(error) = spawned {
        READ.store(NONE, Ordering::Relaxed);
        return Err(error);
    }
    WRITE.store(write.into_raw_fd(), Ordering::Relaxed);
    OWNER.store(process(), Ordering::Release);
    let before = set_action(on_sigterm as *const () as libc::sighandler_t)?;
    if !is_ours_to_take(&before) {
        // Another thread has just installed the application's handler.
        // SAFETY: the action is the one that the system has returned.
        unsafe { libc::sigaction(libc::SIGTERM, &raw const before, ptr::null_mut()) };
    }
    Ok(())
}

/// Never returns if the process dies of SIGTERM already, so that it does not end in another way.
/// The signal ends calls such as `pause`, after which a program may run to its end.
pub fn await_sigterm() {
    while IS_DYING.load(Ordering::Acquire) && process() != 1 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Closes what a forked child has of its parent's pipe. Only calls what is allowed there.
pub(super) fn forget_after_fork() {
    OWNER.store(0, Ordering::Relaxed);
    IS_DYING.store(false, Ordering::Relaxed);
    for end in [&READ, &WRITE] {
        let descriptor = end.swap(NONE, Ordering::Relaxed);
        if descriptor != NONE {
            // SAFETY: the child's copy of a descriptor that nothing in the child uses.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Only calls what a signal handler may call.
extern "C" fn on_sigterm(_signal: libc::c_int) {
    // SAFETY: `getpid`, `write` and `raise` are async-signal-safe, and `errno` is restored. The
    // action is the default again (`SA_RESETHAND`), so the signal that is raised ends the process
    // when this handler returns.
    unsafe {
        let errno = errno();
        let before = *errno;
        let is_written = OWNER.load(Ordering::Acquire) == process()
            && libc::write(WRITE.load(Ordering::Relaxed), [1u8].as_ptr().cast(), 1) == 1;
        if is_written {
            IS_DYING.store(true, Ordering::Release);
        } else {
            libc::raise(libc::SIGTERM);
        }
        *errno = before;
    }
}

/// Ends the process as if the signal had no handler. Returns only in the first process of a
/// container, to which the kernel does not apply default actions.
fn die() {
    // SAFETY: a signal to this process. Our threads block it, so another thread takes it.
    unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    while process() != 1 {
        std::thread::park();
    }
}

fn process() -> i32 {
    // SAFETY: it cannot fail.
    unsafe { libc::getpid() }
}

fn is_ours_to_take(action: &libc::sigaction) -> bool {
    action.sa_sigaction == libc::SIG_DFL
        || action.sa_sigaction == on_sigterm as *const () as libc::sighandler_t
}

fn current_action() -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: only reads the action, into a local.
    match unsafe { libc::sigaction(libc::SIGTERM, ptr::null(), action.as_mut_ptr()) } {
        // SAFETY: the system has initialized it.
        0 => Ok(unsafe { action.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the previous action.
fn set_action(handler: libc::sighandler_t) -> io::Result<libc::sigaction> {
    // SAFETY: an action of zeros has an empty mask and no flags; the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        let mut before: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND | libc::SA_ONSTACK;
        match libc::sigaction(libc::SIGTERM, &raw const action, &raw mut before) {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
