//! Slots of dead processes, of which there are many after a crash loop.

use std::path::Path;

use super::process::*;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::{Fault, Simulated};

/// A process that adds five lines for each database and dies.
fn crash(disk: &Simulated, databases: &[&str], number: usize) {
    let process = Process::new(disk.clone(), SpoolSync::Process, limits());
    for database in databases {
        for line in 0..5 {
            add(&process.buffer, database, &format!("m s=\"a\nb\",n={line} {number}"));
        }
    }
}

/// Steps the spool worker until every slot was looked at.
fn adopt_all(process: &mut Process) {
    let mut steps = 0..100_000;
    while !process.spool.recovery.await_complete(&process.clock, Duration::ZERO) {
        steps.next().expect("every slot is looked at");
        process.worker.step(&process.buffer);
    }
}

fn slots(disk: &Simulated) -> usize {
    disk.list_names(&Path::new(ROOT).join("slots")).len()
}

#[test]
fn dead_processes_with_a_few_lines_each_become_full_batches() {
    let disk = Simulated::default();
    for number in 0..700 {
        crash(&disk, &["a", "b"], number);
    }
    assert_eq!(slots(&disk), 700);
    let mut process = Process::new(disk.clone(), SpoolSync::Process, limits());
    adopt_all(&mut process);
    let stats = process.buffer.stats();
    assert_eq!((stats.recovered, stats.pending, stats.spooled), (7_000, 7_000, 7_000));
    assert_eq!(slots(&disk), 1, "only its own");
    let batches: Vec<_> =
        std::iter::from_fn(|| process.buffer.take(|_| usize::MAX, |_| true)).collect();
    assert_eq!(batches.len(), 2);
    for batch in batches {
        let batch = process.buffer.load(batch, usize::MAX).unwrap();
        assert_eq!(batch.lines(), 3_500);
        let lines = lines(std::slice::from_ref(&batch));
        let once: std::collections::BTreeSet<_> = lines.iter().collect();
        assert_eq!(once.len(), 3_500);
        deliver(&process.buffer, vec![batch]);
    }
    assert!(process.buffer.stats().is_balanced());
}

/// An operator may have removed files while nothing looked.
#[test]
fn the_spool_is_counted_again_before_it_stays_full() {
    let limits = Limits { spool_bytes: 1 << 20, ..limits() };
    let mut process = Process::new(Simulated::default(), SpoolSync::Process, limits);
    adopt_all(&mut process);
    // Too long for the small chunk that is ready.
    let line = format!("m s=\"{}\" 1", "x".repeat(5_000));
    process.spool.set_max_bytes(1 << 20, 0);
    process.spool.claim_for_test(1 << 20);
    add(&process.buffer, "db", &line);
    assert_eq!(process.buffer.stats().dropped.total(), 1);
    // What is too much is found at one count, and subtracted at the next.
    for _ in 0..2 {
        process.step_worker();
        add(&process.buffer, "db", &line);
    }
    process.step_worker();
    let dropped = process.buffer.stats().dropped.total();
    add(&process.buffer, "db", &line);
    assert_eq!(process.buffer.stats().dropped.total(), dropped);
}

/// The old process of a restart may end after the new one has begun.
#[test]
fn a_slot_that_is_released_soon_after_the_first_look_is_found_soon() {
    let disk = Simulated::default();
    let mut ending = Process::new(disk.clone(), SpoolSync::Process, limits());
    ending.add("db", 5);
    let mut process = Process::new(disk.clone(), SpoolSync::Process, limits());
    adopt_all(&mut process);
    assert_eq!(process.buffer.stats().recovered, 0);
    drop(ending);
    process.step_worker();
    assert_eq!(process.buffer.stats().recovered, 5);
}

#[test]
fn a_process_that_dies_while_it_merges_loses_nothing() {
    let disk = Simulated::default();
    for number in 0..150 {
        crash(&disk, &["a"], number);
    }
    let (image, mut crashes) = (disk.crashed(), 0);
    for operation in (0..).step_by(37) {
        let disk = Simulated::of(image.clone());
        let mut process = Process::new(disk.clone(), SpoolSync::Process, limits());
        process.crash_at(operation);
        adopt_all(&mut process);
        if disk.operations() < operation {
            break;
        }
        crashes += 1;
        let (crashed, _) = process.crashed();
        assert_eq!(recovered(crashed, SpoolSync::Process).len(), 750, "{operation}");
    }
    assert!(crashes > 20, "{crashes}");
}

#[test]
fn lines_are_recovered_although_the_disk_is_full_for_a_time() {
    let disk = Simulated::default();
    for number in 0..200 {
        crash(&disk, &["a"], number);
    }
    let mut process = Process::new(disk.clone(), SpoolSync::Process, limits());
    let operations = disk.operations() + 400..usize::MAX;
    disk.fail(Some(Fault { operations, error: 28, is_full: true }));
    adopt_all(&mut process);
    assert!(process.buffer.stats().recovered < 1_000);
    disk.fail(None);
    let mut steps = 0..1_000;
    while process.buffer.stats().recovered < 1_000 {
        steps.next().expect("all are recovered once the disk works");
        process.step_worker();
    }
    assert_eq!(process.drain().len(), 1_000);
}

#[test]
fn a_sparse_file_counts_as_what_it_takes_on_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let slot = root.path().join("slots/1-00000000");
    std::fs::create_dir_all(&slot).unwrap();
    std::fs::File::create(slot.join("00000001-5.lp")).unwrap().set_len(1 << 40).unwrap();
    let spool = Spool::new(root.path(), SpoolSync::Process);
    assert_eq!(spool.recovery.look(), None);
    assert!(spool.used_bytes() < 1 << 20, "{}", spool.used_bytes());
}
