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
