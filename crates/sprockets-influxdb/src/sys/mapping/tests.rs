use super::*;
use crate::sys::Forked;

fn file(bytes: u64) -> (tempfile::NamedTempFile, Mapping) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(bytes).unwrap();
    let options = File::options().read(true).write(true).open(file.path()).unwrap();
    let mapping = Mapping::new(&options).unwrap();
    (file, mapping)
}

#[test]
fn a_mapping_of_a_file_that_is_cut_is_lost_and_can_be_written_to() {
    let (cut, mut lost) = file(65_536);
    let (_kept, mut intact) = file(65_536);
    cut.as_file().set_len(4096).unwrap();
    lost.bytes().fill(1);
    intact.bytes().fill(2);
    assert!(lost.loss().is_lost() && !intact.loss().is_lost());
    drop(lost);
    // Its entry is used again.
    let (_file, mut next) = file(4096);
    next.bytes().fill(3);
    assert!(!next.loss().is_lost());
}

/// The resident memory of the mapping at an address, in KiB.
#[cfg(target_os = "linux")]
fn resident(mapping: &Mapping) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", mapping.map.as_ptr().addr());
    let of_it = maps.lines().skip_while(|line| !line.starts_with(&start));
    let rss = of_it.into_iter().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    rss.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn released_pages_take_no_memory_and_keep_their_contents() {
    let (file, mut mapping) = file(65_536);
    mapping.bytes().fill(7);
    assert_eq!(resident(&mapping), 64);
    mapping.release(5_000);
    assert_eq!(resident(&mapping), 8);
    assert!(mapping.bytes().iter().all(|byte| *byte == 7) && !mapping.loss().is_lost());
    mapping.release(65_536);
    assert_eq!(std::fs::read(file.path()).unwrap(), [7; 65_536]);
}

#[test]
fn a_thread_that_blocked_the_signal_survives_it() {
    let (cut, mut lost) = file(4096);
    let child = Forked::run(|| {
        // SAFETY: a local set.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
        }
        unblock();
        cut.as_file().set_len(0).unwrap();
        lost.bytes().fill(1);
        lost.loss().is_lost()
    });
    assert!(child.passed());
}

#[test]
fn a_handler_that_was_installed_later_keeps_its_signals() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(_signal: libc::c_int) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    let (cut, mut lost) = file(4096);
    let child = Forked::run(|| {
        // SAFETY: a handler that only adds to a number.
        unsafe { libc::signal(libc::SIGBUS, count as *const () as libc::sighandler_t) };
        guard_mappings().unwrap();
        cut.as_file().set_len(0).unwrap();
        lost.bytes().fill(1);
        let before = CALLS.load(Ordering::Relaxed);
        // SAFETY: it has a handler.
        unsafe { libc::raise(libc::SIGBUS) };
        (before, CALLS.load(Ordering::Relaxed)) == (0, 1) && lost.loss().is_lost()
    });
    assert!(child.passed());
}

#[test]
fn another_sigbus_ends_the_process_as_before() {
    let child = Forked::run(|| {
        // SAFETY: the default action ends this process.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        let (_file, _mapping) = file(4096);
        // SAFETY: as above, behind our handler.
        unsafe { libc::raise(libc::SIGBUS) };
        true
    });
    assert!(!child.passed());
}
