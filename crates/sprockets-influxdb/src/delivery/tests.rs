//! The sender in simulated time, against a server that is a closure: hours pass in milliseconds, and nothing depends on
//! the machine's speed.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::buffer::{Entry, EntryFlags, Intake, Limits, Size};
use crate::config::{Overflow, Precision};
use crate::stats::Stats;

type Answer = dyn Fn(&Batch, Duration) -> Verdict + Send + Sync;

/// A server, what it stored, and when it was asked for what.
struct Server {
    clock: Clock,
    answer: Mutex<Box<Answer>>,
    stored: Mutex<BTreeMap<String, usize>>,
    requests: Mutex<Vec<(Duration, usize)>>,
}

impl Transport for Server {
    fn send(&self, batch: &Batch) -> Attempt {
        let now = self.clock.now();
        self.requests.lock().unwrap().push((now, batch.lines()));
        let verdict = self.answer.lock().unwrap()(batch, now);
        let refused: HashSet<usize> = match &verdict {
            Verdict::Delivered => HashSet::new(),
            Verdict::Rejected { which: Which::Lines(lines), rest_stored: true, .. } => {
                lines.iter().map(|(index, _)| *index).collect()
            }
            Verdict::Rejected { which: Which::Unknown { .. }, rest_stored: true, .. } => batch
                .iter_lines()
                .enumerate()
                .filter(|(_, line)| line.starts_with(b"bad"))
                .map(|(index, _)| index)
                .collect(),
            _ => (0..batch.lines()).collect(),
        };
        for (index, line) in batch.iter_lines().enumerate() {
            if !refused.contains(&index) {
                let line = String::from_utf8(line.to_vec()).unwrap();
                *self.stored.lock().unwrap().entry(line).or_default() += 1;
            }
        }
        Attempt { verdict, bytes_sent: batch.len() as u64 }
    }

    fn afresh(&self) -> Arc<dyn Transport> {
        unreachable!("nothing forks here")
    }
}

/// A sender in simulated time, with all that it needs.
struct World {
    clock: Clock,
    buffer: Arc<Buffer>,
    sender: Sender,
    server: Arc<Server>,
    rejected: Arc<Mutex<Vec<(String, String)>>>,
}

impl World {
    fn new(answer: impl Fn(&Batch, Duration) -> Verdict + Send + Sync + 'static) -> Self {
        let clock = Clock::simulated();
        let limits = Limits {
            buffer: Size { lines: 1_000_000, bytes: 1 << 30 },
            batch: Size { lines: 10_000, bytes: 4 << 20 },
            trigger_size: 5_000,
            submission_interval: Duration::from_secs(60),
            sample_probability: 1.0,
            overflow: Overflow::Newest,
            spool_bytes: 1 << 30,
            block_timeout: Duration::ZERO,
        };
        let buffer = Arc::new(Buffer::new(limits, Intake::Open, None, clock.clone()));
        let server = Arc::new(Server {
            clock: clock.clone(),
            answer: Mutex::new(Box::new(answer)),
            stored: Mutex::default(),
            requests: Mutex::default(),
        });
        let rejected = Arc::new(Mutex::new(Vec::new()));
        let log = rejected.clone();
        let hook: RejectedHook = Arc::new(move |rejected: &Rejected<'_>| {
            let entry = (rejected.line().to_owned(), rejected.reason().to_owned());
            log.lock().unwrap().push(entry);
        });
        let route = Route {
            transport: server.clone(),
            address: "http://simulated".to_owned(),
            on_rejected: Some(hook),
        };
        let sender = Sender::new(buffer.clone(), route, clock.clone());
        Self { clock, buffer, sender, server, rejected }
    }

    fn add(&self, database: &str, line: &str) {
        let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(format!("{line}\n").as_bytes());
        let (database, precision) = (database.as_bytes(), Precision::Nanoseconds);
        let line = Entry { database, precision, len: line.len() + 1, write };
        self.buffer.push(line, EntryFlags::default());
    }

    /// Makes all that was added due.
    fn submit(&self) {
        let flush = self.buffer.begin_flush();
        self.buffer.end_flush(flush);
    }

    /// Lets the sender work until there is nothing to do before that time.
    fn run_until(&self, seconds: u64) {
        let end = Duration::from_secs(seconds);
        loop {
            assert!(self.buffer.stats().is_balanced());
            match self.sender.step(|| {}) {
                Step::Worked => {}
                Step::Idle { until: Some(until) } if until <= end => self.clock.advance_to(until),
                Step::Idle { .. } => break,
            }
        }
        self.clock.advance_to(end);
    }

    fn requests(&self) -> usize {
        self.server.requests.lock().unwrap().len()
    }

    fn stats(&self) -> Stats {
        let stats = self.buffer.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        stats
    }

    fn rejected(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.rejected.lock().unwrap().iter().map(|(line, _)| line.clone()).collect();
        lines.sort();
        lines
    }

    fn stored(&self) -> Vec<String> {
        self.server.stored.lock().unwrap().keys().cloned().collect()
    }
}

