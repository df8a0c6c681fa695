//! What lines that wait take in memory, for any number of databases and lines in a batch.

use allocation_counter::{AllocationInfo, measure};

use super::chunk::{CHUNK_BYTES, Chunk};
use super::process::Process;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::Simulated;

/// What each database may take beside its lines: its name, a batch, and the chunk of a shard.
const PER_DATABASE: u64 = 1_500;

/// What the buffer may take at all: the chunks of a shard, those that are kept, a few batches.
const CONSTANT: u64 = 2 << 20;

/// Adds lines for so many databases in turn, and closes their batches after each `batch` lines.
fn outage(databases: usize, lines: usize, batch: usize) -> Buffer {
    let most = Size { lines: usize::MAX, bytes: usize::MAX };
    let buffer = buffer(Limits { buffer: most, trigger_size: batch, ..limits() });
    for number in 0..lines {
        let line = format!("measurement,host=a value={number}i 1700000000000000000");
        add(&buffer, &format!("db{}", number % databases), &line);
        buffer.close_due();
        buffer.prepare_chunks();
    }
    let flush = buffer.begin_flush(Duration::MAX);
    buffer.end_flush(flush);
    buffer
}

#[test]
fn lines_that_wait_take_little_more_memory_than_their_bytes() {
    for (databases, lines, batch) in [
        (1, 100_000, 1),
        (1, 100_000, 5_000),
        (8, 50_000, 1),
        (17, 50_000, 1),
        (17, 50_000, 100),
        (40, 50_000, 3),
        (2_000, 60_000, 500),
        (20_000, 20_000, 5_000),
        (20_000, 60_000, 5_000),
    ] {
        let mut kept = None;
        let counted = measure(|| kept = Some(outage(databases, lines, batch)));
        let buffer = kept.unwrap();
        let batches = take_all(&buffer);
        let bytes: usize = batches.iter().map(Batch::len).sum();
        assert_eq!(batches.iter().map(Batch::lines).sum::<usize>(), lines);
        let most = bytes as u64 * 11 / 10 + databases as u64 * PER_DATABASE + CONSTANT;
        let used = counted.bytes_current.unsigned_abs();
        assert!(used <= most, "{databases} databases, batches of {batch}: {used} for {bytes}");
        deliver(&buffer, batches);
    }
}

#[test]
fn a_sender_prepares_the_chunks_of_a_buffer_that_grows() {
    let most = Size { lines: usize::MAX, bytes: usize::MAX };
    let buffer = buffer(Limits { buffer: most, trigger_size: usize::MAX, ..limits() });
    let line = format!("m text=\"{}\"", "x".repeat(1_000));
    let fill = |chunks| {
        (0..chunks * CHUNK_BYTES).step_by(line.len()).for_each(|_| add(&buffer, "db", &line));
    };
    let chunks = |counted: AllocationInfo| counted.bytes_current / CHUNK_BYTES as i64;
    let prepared = || chunks(measure(|| buffer.prepare_chunks()));
    let allocated = |count| chunks(measure(|| fill(count)));
    add(&buffer, "db", &line);
    let seen = buffer.signals();
    assert_eq!(prepared(), 0, "for a few lines");
    fill(4);
    assert!(buffer.signals() > seen, "a sender was told");
    assert_eq!(prepared(), 8);
    let seen = buffer.signals();
    assert_eq!((allocated(3), prepared()), (0, 0));
    assert_eq!(buffer.signals(), seen, "half of them are left");
    assert_eq!(allocated(4), 0);
    assert!(buffer.signals() > seen, "a sender was told");
    assert!(prepared() > 0);
    let pending = buffer.stats().pending as usize;
    buffer.begin_flush(Duration::MAX);
    assert_eq!(take_all(&buffer).iter().map(Batch::lines).sum::<usize>(), pending);
}

#[test]
fn chunks_are_prepared_only_while_chunks_of_their_size_are_filled() {
    let chunks =
        |buffer: &Buffer| measure(|| buffer.prepare_chunks()).bytes_current / CHUNK_BYTES as i64;
    let line = format!("m text=\"{}\"", "x".repeat(1_000));
    let many = buffer(limits());
    for _ in 0..10 {
        (0..30).for_each(|database| add(&many, &format!("db{database}"), &line));
    }
    let long = buffer(limits());
    (0..6).for_each(|_| add(&long, "db", &line.replace('x', &"x".repeat(100))));
    assert_eq!((chunks(&many), chunks(&long)), (0, 0), "other sizes");

    let quiet = buffer(limits());
    (0..300).for_each(|_| add(&quiet, "db", &line));
    assert_eq!(chunks(&quiet), 8);
    let mut taken = Vec::new();
    // More than were prepared.
    for _ in 0..20 {
        add(&quiet, "db", &line);
        let flush = quiet.begin_flush(Duration::MAX);
        quiet.end_flush(flush);
        taken.push(take_all(&quiet));
    }
    assert_eq!(chunks(&quiet), 0);

    let ended = buffer(limits());
    (0..300).for_each(|_| add(&ended, "db", &line));
    ended.begin_shutdown(Duration::MAX);
    assert_eq!(chunks(&ended), 0);
}

