//! The order in which new batches and the backlog are sent.

use super::world::*;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::{Fault, Simulated};

#[test]
fn new_batches_go_first_and_the_backlog_gets_every_second_turn() {
    let limits = Limits { batch: Size { lines: 5, bytes: 20_000 }, ..limits() };
    let mut world = World::new(Simulated::default(), SpoolSync::Process, limits);
    world.add("old", 20);
    world.submit();
    while world.buffer.seal_to_disk(&world.spool, 0) {}
    world.add("new", 20);
    world.submit();
    let taken: Vec<_> = (0..6).map(|_| world.take(usize::MAX).unwrap()).collect();
    let databases: Vec<_> = taken.iter().map(Batch::database).collect();
    assert_eq!(databases, ["new", "old", "new", "old", "new", "new"]);
    // No third batch of the backlog before one of the two is settled.
    assert!(world.take(usize::MAX).is_none());
    let numbers: Vec<_> = named(&taken[1])
        .iter()
        .chain(&named(&taken[3]))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        .collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "the oldest first");
    taken.into_iter().for_each(|batch| world.deliver(batch));
    assert_eq!(world.take(usize::MAX).unwrap().database(), "old");
}

#[test]
fn a_sealed_file_counts_until_its_lines_are_decided() {
    let disk = Simulated::default();
    let mut world = World::new(disk.clone(), SpoolSync::Process, limits());
    add(&world.buffer, "db", "m n=1i");
    world.submit();
    while world.buffer.seal_to_disk(&world.spool, 0) {}
    world.step_worker();
    let used = world.spool.sealed.bytes();
    assert!(used > 0);
    let batch = world.buffer.take(|_| usize::MAX, |_| true).unwrap();
    let batch = world.buffer.load(batch, usize::MAX).unwrap();
    assert_eq!(world.spool.sealed.bytes(), used, "while it is being sent");
    deliver(&world.buffer, vec![batch]);
    world.step_worker();
    assert_eq!(world.spool.sealed.bytes(), 0);
}

#[test]
fn lines_in_memory_only_do_not_count_as_spooled_while_they_are_sent() {
    let disk = Simulated::default();
    disk.fail(Some(Fault { operations: 0..usize::MAX, error: 30, is_full: false }));
    let world = World::new(disk.clone(), SpoolSync::Process, limits());
    let pending_and_spooled = || (world.buffer.stats().pending, world.buffer.stats().spooled);
    (0..3).for_each(|number| add(&world.buffer, "db", &format!("m n={number}i")));
    assert_eq!(pending_and_spooled(), (3, 0));
    world.submit();
    assert_eq!(pending_and_spooled(), (3, 0));
    let batch = world.buffer.take(|_| usize::MAX, |_| true).unwrap();
    assert_eq!(pending_and_spooled(), (3, 0));
    let (first, second) = batch.split();
    world.buffer.put_back(second.unwrap(), QueueEnd::Front);
    assert_eq!(pending_and_spooled(), (3, 0));
    deliver(&world.buffer, vec![first]);
    assert!(pending_and_spooled().0 < 3 && pending_and_spooled().1 == 0);
}
