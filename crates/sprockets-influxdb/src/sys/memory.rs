//! Whether memory can be had.

/// Address space that stays free. Small allocations cannot fail without an end of the process.
#[cfg(all(unix, not(miri)))]
const HEADROOM_BYTES: usize = 4 << 20;

/// Whether the process's limit of address space leaves this many bytes, and some headroom. Without
/// a limit it is not tried.
#[cfg(all(unix, not(miri)))]
pub(crate) fn has_memory_for(bytes: usize) -> bool {
    use std::{mem, ptr};
    // SAFETY: pointers to a local structure, and a mapping that nothing refers to when it ends.
    unsafe {
        let mut limit: libc::rlimit = mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) != 0
            || limit.rlim_cur == libc::RLIM_INFINITY
        {
            return true;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let bytes = bytes.saturating_add(HEADROOM_BYTES);
        let mapped = libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0);
        mapped != libc::MAP_FAILED && libc::munmap(mapped, bytes) == 0
    }
}

#[cfg(not(all(unix, not(miri))))]
pub(crate) fn has_memory_for(_bytes: usize) -> bool {
    true
}