#[test]
fn a_segment_without_memory_for_its_lines_is_given_up() {
    let process = Process::new(Simulated::default(), SpoolSync::Process, limits());
    let segment = process.spool.segments.create(CHUNK_BYTES).expect("a segment");
    let mut queue = lock(&process.buffer.queue);
    queue.pool.add_ready(Chunk::default(), segment);
    assert_eq!(queue.pool.ready(), 0);
    assert!(queue.pool.has_leftovers());
}

#[test]
fn single_lines_for_many_databases_become_a_batch_for_each() {
    for databases in [16, 17, 500] {
        let buffer = outage(databases, 6_800, 1);
        let batches = take_all(&buffer);
        assert_eq!(batches.len(), databases);
        assert_eq!(batches.iter().map(Batch::lines).sum::<usize>(), 6_800);
        for batch in &batches {
            let number = |line: &String| line.split(['=', 'i']).nth(2)?.parse::<usize>().ok();
            let numbers: Vec<_> = lines(std::slice::from_ref(batch)).iter().map(number).collect();
            assert!(numbers[0].is_some() && numbers.is_sorted(), "in the order of their addition");
        }
    }
}

#[test]
fn databases_beyond_those_with_open_chunks_lose_no_lines() {
    let buffer = buffer(Limits { trigger_size: 20_000, ..limits() });
    for round in 0..3 {
        for database in 0..1_000 {
            add(&buffer, &format!("db{database}"), &format!("m n={round}i"));
        }
    }
    assert_eq!(buffer.stats().pending, 3_000);
    buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    assert_eq!(batches.len(), 1_000);
    assert!(batches.iter().all(|batch| lines(std::slice::from_ref(batch)) == numbers(0..3)));
    deliver(&buffer, batches);
    assert!(buffer.stats().is_balanced());
}

#[test]
fn lines_too_long_for_a_segment_are_bounded_in_memory() {
    let bytes = 40 << 20;
    let limits = Limits { buffer: Size { lines: 25_000, bytes }, ..limits() };
    for overflow in [Overflow::Newest, Overflow::Oldest] {
        let limits = Limits { overflow, ..limits.clone() };
        let process = Process::new(Simulated::default(), SpoolSync::Process, limits);
        let buffer = &process.buffer;
        let long = "x".repeat(17 << 20);
        add_numbers(buffer, "db", 0..10);
        for _ in 0..10 {
            add(buffer, "db", &long);
        }
        let stats = buffer.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        assert!(stats.dropped.total() >= 8, "{stats:?}");
        add_numbers(buffer, "db", 0..10);
        assert_eq!(buffer.stats().dropped, stats.dropped, "others have room on disk");
        buffer.begin_flush(Duration::MAX);
        let batches = take_all(buffer);
        assert!(batches.iter().map(Batch::len).sum::<usize>() <= bytes);
        assert_eq!(batches.iter().filter(|batch| batch.len() > long.len()).count(), 2);
        deliver(buffer, batches);
        add(buffer, "db", &long);
        assert_eq!(buffer.stats().dropped, stats.dropped, "delivery makes room");
    }
}

#[test]
fn single_lines_share_segments_while_they_wait() {
    for databases in [1, 17] {
        let limits = Limits { trigger_size: 1, ..limits() };
        let process = Process::new(Simulated::default(), SpoolSync::Process, limits);
        for number in 0..4_000 {
            add(&process.buffer, &format!("db{}", number % databases), &format!("m n={number}i"));
            process.buffer.close_due();
            process.buffer.remove_leftovers(&process.spool);
        }
        // 80 kB of lines, and unused segments: 16 or less of each size.
        let bytes = process.spool.used_bytes();
        assert!(bytes < 3 << 20, "{databases} databases: {bytes}");
        assert_eq!(take_all(&process.buffer).len(), databases);
    }
}

#[test]
fn a_line_for_which_there_is_no_memory_is_dropped() {
    for overflow in [Overflow::Newest, Overflow::Oldest, Overflow::Block] {
        let buffer_size = Size { lines: 10, bytes: usize::MAX };
        let limits = Limits { buffer: buffer_size, overflow, ..limits() };
        let buffer = Buffer::new(limits, Intake::Open, None, Clock::simulated());
        // More than the address space of a process.
        add_with(&buffer, "db", Precision::Seconds, 1 << 47, |_| {});
        add(&buffer, "db", "m n=1i 1");
        let stats = buffer.stats();
        assert_eq!((stats.dropped.count(DropReason::Newest), stats.pending), (1, 1), "{stats:?}");
    }
}
