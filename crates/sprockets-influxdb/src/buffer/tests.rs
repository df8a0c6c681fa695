use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::*;

mod backlog;
mod crashes;
#[cfg(loom)]
mod models;
mod spooled;
mod windows;

fn limits() -> Limits {
    Limits {
        buffer: Size { lines: 25_000, bytes: 64 << 20 },
        batch: Size { lines: 10_000, bytes: 4 << 20 },
        trigger_size: 5_000,
        submission_interval: Duration::from_secs(60),
        sample_probability: 1.0,
        overflow: Overflow::Newest,
        spool_bytes: 1 << 30,
        block_timeout: Duration::from_secs(5),
    }
}

fn buffer(limits: Limits) -> Buffer {
    Buffer::new(limits, Intake::Open, None, Clock::simulated())
}

fn add(buffer: &Buffer, database: &str, line: &str) {
    let write = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    };
    add_with(buffer, database, Precision::Nanoseconds, line.len() + 1, write);
}

fn add_with(
    buffer: &Buffer,
    database: &str,
    precision: Precision,
    len: usize,
    write: impl Fn(&mut Vec<u8>),
) {
    let database = database.as_bytes();
    buffer.push(Entry { database, precision, len, write }, EntryFlags::default());
}

fn add_numbers(buffer: &Buffer, database: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        add(buffer, database, &format!("m n={number}i"));
    }
}

/// All that is due, by database, as a server would see it.
fn take_all(buffer: &Buffer) -> Vec<Batch> {
    buffer.close_due();
    std::iter::from_fn(|| buffer.take(usize::MAX, |_| true)).collect()
}

fn lines(batches: &[Batch]) -> Vec<String> {
    let lines = batches.iter().flat_map(Batch::iter_lines);
    lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

fn deliver(buffer: &Buffer, batches: Vec<Batch>) {
    for batch in batches {
        let delivered = batch.lines();
        buffer.settle(batch, Outcome { delivered, rejected: 0 });
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("m n={number}i")).collect()
}

#[test]
fn nothing_is_due_before_the_trigger_size_or_the_interval() {
    let clock = Clock::simulated();
    let buffer = Buffer::new(limits(), Intake::Open, None, clock.clone());
    clock.advance_to(Duration::from_secs(100));
    add_numbers(&buffer, "db", 0..4_999);
    assert!(take_all(&buffer).is_empty());
    assert_eq!(buffer.due_at(), Some(Duration::from_secs(160)));
    clock.advance_to(Duration::from_secs(159));
    assert!(take_all(&buffer).is_empty());
    clock.advance_to(Duration::from_secs(160));
    let batches = take_all(&buffer);
    assert_eq!(lines(&batches), numbers(0..4_999));
    assert_eq!(buffer.due_at(), None);
    deliver(&buffer, batches);
    assert_eq!(buffer.stats().delivered, 4_999);
}

#[test]
fn everything_is_due_at_exactly_the_trigger_size() {
    for trigger_size in [1, 2, 3, 7, 8, 9, 100, 1_000] {
        let buffer = buffer(Limits { trigger_size, ..limits() });
        add_numbers(&buffer, "a", 0..trigger_size - 1);
        assert!(take_all(&buffer).is_empty(), "{trigger_size}");
        add(&buffer, "b", "last");
        let batches = take_all(&buffer);
        assert_eq!(lines(&batches).len(), trigger_size);
    }
}

#[test]
fn batches_stay_within_the_limits() {
    let batch = Size { lines: 300, bytes: 3_000 };
    let buffer = buffer(Limits { batch, ..limits() });
    add_numbers(&buffer, "db", 0..10_000);
    add(&buffer, "db", &format!("m s=\"{}\"", "x".repeat(100_000)));
    let flush = buffer.begin_flush();
    let batches = take_all(&buffer);
    assert_eq!(lines(&batches)[..10_000], numbers(0..10_000));
    for taken in &batches {
        assert!(batch.covers(taken.size()) || taken.lines() == 1, "{:?}", taken.size());
    }
    deliver(&buffer, batches);
    let report = buffer.end_flush(flush);
    assert_eq!((report.delivered, report.pending), (10_001, 0));
}

#[test]
fn databases_and_precisions_are_not_mixed_in_a_batch() {
    let buffer = buffer(limits());
    for number in 0..100 {
        add(&buffer, &format!("db{}", number % 10), &format!("m n={number}i"));
    }
    let push = |bytes: &mut Vec<u8>| bytes.extend_from_slice(b"m s=1\n");
    add_with(&buffer, "db0", Precision::Seconds, 6, push);
    buffer.begin_flush();
    let mut seen = HashMap::new();
    for batch in take_all(&buffer) {
        let lines = batch.iter_lines().count();
        seen.insert((batch.database().to_owned(), batch.precision().to_string()), lines);
    }
    assert_eq!(seen.len(), 11);
    assert_eq!(seen[&("db0".to_owned(), "s".to_owned())], 1);
    assert!((0..10).all(|n| seen[&(format!("db{n}"), "ns".to_owned())] == 10));
}

#[test]
fn the_limit_of_measurements_is_exact() {
    for most in [1, 2, 9, 255, 256, 257, 1_000, 5_001] {
        let trigger_size = most.min(50);
        let buffer = buffer(Limits {
            buffer: Size { lines: most, bytes: 1 << 30 },
            trigger_size,
            ..limits()
        });
        add_numbers(&buffer, "db", 0..most + 10);
        let stats = buffer.stats();
        assert_eq!((stats.pending, stats.dropped.total()), (most as u64, 10));
        assert_eq!(stats.dropped.count(DropReason::Newest), 10);
        buffer.begin_flush();
        let batches = take_all(&buffer);
        assert_eq!(lines(&batches), numbers(0..most), "the newest are dropped");
        deliver(&buffer, batches);
        add_numbers(&buffer, "db", 0..most + 1);
        assert_eq!(buffer.stats().pending, most as u64);
    }
}

#[test]
fn the_limit_of_bytes_is_exact() {
    let buffer = buffer(Limits { buffer: Size { lines: 1_000_000, bytes: 10_000 }, ..limits() });
    for _ in 0..2_000 {
        add(&buffer, "db", "123456789"); // 10 bytes with its line feed
    }
    let stats = buffer.stats();
    assert_eq!((stats.pending, stats.dropped.count(DropReason::Newest)), (1_000, 1_000));
    add(&buffer, "db", "");
    assert_eq!(buffer.stats().pending, 1_000);
}

#[test]
fn the_limits_hold_when_threads_add_concurrently() {
    let buffer = buffer(limits());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| add_numbers(&buffer, "db", 0..5_000));
        }
    });
    let stats = buffer.stats();
    assert_eq!((stats.added, stats.pending, stats.dropped.total()), (40_000, 25_000, 15_000));
}

