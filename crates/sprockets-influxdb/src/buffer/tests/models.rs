//! Loom models of the buffer: every interleaving of its threads up to a number of preemptions
//! (`make models`). No wait ends by its timeout, so a lost signal is a deadlock, which fails.

use std::ops::Range;

use loom::thread::{self, JoinHandle};

use super::*;

/// Runs a model in all interleavings with at most this number of preemptions.
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// A buffer for this number of lines, with a trigger size of two.
fn shared(lines: usize, overflow: Overflow) -> Arc<Buffer> {
    with_trigger(2, lines, overflow)
}

fn with_trigger(trigger_size: usize, lines: usize, overflow: Overflow) -> Arc<Buffer> {
    let bound = Size { lines, ..limits().buffer };
    Arc::new(buffer(Limits { buffer: bound, trigger_size, overflow, ..limits() }))
}

fn add_on_thread(buffer: &Arc<Buffer>, numbers: Range<usize>) -> JoinHandle<()> {
    let buffer = buffer.clone();
    thread::spawn(move || add_numbers(&buffer, "db", numbers))
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// The counters now. Asserts that they balance, and that the bound holds.
fn look(buffer: &Buffer, bound: usize) -> Stats {
    let stats = buffer.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    assert!(stats.pending <= bound as u64, "{stats:?}");
    stats
}

/// Delivers as a sender thread does, until `is_over` of the lines delivered so far. Returns them.
fn send(buffer: &Buffer, is_over: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let seen = buffer.signals();
        let batches = take_all(buffer);
        sent.extend(lines(&batches));
        deliver(buffer, batches);
        if is_over(&sent) {
            return sent;
        }
        buffer.wait(seen, None);
    }
}

/// A thread that sends until it is stopped.
struct Sender {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Sender {
    /// Stops it. Returns what it sent.
    fn end(self, buffer: &Buffer) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        buffer.wake();
        self.thread.join().unwrap()
    }
}

fn send_on_thread(buffer: &Arc<Buffer>) -> Sender {
    let is_over = Arc::new(AtomicBool::new(false));
    let (buffer, over) = (buffer.clone(), is_over.clone());
    let thread = thread::spawn(move || send(&buffer, |_| over.load(Ordering::Relaxed)));
    Sender { is_over, thread }
}

/// Adds a line. Returns whether a sender has to look.
fn dropped(buffer: &Buffer, number: usize) -> bool {
    let write = |bytes: &mut Vec<u8>| bytes.push(number as u8);
    let (database, precision) = (&b"db"[..], Precision::Nanoseconds);
    let line = Entry { database, precision, len: 1, write };
    buffer.push(line, EntryFlags::default(), None).needs_sender()
}

/// Delivers the rest, when no thread adds any more.
fn send_rest(buffer: &Buffer, sent: &mut Vec<String>) -> Stats {
    buffer.begin_flush(Duration::MAX);
    let rest = take_all(buffer);
    sent.extend(lines(&rest));
    deliver(buffer, rest);
    let stats = look(buffer, 0);
    assert_eq!(stats.delivered, sent.len() as u64, "{sent:?}");
    sent.sort_unstable();
    assert!(sent.windows(2).all(|two| two[0] != two[1]), "taken twice: {sent:?}");
    stats
}

fn counters_balance(overflow: Overflow) {
    check(2, move || {
        // Far from the trigger size, a shard is granted more than it needs.
        let buffer = with_trigger(100, 2, overflow);
        let adders = [0..2, 2..4].map(|numbers| add_on_thread(&buffer, numbers));
        let sender = {
            let buffer = buffer.clone();
            thread::spawn(move || {
                let batches = take_all(&buffer);
                let sent = lines(&batches);
                deliver(&buffer, batches);
                sent
            })
        };
        look(&buffer, 2);
        look(&buffer, 2);
        join(adders);
        look(&buffer, 2);
        let mut sent = sender.join().unwrap();
        let stats = send_rest(&buffer, &mut sent);
        assert_eq!(stats.added, 4);
    });
}

#[test]
fn counters_balance_and_the_bound_holds_at_every_moment() {
    counters_balance(Overflow::Newest);
}

#[test]
fn counters_balance_when_the_oldest_are_dropped() {
    counters_balance(Overflow::Oldest);
}

#[test]
fn records_are_counted_like_lines_at_every_moment() {
    check(2, || {
        let buffer = with_trigger(100, 3, Overflow::Newest);
        let adders = [0..2, 2..4].map(|numbers| {
            let buffer = buffer.clone();
            thread::spawn(move || {
                let head = super::records::head("db");
                for number in numbers {
                    super::records::add_record(&buffer, &head, number);
                }
            })
        });
        let batches = take_all(&buffer);
        let mut sent = lines(&batches);
        deliver(&buffer, batches);
        look(&buffer, 3);
        join(adders);
        look(&buffer, 3);
        let stats = send_rest(&buffer, &mut sent);
        assert_eq!(stats.added, 4);
    });
}

