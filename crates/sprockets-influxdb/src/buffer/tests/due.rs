//! When lines are due.

use super::*;

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
        assert_ne!(buffer.signals(), seen, "a sender has to look when the lines are due");
        assert_eq!(lines(&take_all(&buffer)), numbers(0..due), "{change:?}");
        assert_eq!(buffer.stats().pending, 100);
    }
}

/// Limits with which the first lines are due after a second.
fn early() -> Limits {
    Limits { first_interval: Duration::from_secs(1), ..limits() }
}

#[test]
fn the_first_lines_are_due_after_a_second_and_later_ones_after_the_interval() {
    let clock = Clock::simulated();
    let buffer = Buffer::new(early(), Intake::Open, None, clock.clone());
    let seconds = Duration::from_secs;
    clock.advance_to(seconds(100));
    assert_eq!(buffer.due_at(), None);
    add_numbers(&buffer, "db", 0..1);
    assert_eq!(buffer.due_at(), Some(seconds(101)));
    clock.advance_to(seconds(101));
    assert_eq!(take_all(&buffer).len(), 1);
    add_numbers(&buffer, "db", 1..2);
    assert_eq!(buffer.due_at(), Some(seconds(161)));
    buffer.restart();
    assert_eq!(buffer.due_at(), Some(seconds(102)), "for a new server");
    clock.advance_to(seconds(102));
    assert_eq!(take_all(&buffer).len(), 1);
    buffer.restart();
    add_numbers(&buffer, "db", 2..3);
    assert_eq!(buffer.due_at(), Some(seconds(103)));
}

#[test]
fn a_shorter_interval_holds_for_the_first_lines_too() {
    let interval = Duration::from_millis(50);
    let buffer = buffer(Limits { submission_interval: interval, ..early() });
    add(&buffer, "db", "m n=1i");
    assert_eq!(buffer.due_at(), Some(interval));
}

#[test]
fn a_flush_sends_the_first_batch() {
    let buffer = buffer(early());
    add(&buffer, "db", "m n=1i");
    buffer.begin_flush(Duration::MAX);
    add(&buffer, "db", "m n=2i");
    assert_eq!(buffer.due_at(), Some(Duration::from_secs(60)));
}

#[test]
fn while_batches_are_sampled_out_the_next_is_a_first_one_for_an_interval() {
    let clock = Clock::simulated();
    let limits = Limits { sample_probability: 0.0, ..early() };
    let buffer = Buffer::new(limits, Intake::Open, None, clock.clone());
    for second in 0..60 {
        add(&buffer, "db", "m n=1i");
        assert_eq!(buffer.due_at(), Some(Duration::from_secs(second + 1)));
        clock.advance_to(Duration::from_secs(second + 1));
        assert!(take_all(&buffer).is_empty());
    }
    add(&buffer, "db", "m n=1i");
    assert_eq!(buffer.due_at(), Some(Duration::from_secs(120)));
    assert_eq!(buffer.stats().sampled_out, 60);
}
