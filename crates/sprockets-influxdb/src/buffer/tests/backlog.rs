//! The order in which new batches and the backlog are sent.

use super::process::*;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::Simulated;

#[test]
fn new_batches_go_first_and_the_backlog_gets_every_second_turn() {
    let limits = Limits { batch: Size { lines: 5, bytes: 20_000 }, ..limits() };
    let mut process = Process::new(Simulated::default(), SpoolSync::Process, limits);
    process.add("old", 20);
    process.submit();
    while process.buffer.seal_to_disk(&process.spool, 0) {}
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