#[test]
fn the_oldest_lines_are_dropped_with_overflow_oldest() {
    let buffer = buffer(Limits {
        buffer: Size { lines: 1_000, bytes: 1 << 20 },
        trigger_size: 700,
        overflow: Overflow::Oldest,
        ..limits()
    });
    add_numbers(&buffer, "db", 0..5_000);
    let stats = buffer.stats();
    assert_eq!((stats.pending, stats.dropped.count(DropReason::Oldest)), (1_000, 4_000));
    let flush = buffer.begin_flush();
    let batches = take_all(&buffer);
    assert_eq!(lines(&batches), numbers(4_000..5_000));
    // What is on its way cannot be dropped: then it is the newest after all.
    add(&buffer, "db", "m n=1i");
    assert_eq!(buffer.stats().dropped.count(DropReason::Newest), 1);
    deliver(&buffer, batches);
    assert_eq!(buffer.end_flush(flush).delivered, 1_000);
}

#[test]
fn lines_dropped_as_the_oldest_are_decided_for_a_flush() {
    let buffer = buffer(Limits {
        buffer: Size { lines: 100, bytes: 1 << 20 },
        trigger_size: 100,
        overflow: Overflow::Oldest,
        ..limits()
    });
    add_numbers(&buffer, "db", 0..100);
    let flush = buffer.begin_flush();
    add_numbers(&buffer, "db", 100..200);
    let report = buffer.end_flush(flush);
    assert_eq!((report.dropped, report.pending), (100, 0));
}

#[test]
fn a_waiting_flush_returns_when_the_oldest_are_dropped() {
    let limits = Limits {
        buffer: Size { lines: 100, bytes: 1 << 20 },
        trigger_size: 100,
        overflow: Overflow::Oldest,
        ..limits()
    };
    let buffer = Buffer::new(limits, Intake::Open, None, Clock::monotonic());
    add_numbers(&buffer, "db", 0..100);
    let flush = buffer.begin_flush();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            buffer.await_flush(flush, Duration::from_secs(600));
            buffer.end_flush(flush)
        });
        while !waiting.is_finished() {
            add_numbers(&buffer, "db", 0..100);
        }
        assert_eq!(waiting.join().unwrap().dropped, 100);
    });
}