fn retry(cause: Cause, scope: Scope, after: Option<u64>) -> Verdict {
    let after = after.map(Duration::from_secs);
    Verdict::Retry { cause, scope, after, reason: "not now".to_owned() }
}

fn refuse(which: Which, rest_stored: bool) -> Verdict {
    Verdict::Rejected { which, rest_stored, reason: "bad line".to_owned() }
}

fn has_bad(batch: &Batch) -> bool {
    batch.iter_lines().any(|line| line.starts_with(b"bad"))
}

fn bad_indices(batch: &Batch) -> Vec<(usize, String)> {
    let lines = batch.iter_lines().enumerate();
    lines
        .filter(|(_, line)| line.starts_with(b"bad"))
        .map(|(index, _)| (index, format!("line {index} is bad")))
        .collect()
}

/// Adds so many lines, of which those at `bad` are bad, and delivers them.
fn deliver_with_bad_lines(world: &World, lines: usize, bad: &[usize]) {
    for number in 0..lines {
        let kind = if bad.contains(&number) { "bad" } else { "good" };
        world.add("db", &format!("{kind} n={number}i"));
    }
    world.submit();
    world.run_until(3_600);
    let stats = world.stats();
    assert_eq!(stats.pending, 0);
    assert_eq!(stats.rejected, bad.len() as u64, "{stats:?}");
    assert_eq!(stats.delivered, (lines - bad.len()) as u64);
    assert_eq!(world.stored().len(), lines - bad.len());
    let expected: HashSet<_> = bad.iter().map(|number| format!("bad n={number}i")).collect();
    assert_eq!(world.rejected().into_iter().collect::<HashSet<_>>(), expected);
}

#[test]
fn an_hour_of_outage_loses_nothing_and_costs_few_probes() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(3_600) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Verdict::Delivered
        }
    });
    for minute in 0..60 {
        for n in 0..6_000 {
            world.add("db", &format!("m n={n}i,minute={minute}i"));
        }
        world.run_until(minute * 60 + 59);
        assert_eq!(world.stats().pending, (minute + 1) * 6_000);
    }
    // Drawn evenly from windows of up to 30 s, probes come every 15 s: 240, give or take nine standard deviations.
    let probes = world.requests();
    assert!((150..400).contains(&probes), "{probes} probes");
    world.run_until(3_700);
    let stats = world.stats();
    assert_eq!((stats.delivered, stats.pending), (360_000, 0));
    assert_eq!(world.stored().len(), 360_000);
    assert!(world.server.stored.lock().unwrap().values().all(|count| *count == 1));
    assert!(world.requests() < probes + 360_000 / 5_000);
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(120) {
            retry(Cause::Busy, Scope::Server, Some(120))
        } else {
            Verdict::Delivered
        }
    });
    world.add("a", "m n=1i");
    world.add("b", "m n=1i");
    world.submit();
    world.run_until(119);
    assert_eq!(world.requests(), 1, "the other database waits as well");
    world.sender.hurry();
    world.run_until(119);
    assert_eq!(world.requests(), 1, "no flush shortens it");
    world.run_until(200);
    assert_eq!((world.requests(), world.stats().delivered), (3, 2));
}

#[test]
fn a_missing_database_keeps_its_data_and_stops_no_other() {
    let world = World::new(|batch, now| {
        if batch.database() == "missing" && now < Duration::from_secs(600) {
            retry(Cause::Configuration, Scope::Database, None)
        } else {
            Verdict::Delivered
        }
    });
    for second in 0..10 {
        world.add("missing", &format!("m n={second}i"));
        world.add("db", &format!("m n={second}i"));
        world.submit();
        world.run_until(second);
        assert_eq!(world.stats().delivered, second + 1);
    }
    world.run_until(599);
    let requests = world.requests() - 10;
    assert!((10..=20).contains(&requests), "retried every 30 to 60 s: {requests}");
    assert_eq!(world.stats().pending, 10);
    world.run_until(700);
    assert_eq!(world.stats().delivered, 20);
}

