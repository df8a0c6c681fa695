//! The order in which new batches and the backlog are sent.

use super::process::*;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::{Fault, Simulated};

#[test]
fn new_batches_go_first_and_the_backlog_gets_every_second_turn() {
    let limits = Limits { batch: Size { lines: 5, bytes: 20_000 }, ..limits() };
    let mut process = Process::new(Simulated::default(), SpoolSync::Process, limits);
    process.add("old", 20);
    process.submit();
    process.seal_all(0);
    process.add("new", 20);
    process.submit();
    let taken: Vec<_> = (0..6).map(|_| process.take(usize::MAX).unwrap()).collect();
    let databases: Vec<_> = taken.iter().map(Batch::database).collect();
    assert_eq!(databases, ["new", "old", "new", "old", "new", "new"]);
    // No third batch of the backlog before one of the two is settled.
    assert!(process.take(usize::MAX).is_none());
    let numbers: Vec<_> = named(&taken[1])
        .iter()
        .chain(&named(&taken[3]))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        .collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "the oldest first");
    taken.into_iter().for_each(|batch| process.deliver(batch));
    assert_eq!(process.take(usize::MAX).unwrap().database(), "old");
}

#[test]
fn a_sealed_file_counts_until_its_lines_are_decided() {
    let disk = Simulated::default();
    let mut process = Process::new(disk.clone(), SpoolSync::Process, limits());
    add(&process.buffer, "db", "m n=1i");
    process.submit();
    process.seal_all(0);
    process.step_worker();
    let used = process.spool.used_bytes();
    let batch = process.buffer.take(|_| usize::MAX, |_| true).unwrap();
    let batch = process.buffer.load(batch, usize::MAX).unwrap();
    assert_eq!(process.spool.used_bytes(), used, "while it is being sent");
    deliver(&process.buffer, vec![batch]);
    process.step_worker();
    assert_eq!(process.spool.used_bytes(), used - 4096);
}

#[test]
fn lines_in_memory_only_do_not_count_as_spooled_while_they_are_sent() {
    let disk = Simulated::default();
    disk.fail(Some(Fault { operations: 0..usize::MAX, error: 30, is_full: false }));
    let process = Process::new(disk.clone(), SpoolSync::Process, limits());
    let pending_and_spooled = || (process.buffer.stats().pending, process.buffer.stats().spooled);
    (0..3).for_each(|number| add(&process.buffer, "db", &format!("m n={number}i")));
    assert_eq!(pending_and_spooled(), (3, 0));
    process.submit();
    assert_eq!(pending_and_spooled(), (3, 0));
    let batch = process.buffer.take(|_| usize::MAX, |_| true).unwrap();
    assert_eq!(pending_and_spooled(), (3, 0));
    let (first, second) = batch.split();
    process.buffer.put_back(second.unwrap(), QueueEnd::Front);
    assert_eq!(pending_and_spooled(), (3, 0));
    deliver(&process.buffer, vec![first]);
    assert!(pending_and_spooled().0 < 3 && pending_and_spooled().1 == 0);
}
