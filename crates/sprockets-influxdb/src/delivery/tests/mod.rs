//! The sender in simulated time, against a server that is a closure: hours pass in milliseconds,
//! and nothing depends on the machine's speed.

mod body_limit;
mod congestion;
mod foreign_replies;
mod isolation;
mod log;
mod outages;
mod poison;
mod random_replies;
mod rejections;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection, Scope};
use super::sender::{Sender, Step};
use super::transport::{Attempt, Route, Transport};
use crate::buffer::{Batch, Buffer, Entry, EntryFlags, Intake, Limits, Size};
use crate::clock::Clock;
use crate::config::{OnRejected, Overflow, Precision, Rejected};
use crate::stats::Stats;
use crate::sync::Mutex;

type Answer = dyn Fn(&Batch, Duration) -> Disposition + Send + Sync;
type Latency = dyn Fn(&Batch) -> Duration + Send + Sync;

/// A server, what it stored, and when it got requests of how many lines.
struct Server {
    clock: Clock,
    answer: Mutex<Box<Answer>>,
    stored: Mutex<BTreeMap<String, usize>>,
    requests: Mutex<Vec<(Duration, usize)>>,
    /// How long it takes for a batch. It stores, and answers if that is within the timeout.
    latency: Mutex<Box<Latency>>,
}

const TIMEOUT: Duration = Duration::from_secs(10);

impl Transport for Server {
    fn send_within(&self, timeout: Duration, batch: &Batch) -> Attempt {
        let now = self.clock.now();
        self.requests.lock().unwrap().push((now, batch.lines()));
        let latency = self.latency.lock().unwrap()(batch);
        self.clock.advance_to(now + latency.min(timeout));
        let attempt = self.store(batch, now);
        if latency > timeout {
            let disposition = retry(Cause::Timeout, Scope::Server, None);
            return Attempt { disposition, ..attempt };
        }
        attempt
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn after_fork(&self) -> Arc<dyn Transport> {
        unreachable!("nothing forks here")
    }
}

impl Server {
    fn store(&self, batch: &Batch, now: Duration) -> Attempt {
        let disposition = self.answer.lock().unwrap()(batch, now);
        let rejected: HashSet<usize> = match &disposition {
            Disposition::Delivered => HashSet::new(),
            Disposition::Rejected(Rejection {
                lines: RejectedLines::Named(lines),
                rest_stored: true,
                ..
            }) => lines.iter().map(|(index, _)| *index).collect(),
            Disposition::Rejected(Rejection {
                lines: RejectedLines::Unnamed { .. },
                rest_stored: true,
                ..
            }) => batch
                .iter_lines()
                .enumerate()
                .filter(|(_, line)| line.starts_with(b"bad"))
                .map(|(index, _)| index)
                .collect(),
            _ => (0..batch.lines()).collect(),
        };
        for (index, line) in batch.iter_lines().enumerate() {
            if !rejected.contains(&index) {
                let line = String::from_utf8(line.to_vec()).unwrap();
                *self.stored.lock().unwrap().entry(line).or_default() += 1;
            }
        }
        Attempt { disposition, bytes_sent: batch.len() as u64 }
    }
}

/// A sender in simulated time, with its buffer and its server.
struct Simulation {
    clock: Clock,
    buffer: Arc<Buffer>,
    sender: Sender,
    server: Arc<Server>,
    rejected: Arc<Mutex<Vec<(String, String)>>>,
}

impl Simulation {
    fn new(answer: impl Fn(&Batch, Duration) -> Disposition + Send + Sync + 'static) -> Self {
        let clock = Clock::simulated();
        let limits = Limits {
            buffer: Size { lines: 1_000_000, bytes: 1 << 30 },
            batch: Size { lines: 10_000, bytes: 4 << 20 },
            trigger_size: 5_000,
            submission_interval: Duration::from_secs(60),
            first_interval: Duration::from_secs(60),
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
            latency: Mutex::new(Box::new(|_| Duration::ZERO)),
        });
        let rejected = Arc::new(Mutex::new(Vec::new()));
        let log = rejected.clone();
        let hook: OnRejected = Arc::new(move |rejected: &Rejected<'_>| {
            let entry = (rejected.line().to_owned(), rejected.reason().to_owned());
            log.lock().unwrap().push(entry);
        });
        let route = Route {
            transport: server.clone(),
            address: "http://simulated".to_owned(),
            on_rejected: Some(hook),
            own_counters: None,
            summary: "recording to http://simulated".to_owned(),
        };
        let sender = Sender::new(buffer.clone(), route, clock.clone());
        Self { clock, buffer, sender, server, rejected }
    }

    fn add(&self, database: &str, line: &str) {
        let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(format!("{line}\n").as_bytes());
        let (database, precision) = (database.as_bytes(), Precision::Nanoseconds);
        let line = Entry { database, precision, len: line.len() + 1, write };
        self.buffer.push(line, EntryFlags::default(), None);
    }

    /// Submits all that was added.
    fn submit(&self) {
        let flush = self.buffer.begin_flush(Duration::MAX);
        self.buffer.end_flush(flush);
    }

    /// Runs the sender until there is nothing to do before that time.
    fn run_until(&self, seconds: u64) {
        let end = Duration::from_secs(seconds);
        for steps in 1.. {
            assert!(steps < 1_000_000, "the sender does not come to rest");
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

fn retry(cause: Cause, scope: Scope, after: Option<u64>) -> Disposition {
    let after = after.map(Duration::from_secs);
    Disposition::Retry(Failure { cause, scope, after, reason: "not now".to_owned() })
}

fn reject(lines: RejectedLines, rest_stored: bool) -> Disposition {
    Disposition::Rejected(Rejection { lines, rest_stored, reason: "bad line".to_owned() })
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

/// Delivers so many lines, of which those at `bad` are bad.
fn deliver_with_bad_lines(simulation: &Simulation, lines: usize, bad: &[usize]) {
    for number in 0..lines {
        let kind = if bad.contains(&number) { "bad" } else { "good" };
        simulation.add("db", &format!("{kind} n={number}i"));
    }
    simulation.submit();
    simulation.run_until(3_600);
    let stats = simulation.stats();
    assert_eq!(stats.pending, 0);
    assert_eq!(stats.rejected, bad.len() as u64, "{stats:?}");
    assert_eq!(stats.delivered, (lines - bad.len()) as u64);
    assert_eq!(simulation.stored().len(), lines - bad.len());
    let expected: HashSet<_> = bad.iter().map(|number| format!("bad n={number}i")).collect();
    assert_eq!(simulation.rejected().into_iter().collect::<HashSet<_>>(), expected);
}