#[test]
fn a_flush_cuts_a_wait_short() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(100) {
            retry(Cause::Configuration, Scope::Server, None)
        } else {
            Verdict::Delivered
        }
    });
    world.add("db", "m n=1i");
    world.submit();
    world.run_until(99);
    let requests = world.requests();
    world.clock.advance_to(Duration::from_secs(100));
    world.sender.hurry();
    world.run_until(100);
    assert_eq!((world.requests(), world.stats().delivered), (requests + 1, 1));
}

#[test]
fn bad_lines_that_the_server_names_are_rejected_and_no_others() {
    for rest_stored in [true, false] {
        let world = World::new(move |batch, _| match bad_indices(batch) {
            bad if bad.is_empty() => Verdict::Delivered,
            bad => refuse(Which::Lines(bad), rest_stored),
        });
        deliver_with_bad_lines(&world, 5_000, &[0, 1, 17, 2_500, 4_999]);
        assert_eq!(world.requests(), if rest_stored { 1 } else { 2 });
        let reasons = world.rejected.lock().unwrap();
        assert_eq!(reasons[2], ("bad n=17i".to_owned(), "line 17 is bad".to_owned()));
    }
}

#[test]
fn a_bad_line_that_nobody_names_is_found_in_a_logarithmic_number_of_requests() {
    for rest_stored in [true, false] {
        for bad in [0, 1, 2_047, 2_048, 5_000, 9_999] {
            let world = World::new(move |batch, _| {
                if has_bad(batch) {
                    refuse(Which::Unknown { count: None }, rest_stored)
                } else {
                    Verdict::Delivered
                }
            });
            deliver_with_bad_lines(&world, 10_000, &[bad]);
            assert!(world.requests() <= 1 + 2 * 14, "{} requests", world.requests());
        }
    }
}

#[test]
fn many_bad_lines_that_stand_together_are_found_too() {
    let world = World::new(|batch, _| match bad_indices(batch).len() {
        0 => Verdict::Delivered,
        count => refuse(Which::Unknown { count: Some(count) }, true),
    });
    let bad: Vec<usize> = (1_234..4_321).collect();
    deliver_with_bad_lines(&world, 10_000, &bad);
    assert!(world.requests() < 80, "{} requests", world.requests());
}

#[test]
fn a_search_that_costs_too_much_ends() {
    let world = World::new(|batch, _| {
        if has_bad(batch) {
            refuse(Which::Unknown { count: None }, false)
        } else {
            Verdict::Delivered
        }
    });
    for number in 0..10_000 {
        let kind = if number % 3 == 0 { "bad" } else { "good" };
        world.add("db", &format!("{kind} n={number}i"));
    }
    world.submit();
    world.run_until(3_600);
    let stats = world.stats();
    assert_eq!(stats.pending, 0);
    assert!(stats.rejected >= 3_334);
    assert!(world.requests() <= 300, "{} requests", world.requests());
}

#[test]
fn a_conflict_within_a_batch_is_resent_once_and_then_searched() {
    let first = Mutex::new(true);
    let world = World::new(move |batch, _| {
        if std::mem::take(&mut *first.lock().unwrap()) {
            return Verdict::ResendOnce { reason: "field type conflict".to_owned() };
        }
        match bad_indices(batch) {
            bad if bad.is_empty() => Verdict::Delivered,
            bad => refuse(Which::Lines(bad), true),
        }
    });
    deliver_with_bad_lines(&world, 100, &[7]);
    assert_eq!(world.requests(), 2);

    let world = World::new(|batch, _| {
        if has_bad(batch) {
            Verdict::ResendOnce { reason: "field type conflict".to_owned() }
        } else {
            Verdict::Delivered
        }
    });
    deliver_with_bad_lines(&world, 100, &[7]);
}

#[test]
fn a_batch_that_is_too_large_is_halved_and_the_limit_is_learnt() {
    let world = World::new(|batch, _| {
        if batch.len() > 20_000 {
            Verdict::TooLarge { reason: "too large".to_owned() }
        } else {
            Verdict::Delivered
        }
    });
    for round in 0..3 {
        for number in 0..4_000 {
            world.add("db", &format!("m n={number}i,round={round}i"));
        }
        world.submit();
        world.run_until(round);
    }
    let stats = world.stats();
    assert_eq!(stats.delivered, 12_000);
    let requests = world.server.requests.lock().unwrap();
    let in_round = |round| requests.iter().filter(|(time, _)| time.as_secs() == round).count();
    assert!(in_round(1) < in_round(0), "the limit is not asked for again");
    drop(requests);

    world.add("db", &format!("bad s=\"{}\"", "x".repeat(30_000)));
    world.submit();
    world.run_until(10);
    assert_eq!(world.rejected().len(), 1, "a single line that is too large is rejected");
}

