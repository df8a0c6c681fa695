//! Flush and shutdown.

use super::*;

#[test]
fn a_flush_reports_only_what_was_added_before_it() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..10);
    let first = buffer.begin_flush(Duration::MAX);
    add_numbers(&buffer, "db", 10..15);
    let second = buffer.begin_flush(Duration::MAX);
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
fn lines_dropped_as_the_oldest_are_decided_for_a_flush() {
    let buffer = buffer(Limits {
        buffer: Size { lines: 100, bytes: 1 << 20 },
        trigger_size: 100,
        overflow: Overflow::Oldest,
        ..limits()
    });
    add_numbers(&buffer, "db", 0..100);
    let flush = buffer.begin_flush(Duration::MAX);
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
    let flush = buffer.begin_flush(Duration::MAX);
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
fn a_flush_of_many_databases_closes_only_what_it_can_in_time() {
    let databases = 25_000;
    let most = Size { lines: usize::MAX, bytes: usize::MAX };
    let buffer = buffer(Limits { buffer: most, trigger_size: usize::MAX, ..limits() });
    for database in 0..databases {
        add(&buffer, &format!("db{database}"), "m n=1i");
    }
    let flush = buffer.begin_flush(Duration::ZERO);
    let closed = std::iter::from_fn(|| buffer.take(|_| usize::MAX, |_| true)).collect::<Vec<_>>();
    assert!((1..databases).contains(&closed.len()), "{}", closed.len());
    let (expected, delivered) = (databases as u64, closed.len() as u64);
    deliver(&buffer, closed);
    let report = buffer.end_flush(flush);
    assert_eq!((report.delivered, report.pending), (delivered, expected - delivered));
    // The others are due.
    let mut left = 0;
    while buffer.due_at() == Some(Duration::ZERO) {
        let batches = take_all(&buffer);
        left += batches.len() as u64;
        deliver(&buffer, batches);
    }
    let stats = buffer.stats();
    assert_eq!((left, stats.delivered, stats.pending), (expected - delivered, expected, 0));
}

#[test]
fn a_closed_buffer_accepts_nothing_and_keeps_pending_lines() {
    let buffer = buffer(limits());
    add_numbers(&buffer, "db", 0..10);
    buffer.begin_shutdown(Duration::MAX);
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
    buffer.begin_shutdown(Duration::MAX);
    add_numbers(&buffer, "db", 0..4);
    let dropped = buffer.stats().dropped;
    assert_eq!((dropped.count(DropReason::Newest), dropped.count(DropReason::Closed)), (2, 4));
}

#[test]
fn only_a_request_sent_since_a_tracked_flush_began_can_refuse_it() {
    let clock = Clock::simulated();
    let buffer = Buffer::new(limits(), Intake::Open, None, clock.clone());
    let begun = Duration::from_secs(10);
    clock.advance_to(begun);
    let flush = buffer.begin_tracked_flush("db", begun);
    add(&buffer, "db", "m n=1i");
    buffer.end_additions(flush, begun, Duration::MAX);
    let refuse = |database, sent| {
        let (reason, refused_request_sent_at) = ("database not found".to_owned(), Some(sent));
        buffer.note_failure(FailureNote {
            reason,
            database: Some(database),
            refused_request_sent_at,
        });
        buffer.await_flush(flush, Duration::ZERO)
    };
    assert!(!refuse("db", begun - Duration::from_nanos(1)));
    assert!(!refuse("other", begun));
    assert!(refuse("db", begun));
    assert!(refuse("db", begun - Duration::from_nanos(1)));
    assert_eq!(buffer.end_flush(flush).pending, 1);
}
