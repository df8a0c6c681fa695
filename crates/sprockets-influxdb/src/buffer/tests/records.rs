//! Records: lines that are encoded later. They count like lines from the moment that they are
//! accepted.

use super::process::{Process, recovered};
use super::*;
use crate::config::SpoolSync;
use crate::record::{Record, RecordHead, RecordNames, RecordValues};
use crate::spool::simulated::{Fault, Simulated};

pub(super) fn head(database: &str) -> Arc<RecordHead> {
    let names = RecordNames {
        integers: [Some("n"), None],
        durations: [None; 2],
        texts: [(None, false); 2],
    };
    let head = RecordHead::new(database, Precision::Nanoseconds, b"m".to_vec(), names);
    Arc::new(head.expect("the names are short"))
}

/// Adds a record, or its line if the buffer does not take it as a record. Returns whether it does.
pub(super) fn add_record(buffer: &Buffer, head: &Arc<RecordHead>, number: usize) -> bool {
    let integers = [Some(number as u64), None];
    let values = RecordValues { integers, durations: [None; 2], texts: [""; 2] };
    let is_record = buffer.push_record(head, 0, &values);
    if !is_record {
        let mut line = Vec::new();
        Record::new(head, 0, &values).write_to(&mut line);
        let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(&line);
        add_with(buffer, &head.database, head.precision, line.len(), write);
    }
    is_record
}

/// The numbers of the lines, sorted: a line may be written before records that came before it.
fn numbers_of(batches: &[Batch]) -> Vec<usize> {
    let number = |line: &String| line.strip_prefix("m n=")?.strip_suffix("i 0")?.parse().ok();
    let mut numbers: Vec<_> = lines(batches).iter().map(|line| number(line).unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn records_are_counted_when_they_are_accepted_and_delivered_by_a_flush() {
    let (buffer, head) = (buffer(limits()), head("db"));
    let mut records = 0;
    for number in 0..1_000 {
        records += usize::from(add_record(&buffer, &head, number));
        let stats = buffer.stats();
        assert_eq!((stats.added, stats.pending), (number as u64 + 1, number as u64 + 1));
    }
    assert!(records > 900, "{records}");
    let flush = buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    assert!(numbers_of(&batches).into_iter().eq(0..1_000));
    deliver(&buffer, batches);
    let report = buffer.end_flush(flush);
    assert_eq!((report.delivered, report.pending), (1_000, 0));
}

#[test]
fn the_limit_of_measurements_is_exact_for_records() {
    for most in [1, 2, 63, 64, 65, 1_000] {
        let bound = Size { lines: most, bytes: 1 << 30 };
        let buffer = buffer(Limits { buffer: bound, trigger_size: most.min(50), ..limits() });
        let head = head("db");
        for number in 0..most + 10 {
            add_record(&buffer, &head, number);
        }
        let stats = buffer.stats();
        assert_eq!((stats.pending, stats.dropped.count(DropReason::Newest)), (most as u64, 10));
        buffer.begin_flush(Duration::MAX);
        assert!(numbers_of(&take_all(&buffer)).into_iter().eq(0..most), "the newest are dropped");
    }
}

#[test]
fn the_limit_of_bytes_is_exact_for_records() {
    let bound = Size { lines: 1_000_000, bytes: 12_000 };
    let (buffer, head) = (buffer(Limits { buffer: bound, ..limits() }), head("db"));
    for _ in 0..2_000 {
        add_record(&buffer, &head, 1_000); // 12 bytes with its line feed
    }
    let stats = buffer.stats();
    assert_eq!((stats.pending, stats.dropped.count(DropReason::Newest)), (1_000, 1_000));
    buffer.begin_flush(Duration::MAX);
    deliver(&buffer, take_all(&buffer));
    // Nothing of the room is lost.
    for _ in 0..1_001 {
        add_record(&buffer, &head, 1_000);
    }
    assert_eq!(buffer.stats().pending, 1_000);
}

#[test]
fn the_oldest_records_are_dropped_with_overflow_oldest() {
    let bound = Size { lines: 1_000, bytes: 1 << 20 };
    let overflow = Overflow::Oldest;
    let buffer = buffer(Limits { buffer: bound, trigger_size: 700, overflow, ..limits() });
    let head = head("db");
    for number in 0..5_000 {
        add_record(&buffer, &head, number);
    }
    let stats = buffer.stats();
    assert_eq!((stats.pending, stats.dropped.count(DropReason::Oldest)), (1_000, 4_000));
    buffer.begin_flush(Duration::MAX);
    let numbers = numbers_of(&take_all(&buffer));
    assert_eq!(numbers.len(), 1_000);
    assert!(numbers[0] >= 4_000 - 64, "{}", numbers[0]);
    assert!(numbers.windows(2).all(|two| two[0] < two[1]), "taken twice: {numbers:?}");
}

#[test]
fn records_of_more_databases_than_have_a_chunk_all_arrive() {
    let buffer = buffer(limits());
    let heads: Vec<_> = (0..100).map(|number| head(&format!("db{number}"))).collect();
    for number in 0..10 {
        for head in &heads {
            add_record(&buffer, head, 2 * number);
            add_record(&buffer, head, 2 * number + 1);
        }
    }
    buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    let mut arrived: HashMap<&str, Vec<usize>> = HashMap::new();
    for batch in &batches {
        let of_database = arrived.entry(batch.database()).or_default();
        of_database.extend(numbers_of(std::slice::from_ref(batch)));
    }
    assert_eq!(arrived.len(), 100);
    for (database, mut numbers) in arrived {
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..20), "{database}");
    }
}