#[test]
fn the_add_that_reaches_the_trigger_wakes_the_sender() {
    check(3, || {
        let buffer = shared(10, Overflow::Newest);
        let adders = [0..1, 1..2].map(|numbers| add_on_thread(&buffer, numbers));
        let mut sent = send(&buffer, |sent| sent.len() == 2);
        join(adders);
        send_rest(&buffer, &mut sent);
    });
}

#[test]
fn a_flush_waits_for_everything_added_before_it_and_no_longer() {
    check(3, || {
        let buffer = shared(10, Overflow::Newest);
        add_numbers(&buffer, "db", 0..1);
        let adder = add_on_thread(&buffer, 1..2);
        let sender = send_on_thread(&buffer);
        let flush = buffer.begin_flush(Duration::MAX);
        assert!(buffer.await_flush(flush, Duration::MAX));
        let delivered = look(&buffer, 2).delivered;
        let report = buffer.end_flush(flush);
        assert!(delivered >= 1);
        assert!(report.is_complete() && report.delivered <= delivered, "{report:?}");
        let mut sent = sender.end(&buffer);
        // What was added after the flush may wait until it is due.
        join([adder]);
        assert_eq!(send_rest(&buffer, &mut sent).delivered, 2);
    });
}

#[test]
fn adders_see_room_that_was_made() {
    check(3, || {
        let buffer = shared(1, Overflow::Newest);
        let adders = [0..2, 2..4].map(|numbers| add_on_thread(&buffer, numbers));
        let mut sent = send(&buffer, |sent| !sent.is_empty());
        join(adders);
        let before = look(&buffer, 1);
        add_numbers(&buffer, "db", 4..5);
        let after = look(&buffer, 1);
        assert_eq!(after.pending, 1, "{before:?}");
        send_rest(&buffer, &mut sent);
    });
}

#[test]
fn a_blocked_add_gets_room() {
    check(3, || {
        let buffer = shared(1, Overflow::Block);
        let adders = [0..1, 1..3].map(|numbers| add_on_thread(&buffer, numbers));
        let mut sent = send(&buffer, |sent| sent.len() >= 2);
        join(adders);
        send_rest(&buffer, &mut sent);
    });
}

#[test]
fn the_first_drop_since_a_sender_looked_is_announced() {
    check(3, || {
        // Without room every add is dropped, and after the first one without a lock of the queue.
        let buffer = shared(0, Overflow::Newest);
        let droppers = [0..2, 2..3].map(|numbers| {
            let buffer = buffer.clone();
            thread::spawn(move || numbers.filter(|number| dropped(&buffer, *number)).count())
        });
        let (mut counted, mut looks) = (0, 0);
        while counted < 3 {
            let seen = buffer.signals();
            if buffer.has_drops() {
                // `see_drops` stores. For loom this is a swap: it would let a store come between
                // the read and the write of another swap.
                buffer.has_drops.swap(false, Ordering::Relaxed);
                counted = look(&buffer, 0).dropped.count(DropReason::Newest);
                looks += 1;
            } else {
                buffer.wait(seen, None);
            }
        }
        let announced: usize = join(droppers).into_iter().sum();
        assert_eq!(announced, looks + usize::from(buffer.has_drops()));
    });
}

fn shut_down(lines: usize, overflow: Overflow) {
    check(2, move || {
        let buffer = shared(lines, overflow);
        let adders = [0..1, 1..2].map(|numbers| add_on_thread(&buffer, numbers));
        let sender = send_on_thread(&buffer);
        let shutdown = buffer.begin_shutdown(Duration::MAX);
        add_numbers(&buffer, "db", 2..3);
        let closed = look(&buffer, lines).dropped.count(DropReason::Closed);
        assert!(closed >= 1, "{closed}");
        assert!(buffer.await_flush(shutdown, Duration::MAX));
        look(&buffer, 0);
        join(adders);
        let mut sent = sender.end(&buffer);
        let stats = send_rest(&buffer, &mut sent);
        assert_eq!(stats.added, 3);
    });
}

#[test]
fn adds_after_shutdown_are_counted_and_nothing_else_is_left() {
    shut_down(10, Overflow::Newest);
}

#[test]
fn shutdown_of_a_full_buffer_leaves_nothing() {
    shut_down(1, Overflow::Newest);
}

#[test]
fn a_blocked_add_returns_at_shutdown() {
    shut_down(1, Overflow::Block);
}
