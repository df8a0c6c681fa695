//! The error number of a thread, which a signal handler has to restore.

/// The calling thread's `errno`.
pub(super) fn errno() -> *mut libc::c_int {
    // SAFETY: it cannot fail.
    #[cfg(any(target_os = "linux", target_os = "l4re"))]
    return unsafe { libc::__errno_location() };
    // SAFETY: it cannot fail.
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    return unsafe { libc::__error() };
    // SAFETY: it cannot fail.
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    return unsafe { libc::__errno() };
}
