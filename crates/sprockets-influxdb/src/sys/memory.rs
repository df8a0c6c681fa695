//! Whether memory can be had, and the time that the system takes to provide it.

use std::mem::MaybeUninit;

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

/// Has the system provide the pages of a piece of memory at once, instead of each when it is first
/// written to. Before Linux 5.14, and on other systems, nothing happens.
pub(crate) fn populate(memory: &mut [MaybeUninit<u8>]) {
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: whole pages of borrowed memory, whose contents stay as they are. An error changes
    // nothing.
    unsafe {
        let page = super::mapping::page_size();
        let range = memory.as_mut_ptr_range();
        let (start, end) = (range.start.addr().next_multiple_of(page), range.end.addr());
        let len = end.saturating_sub(start) / page * page;
        let first = range.start.with_addr(start);
        libc::madvise(first.cast(), len, libc::MADV_POPULATE_WRITE);
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = memory;
}

#[cfg(not(all(unix, not(miri))))]
pub(crate) fn has_memory_for(_bytes: usize) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn populated_memory_keeps_what_is_beside_it() {
        for capacity in [0, 1, 4_096, 65_536, 1 << 20] {
            let mut bytes = Vec::with_capacity(capacity);
            bytes.resize(capacity / 3, b'x');
            populate(bytes.spare_capacity_mut());
            assert!(bytes.iter().all(|byte| *byte == b'x'));
            bytes.resize(capacity, b'y');
            assert_eq!(bytes.iter().filter(|byte| **byte == b'x').count(), capacity / 3);
        }
    }
}
