//! The bounds, and what happens to a line that does not fit.

use super::*;

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
        buffer.begin_flush(Duration::MAX);
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
fn nothing_is_dropped_below_the_limit_when_threads_reach_the_trigger() {
    let most = Size { lines: 1 << 20, bytes: 1 << 30 };
    let buffer = buffer(Limits { buffer: most, trigger_size: 7, ..limits() });
    thread::scope(|scope| {
        let adding: Vec<_> =
            (0..8).map(|_| scope.spawn(|| add_numbers(&buffer, "db", 0..20_000))).collect();
        while !adding.iter().all(thread::ScopedJoinHandle::is_finished) {
            buffer.close_due();
            deliver(&buffer, take_all(&buffer));
        }
    });
    assert_eq!(buffer.stats().dropped.total(), 0);
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
    let flush = buffer.begin_flush(Duration::MAX);
    let batches = take_all(&buffer);
    assert_eq!(lines(&batches), numbers(4_000..5_000));
    // Lines that are being sent cannot be dropped. The newest line is dropped instead.
    add(&buffer, "db", "m n=1i");
    assert_eq!(buffer.stats().dropped.count(DropReason::Newest), 1);
    deliver(&buffer, batches);
    assert_eq!(buffer.end_flush(flush).delivered, 1_000);
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
