use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

#[test]
fn each_slot_is_adopted_once_when_several_processes_try() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..40 {
        let spool = spool(root.path());
        sealed(&spool, &[&format!("m f={n} 1")]);
    }
    let taken: Vec<_> = thread::scope(|scope| {
        let recovering: Vec<_> =
            (0..8).map(|_| scope.spawn(|| recover(root.path()).lines)).collect();
        recovering.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let once: BTreeSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), once.len()), (40, 40));
    assert_eq!(names(&root.path().join("slots")), BTreeSet::new());
}

#[test]
fn a_slot_is_created_while_other_processes_adopt_slots() {
    let root = tempfile::tempdir().unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(recover(root.path()).lines.is_empty());
                }
            });
        }
        for _ in 0..300 {
            let spool = spool(root.path());
            let segment = spool.segments.create(1_000);
            let failure = spool.health().take_failure();
            let path = segment.as_ref().map(|segment| segment.path().clone());
            is_over.fetch_or(path.is_none_or(|path| !path.exists()), Ordering::Relaxed);
            assert!(!is_over.load(Ordering::Relaxed), "{failure:?}");
            segment.into_iter().for_each(|segment| spool.segments.remove(segment));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[cfg(unix)]
#[test]
fn a_forked_child_does_not_hold_its_parents_locks() {
    crate::sys::watch_forks();
    let root = tempfile::tempdir().unwrap();
    let parent = spool(root.path());
    let stored = sealed(&parent, &["m f=1 1"]);
    assert!(recover(root.path()).lines.is_empty());
    // The child lives until this file exists.
    let go = root.path().join("go");
    let child = crate::sys::Forked::run(|| {
        while !go.exists() {
            thread::yield_now();
        }
        true
    });
    drop((stored, parent));
    assert_eq!(recover(root.path()).lines, ["m f=1 1"]);
    fs::write(&go, "").unwrap();
    assert!(child.passed());
}

#[test]
fn the_size_of_the_quarantine_is_bounded() {
    let root = tempfile::tempdir().unwrap();
    let most = 4 << 20;
    let dir =
        SpoolDir::new(Arc::new(Files::own(root.path())), root.path().into(), SpoolSync::Process);
    let quarantine = Quarantine::new(Arc::new(dir), most);
    let directory = root.path().join("quarantine");
    let line = "x".repeat(1 << 18);
    for _ in 0..64 {
        let lines = [(line.as_bytes(), "rejected")];
        quarantine.keep("db", Precision::Seconds, lines.into_iter()).unwrap();
        let used: u64 = names(&directory)
            .iter()
            .map(|name| fs::metadata(directory.join(name)).unwrap().len())
            .sum();
        assert!(used > 0 && used <= most, "{used}");
    }
}