#[test]
fn a_blocked_add_continues_when_there_is_room_and_ends_at_its_deadline() {
    let most = Size { lines: 10, bytes: 1 << 20 };
    let limits = Limits {
        buffer: most,
        trigger_size: 10,
        overflow: Overflow::Block,
        block_timeout: Duration::from_secs(600),
        ..limits()
    };
    let buffer = Buffer::new(limits.clone(), Intake::Open, None, Clock::monotonic());
    thread::scope(|scope| {
        let adding = scope.spawn(|| add_numbers(&buffer, "db", 0..1_000));
        while !adding.is_finished() {
            let seen = buffer.signals();
            let batches = take_all(&buffer);
            if batches.is_empty() {
                buffer.wait(seen, Some(Duration::from_secs(600)));
            }
            assert!(buffer.stats().pending <= 10);
            deliver(&buffer, batches);
            if buffer.stats().added == 1_000 {
                break;
            }
        }
    });
    assert_eq!(buffer.stats().dropped.total(), 0);

    buffer.set_limits(Limits { block_timeout: Duration::from_millis(1), ..limits }, Intake::Open);
    add_numbers(&buffer, "db", 0..20);
    let stats = buffer.stats();
    assert!(stats.dropped.count(DropReason::BlockTimeout) >= 10);
    assert!(stats.is_balanced());
}

#[test]
fn sampling_decides_by_batch_and_is_counted() {
    let never = buffer(Limits { sample_probability: 0.0, ..limits() });
    add_numbers(&never, "db", 0..12_345);
    let flush = never.begin_flush();
    assert!(take_all(&never).is_empty());
    let report = never.end_flush(flush);
    assert!(report.is_complete());
    assert_eq!(never.stats().sampled_out, 12_345);

    let batch = Size { lines: 10, bytes: 1 << 20 };
    let half = buffer(Limits { sample_probability: 0.5, batch, trigger_size: 10, ..limits() });
    for round in 0..1_000 {
        add_numbers(&half, "db", round * 10..(round + 1) * 10);
        let batches = take_all(&half);
        assert!(batches.iter().all(|batch| batch.lines() == 10));
        deliver(&half, batches);
    }
    let stats = half.stats();
    assert_eq!(stats.delivered + stats.sampled_out, 10_000);
    // Six standard deviations of a thousand tosses of a coin.
    assert!((4_000..6_000).contains(&stats.delivered), "{stats:?}");
}

#[test]
fn sampled_out_batches_make_room() {
    let limits = Limits {
        buffer: Size { lines: 10, bytes: 1 << 20 },
        trigger_size: 10,
        sample_probability: 0.0,
        ..limits()
    };
    let never = buffer(limits.clone());
    add_numbers(&never, "db", 0..15);
    assert!(take_all(&never).is_empty());
    add_numbers(&never, "db", 0..1);
    let stats = never.stats();
    assert_eq!((stats.sampled_out, stats.pending, stats.dropped.total()), (10, 1, 5));

    let block_timeout = Duration::from_secs(600);
    let limits = Limits { overflow: Overflow::Block, block_timeout, ..limits };
    let blocking = Buffer::new(limits, Intake::Open, None, Clock::monotonic());
    thread::scope(|scope| {
        scope.spawn(|| add_numbers(&blocking, "db", 0..100));
        while blocking.stats().added < 100 {
            let seen = blocking.signals();
            blocking.close_due();
            if blocking.stats().added < 100 {
                blocking.wait(seen, Some(Duration::from_secs(600)));
            }
        }
    });
    assert_eq!(blocking.stats().dropped.total(), 0);
}

#[test]
fn a_flush_reports_only_what_was_added_before_it() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..10);
    let first = buffer.begin_flush();
    add_numbers(&buffer, "db", 10..15);
    let second = buffer.begin_flush();
    add_numbers(&buffer, "db", 15..16);
    let mut batches = take_all(&buffer);
    assert_eq!(batches.len(), 2);
    let (later, mut earlier) = (batches.pop().unwrap(), batches.pop().unwrap());
    let (bad, good) = earlier.partition(|line| line == b"m n=3i");
    buffer.settle(bad, Outcome { delivered: 0, rejected: 1 });
    earlier = good;
    buffer.settle(later, Outcome { delivered: 5, rejected: 0 });
    let report = buffer.end_flush(first);
    assert_eq!((report.delivered, report.rejected, report.pending), (0, 1, 9));
    buffer.settle(earlier, Outcome { delivered: 9, rejected: 0 });
    let report = buffer.end_flush(second);
    assert_eq!((report.delivered, report.rejected, report.pending), (14, 1, 0));
    assert_eq!(buffer.stats().pending, 1);
}