#[test]
fn a_batch_of_records_is_within_its_limits() {
    let batch = Size { lines: 100, bytes: 600 };
    let (buffer, head) = (buffer(Limits { batch, ..limits() }), head("db"));
    for _ in 0..1_000 {
        add_record(&buffer, &head, 1_000);
    }
    buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    assert_eq!(lines(&batches).len(), 1_000);
    for batch in batches {
        assert!(batch.lines() <= 50, "{}", batch.lines());
    }
}

#[test]
fn a_shutdown_delivers_the_records_before_it() {
    let (buffer, head) = (buffer(limits()), head("db"));
    for number in 0..10 {
        add_record(&buffer, &head, number);
    }
    let shutdown = buffer.begin_shutdown(Duration::MAX);
    assert!(!add_record(&buffer, &head, 10));
    let batches = take_all(&buffer);
    assert!(numbers_of(&batches).into_iter().eq(0..10));
    deliver(&buffer, batches);
    let report = buffer.end_flush(shutdown);
    assert_eq!((report.delivered, report.pending), (10, 0));
    let stats = buffer.stats();
    assert_eq!((stats.added, stats.dropped.count(DropReason::Closed)), (11, 1));
}

#[test]
fn records_wait_for_room_with_overflow_block() {
    let limits = Limits {
        buffer: Size { lines: 1_000, bytes: 1 << 20 },
        trigger_size: 700,
        overflow: Overflow::Block,
        block_timeout: Duration::from_secs(600),
        ..limits()
    };
    let buffer = Buffer::new(limits.clone(), Intake::Open, None, Clock::monotonic());
    let mut arrived = Vec::new();
    let head = head("db");
    let add = |number| add_record(&buffer, &head, number);
    let records = thread::scope(|scope| {
        let adding = scope.spawn(|| {
            let records = (0..20_000).filter(|number| add(*number)).count();
            buffer.begin_flush(Duration::MAX);
            records
        });
        while buffer.stats().added < 20_000 || buffer.stats().pending > 0 {
            let seen = buffer.signals();
            let batches = take_all(&buffer);
            if batches.is_empty() {
                buffer.wait(seen, Some(Duration::from_secs(600)));
            }
            assert!(buffer.stats().pending <= 1_000);
            arrived.extend(numbers_of(&batches));
            deliver(&buffer, batches);
        }
        adding.join().unwrap()
    });
    assert!(records > 0);
    arrived.sort_unstable();
    assert!(arrived.into_iter().eq(0..20_000));
    assert_eq!(buffer.stats().dropped.total(), 0);

    buffer.set_limits(Limits { block_timeout: Duration::ZERO, ..limits }, Intake::Open);
    for number in 0..1_010 {
        add(number);
    }
    let stats = buffer.stats();
    assert_eq!((stats.pending, stats.dropped.count(DropReason::BlockTimeout)), (1_000, 10));
}

#[test]
fn records_added_while_the_disk_failed_are_on_disk_when_it_works_again() {
    let disk = Simulated::default();
    let mut process = Process::new(disk.clone(), SpoolSync::Process, limits());
    let error = 5; // EIO
    disk.fail(Some(Fault { operations: 0..usize::MAX, error, is_full: false }));
    let head = head("db");
    let records = (0..100).filter(|number| add_record(&process.buffer, &head, *number)).count();
    assert!(records > 90, "{records}");
    let stats = process.buffer.stats();
    assert_eq!((stats.pending, stats.spooled), (100, 0));
    disk.fail(None);
    for _ in 0..6 {
        process.step_worker();
    }
    let stats = process.buffer.stats();
    assert_eq!((stats.pending, stats.spooled), (100, 100));
    let expected = (0..100).map(|number| format!("db m n={number}i 0")).collect();
    assert_eq!(recovered(disk.crashed().after_end_of_process(), SpoolSync::Process), expected);
}
