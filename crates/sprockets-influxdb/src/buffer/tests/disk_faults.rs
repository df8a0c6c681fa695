//! Disks that fail for a time.

use super::process::{Process, recovered};
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::{Fault, Simulated};

const ENOSPC: i32 = 28;

/// Waits until the disk is retried.
fn retry(process: &mut Process) {
    for _ in 0..6 {
        process.step_worker();
    }
    assert!(!process.spool.health().is_failing());
}

fn spooled(process: &Process) -> (u64, u64) {
    let stats = process.buffer.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    (stats.pending, stats.spooled)
}

#[test]
fn lines_added_while_the_disk_failed_are_on_disk_when_it_works_again() {
    for level in [SpoolSync::Process, SpoolSync::Interval, SpoolSync::Always] {
        let disk = Simulated::default();
        let mut process = Process::new(disk.clone(), level, limits());
        disk.fail(Some(Fault { operations: 0..usize::MAX, error: ENOSPC, is_full: true }));
        process.add("closed", 100);
        process.submit();
        process.add("taken", 100);
        process.submit();
        process.add("open", 100);
        process.step_worker();
        assert_eq!(spooled(&process), (300, 0));
        let is_taken = |batch: &Batch| batch.database() == "taken";
        let taken = process.buffer.take(|_| usize::MAX, is_taken).unwrap();
        disk.fail(None);
        retry(&mut process);
        assert_eq!(spooled(&process), (300, 200), "{level}");
        process.buffer.put_back(taken, QueueEnd::Front);
        process.step_worker();
        assert_eq!(spooled(&process), (300, 300), "{level}");
        let accepted = process.expected.lock().unwrap().accepted.clone();
        assert_eq!(recovered(disk.crashed().after_end_of_process(), level), accepted);
    }
}

#[test]
fn a_disk_with_room_for_some_lines_takes_the_others_later() {
    let disk = Simulated::default();
    let spool_bytes = 1 << 20;
    let batch = Size { lines: 100, ..limits().batch };
    let limits = Limits { batch, spool_bytes, ..limits() };
    let mut process = Process::new(disk.clone(), SpoolSync::Process, limits);
    disk.fail(Some(Fault { operations: 0..usize::MAX, error: ENOSPC, is_full: true }));
    for number in 0..2_500 {
        process.add_line("db", &format!("m s=\"{}\" {number}", "x".repeat(1_000)));
        if number % 100 == 99 {
            process.submit();
        }
    }
    disk.fail(None);
    retry(&mut process);
    let (pending, on_disk) = spooled(&process);
    assert!(pending == 2_500 && on_disk > 0 && on_disk < 2_500, "{on_disk}");
    while spooled(&process).0 > 0 {
        let batch = process.take(usize::MAX).unwrap();
        process.deliver(batch);
        process.step_worker();
        assert!(process.spool.used_bytes() <= spool_bytes as u64);
    }
}