#[test]
fn a_closed_buffer_accepts_nothing_and_keeps_pending_lines() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..10);
    buffer.begin_shutdown();
    add_numbers(&buffer, "db", 0..5);
    let stats = buffer.stats();
    assert_eq!((stats.pending, stats.dropped.count(DropReason::Closed)), (10, 5));
    buffer.set_limits(limits(), Intake::Open);
    add_numbers(&buffer, "db", 0..1);
    assert_eq!(buffer.stats().dropped.count(DropReason::Closed), 6, "closed for good");
    assert_eq!(take_all(&buffer).len(), 1);
}

#[test]
fn adds_after_shutdown_are_counted_as_closed_when_the_buffer_is_full() {
    let buffer = buffer(Limits { buffer: Size { lines: 1, ..limits().buffer }, ..limits() });
    add_numbers(&buffer, "db", 0..3);
    buffer.begin_shutdown();
    add_numbers(&buffer, "db", 0..4);
    let dropped = buffer.stats().dropped;
    assert_eq!((dropped.count(DropReason::Newest), dropped.count(DropReason::Closed)), (2, 4));
}

#[test]
fn single_lines_during_an_outage_are_merged_into_full_batches() {
    let buffer = buffer(Limits { trigger_size: 1, ..limits() });
    for number in 0..20_000 {
        add(&buffer, "db", &format!("m n={number}i"));
        buffer.close_due();
    }
    let batches = take_all(&buffer);
    assert_eq!(batches.len(), 2);
    assert_eq!(lines(&batches), numbers(0..20_000));
}

#[test]
fn smaller_limits_apply_to_waiting_batches() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..4_000);
    let batch = Size { lines: 100, bytes: 1 << 20 };
    buffer.set_limits(Limits { batch, ..limits() }, Intake::Open);
    buffer.begin_flush();
    let batches = take_all(&buffer);
    assert!(batches.iter().all(|batch| batch.lines() <= 100));
    assert_eq!(lines(&batches), numbers(0..4_000));
}

#[test]
fn new_limits_submit_only_what_they_make_due() {
    let changes = [
        (Limits { submission_interval: Duration::from_secs(3_600), ..limits() }, 0),
        (Limits { batch: Size { lines: 10, bytes: 1 << 20 }, ..limits() }, 0),
        (Limits { buffer: Size { lines: 50, bytes: 1 << 20 }, ..limits() }, 0),
        (Limits { trigger_size: 101, ..limits() }, 0),
        (Limits { trigger_size: 100, ..limits() }, 100),
        (Limits { submission_interval: Duration::ZERO, ..limits() }, 100),
    ];
    for (change, due) in changes {
        let buffer = buffer(limits());
        add_numbers(&buffer, "db", 0..100);
        let seen = buffer.signals();
        buffer.set_limits(change.clone(), Intake::Open);
        assert_ne!(buffer.signals(), seen, "a sender is to look at when it is due");
        assert_eq!(lines(&take_all(&buffer)), numbers(0..due), "{change:?}");
        assert_eq!(buffer.stats().pending, 100);
    }
}

#[test]
fn counters_balance_while_threads_add_and_senders_settle() {
    let buffer = Arc::new(buffer(Limits {
        buffer: Size { lines: 500, bytes: 8_000 },
        batch: Size { lines: 64, bytes: 1_000 },
        trigger_size: 50,
        overflow: Overflow::Oldest,
        sample_probability: 0.9,
        ..limits()
    }));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let adding: Vec<_> =
            (0..4).map(|_| scope.spawn(|| add_numbers(&buffer, "db", 0..20_000))).collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    buffer.close_due();
                    let Some(batch) = buffer.take(500, |_| true) else { continue };
                    let (head, tail) = batch.split();
                    let rejected = head.lines();
                    buffer.settle(head, Outcome { delivered: 0, rejected });
                    if let Some(tail) = tail {
                        let end = if tail.lines() > 5 { QueueEnd::Front } else { QueueEnd::Back };
                        buffer.put_back(tail, end);
                    }
                }
            });
        }
        while adding.iter().any(|thread| !thread.is_finished()) {
            let stats = buffer.stats();
            assert!(stats.is_balanced(), "{stats:?}");
            assert!(stats.pending <= 500, "{stats:?}");
        }
        over.store(true, Ordering::Relaxed);
    });
    let stats = buffer.stats();
    assert_eq!(stats.added, 80_000);
    assert!(stats.is_balanced(), "{stats:?}");
}