#[test]
fn a_small_batch_that_is_called_too_large_is_halved_and_nothing_is_learnt_from_it() {
    let refused = AtomicUsize::new(0);
    let world = World::new(move |_, _| {
        if refused.fetch_add(1, Ordering::Relaxed) < 3 {
            Verdict::TooLarge { reason: "too large".to_owned() }
        } else {
            Verdict::Delivered
        }
    });
    for number in 0..100 {
        world.add("db", &format!("m n={number}i"));
    }
    world.submit();
    world.run_until(0);
    assert_eq!((world.stats().delivered, world.server.requests.lock().unwrap().len()), (100, 7));
    for number in 0..100 {
        world.add("db", &format!("m n={number}i"));
    }
    world.submit();
    world.run_until(1);
    assert_eq!((world.stats().delivered, world.server.requests.lock().unwrap().len()), (200, 8));
}

#[test]
fn a_reply_that_cannot_be_parsed_does_not_make_a_batch_go_round_for_ever() {
    let world = World::new(|batch, _| {
        if has_bad(batch) {
            Verdict::Unparsable { reason: "the reply is not HTTP".to_owned() }
        } else {
            Verdict::Delivered
        }
    });
    deliver_with_bad_lines(&world, 5_000, &[4_321]);
    assert!(world.requests() <= 3 + 2 * 13, "{} requests", world.requests());
}

#[test]
fn a_batch_that_breaks_the_server_is_found_while_others_pass() {
    let world = World::new(|batch, _| {
        if has_bad(batch) { retry(Cause::Unknown, Scope::Server, None) } else { Verdict::Delivered }
    });
    for second in 0..2_000 {
        let kind = if second == 5 { "bad" } else { "good" };
        world.add("db", &format!("{kind} n={second}i"));
        world.add("db", &format!("good m={second}i"));
        world.submit();
        world.run_until(second);
    }
    world.run_until(10_000);
    let stats = world.stats();
    assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 1, 3_999));
    assert_eq!(world.rejected(), ["bad n=5i"]);
}

#[test]
fn while_nothing_passes_nothing_is_suspected() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(86_400) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Verdict::Delivered
        }
    });
    for number in 0..10 {
        world.add(&format!("db{number}"), "m n=1i");
    }
    world.submit();
    world.run_until(86_399);
    assert_eq!(world.stats().pending, 10);
    world.run_until(90_000);
    assert_eq!(world.stats().delivered, 10);
}

#[test]
fn everything_can_be_refused() {
    let world = World::new(|_, _| refuse(Which::All, false));
    for number in 0..100 {
        world.add("db", &format!("bad n={number}i"));
    }
    world.submit();
    world.run_until(1);
    assert_eq!((world.stats().rejected, world.requests()), (100, 1));
    assert_eq!(world.rejected().len(), 100);
}

#[test]
fn a_panic_in_the_transport_or_in_the_hook_costs_nothing() {
    let first = Mutex::new(true);
    let world = World::new(move |_, _| {
        let is_first = std::mem::take(&mut *first.lock().unwrap_or_else(|e| e.into_inner()));
        if is_first {
            std::panic::resume_unwind(Box::new(()));
        }
        refuse(Which::All, false)
    });
    let route = lock(&world.sender.route).clone();
    let on_rejected: RejectedHook = Arc::new(|_| std::panic::resume_unwind(Box::new(())));
    world.sender.set_route(Route { on_rejected: Some(on_rejected), ..route });
    world.add("db", "m n=1i");
    world.submit();
    assert_eq!(world.sender.step(|| {}), Step::Worked);
    assert_eq!(world.stats().pending, 1);
    // The scripted server's own lock is poisoned by the panic.
    world.server.answer.clear_poison();
    world.run_until(60);
    assert_eq!(world.stats().rejected, 1);
}

#[test]
fn the_limits_of_time_do_not_stop_the_books() {
    let world = World::new(|_, _| retry(Cause::Unknown, Scope::Server, None));
    world.add("db", "m n=1i");
    let flush = world.buffer.begin_flush();
    let report = world.buffer.end_flush(flush);
    assert_eq!((report.pending, report.is_complete()), (1, false));
}

#[test]
fn the_first_drop_is_told_of_at_once_and_others_within_a_minute() {
    let world = World::new(|_, _| Verdict::Delivered);
    world.buffer.begin_shutdown();
    let told = |at: u64| {
        world.add("db", "m n=1i");
        assert!(world.buffer.has_drops());
        world.run_until(at);
        !world.buffer.has_drops()
    };
    assert!(told(1));
    assert!(!told(59));
    assert!(told(60));
    assert_eq!(world.stats().dropped.count(crate::stats::DropReason::Closed), 3);
}
