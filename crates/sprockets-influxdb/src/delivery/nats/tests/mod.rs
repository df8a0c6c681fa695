//! A fleet in simulated time. Each process has a real buffer, a real sender, and the transport's
//! messages and replies; the network, the stream and the clocks are simulated.

mod stream;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::Limits as ServerLimits;
use super::settings::Settings;
use super::{max_lines, publish};
use crate::buffer::{Batch, Buffer, Entry, EntryFlags, Intake, Limits, Size};
use crate::clock::Clock;
use crate::config::{Config, Overflow, Precision};
use crate::delivery::sender::{Sender, Step};
use crate::delivery::transport::{Attempt, Route, Transport};
use crate::measurement::Measurement;
use crate::sync::Mutex;
use stream::{Stream, Totals};

const INTERVAL: Duration = Duration::from_secs(60);
const EPOCH: i64 = 1_700_000_000_000_000_000;

/// Measurements of a process in an interval.
const PER_INTERVAL: u32 = 10;

#[derive(Clone, Copy, Debug)]
struct Plan {
    processes: usize,
    /// How long the database is away.
    outage: Duration,
    gzip: bool,
    /// Lines a second that the forwarders deliver afterwards.
    rate: u64,
}

struct Process {
    clock: Clock,
    buffer: Arc<Buffer>,
    sender: Sender,
    transport: Arc<Simulated>,
    measurement: Measurement,
    added: u32,
    next: Duration,
}

/// The transport over a simulated network.
struct Simulated {
    settings: Arc<Settings>,
    clock: Clock,
    stream: Arc<Mutex<Stream>>,
    /// Which measurements the stream has.
    stored: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    numbers: Vec<u64>,
    count: u64,
    twice: u64,
}

impl Transport for Simulated {
    fn send_within(&self, timeout: Duration, batch: &Batch) -> Attempt {
        publish(&self.settings, ServerLimits::default(), batch, |publication, message| {
            let now = self.clock.now();
            let reply = self.stream.lock().unwrap().receive(&message, now);
            if let Some(lines) = reply.as_ref().and_then(|reply| reply.stored.as_deref()) {
                self.stored.lock().unwrap().add(lines);
            }
            match reply.filter(|reply| !reply.is_lost) {
                Some(reply) => {
                    self.clock.advance_to(now + reply.latency);
                    publication.acknowledged(reply.text.as_bytes())
                }
                None => {
                    self.clock.advance_to(now + timeout);
                    publication.unacknowledged(timeout)
                }
            }
        })
    }

    fn timeout(&self) -> Duration {
        self.settings.server.timeout
    }

    fn max_bytes(&self) -> usize {
        max_lines(ServerLimits::default().max_payload)
    }

    fn after_fork(&self) -> Arc<dyn Transport> {
        unreachable!("nothing forks here")
    }
}

impl Stored {
    fn add(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let number = number(line);
            let (word, bit) = (number / 64, 1 << (number % 64));
            if self.numbers.len() <= word {
                self.numbers.resize(word + 1, 0);
            }
            if self.numbers[word] & bit == 0 {
                self.numbers[word] |= bit;
                self.count += 1;
            } else {
                self.twice += 1;
            }
        }
    }
}

/// The number of a measurement, its last field.
fn number(line: &[u8]) -> usize {
    let end = memchr::memrchr(b' ', line).expect("a timestamp") - 1;
    let start = memchr::memrchr(b'=', &line[..end]).expect("a field") + 1;
    let digits = line[start..end].iter();
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

impl Process {
    fn new(
        index: usize,
        plan: &Plan,
        settings: &Arc<Settings>,
        stream: &Arc<Mutex<Stream>>,
    ) -> Self {
        let clock = Clock::simulated();
        // The defaults.
        let limits = Limits {
            buffer: Size { lines: 100_000, bytes: 64 << 20 },
            batch: Size { lines: 10_000, bytes: 4 << 20 },
            trigger_size: 5_000,
            submission_interval: INTERVAL,
            first_interval: INTERVAL,
            sample_probability: 1.0,
            overflow: Overflow::Newest,
            spool_bytes: 1 << 30,
            block_timeout: Duration::ZERO,
        };
        let buffer = Arc::new(Buffer::new(limits, Intake::Open, None, clock.clone()));
        let transport = Arc::new(Simulated {
            settings: settings.clone(),
            clock: clock.clone(),
            stream: stream.clone(),
            stored: Mutex::default(),
        });
        let route = Route {
            transport: transport.clone(),
            address: "nats://simulated".to_owned(),
            on_rejected: None,
            own_counters: None,
            summary: String::new(),
        };
        let sender = Sender::new(buffer.clone(), route, clock.clone());
        let measurement = Measurement::new("example", "http_requests")
            .tag("service", "checkout")
            .tag("environment", "production")
            .tag("host", format!("host-{index:05}.example.com"))
            .tag("method", "POST")
            .tag("endpoint", "/orders/{order_id}/items")
            .tag("status_code", "200");
        // Processes do not begin their intervals at the same time.
        let next = INTERVAL.mul_f64(index as f64 / plan.processes as f64);
        Self { clock, buffer, sender, transport, measurement, added: 0, next }
    }

    /// Adds what is due, and runs the sender until it has nothing to do. Returns when to go on.
    fn run(&mut self, now: Duration, end: Duration) -> Option<Duration> {
        self.clock.advance_to(now);
        if now >= self.next && self.next < end {
            (0..PER_INTERVAL).for_each(|_| self.add(now));
            self.next += INTERVAL;
        }
        loop {
            if let Step::Idle { until } = self.sender.step(|| {}) {
                let next = Some(self.next).filter(|next| *next < end);
                return until.into_iter().chain(next).min();
            }
        }
    }

    fn add(&mut self, now: Duration) {
        let number = self.added;
        let duration = 0.001 + f64::from(number * 7_919 % 1_000_003) / 1e6;
        self.measurement.set_field("duration", duration);
        self.measurement.set_field("content_length", i64::from(number * 31 % 65_536));
        self.measurement.set_field("number", i64::from(number));
        self.measurement.set_timestamp(EPOCH + now.as_nanos() as i64 + i64::from(number));
        let mut line = Vec::with_capacity(512);
        self.measurement.append_to(&mut line);
        let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(&line);
        let precision = Precision::Nanoseconds;
        let entry = Entry { database: b"example", precision, len: line.len(), write };
        self.buffer.push(entry, EntryFlags::default(), None);
        self.added += 1;
    }
}

#[derive(Debug)]
struct Figures {
    added: u64,
    stored: u64,
    /// In the stream a second time, under another id. The database has them once.
    twice: u64,
    totals: Totals,
    /// How often a process had something to do.
    events: u64,
    /// From the database's return until the stream is empty.
    drain: Duration,
}

fn simulate(plan: &Plan) -> Figures {
    let config = Config::new().url("nats://simulated:4222").gzip(plan.gzip);
    let server = config.resolve().unwrap().server;
    let settings = Arc::new(Settings::new(&server).unwrap());
    let without_quorum = plan.outage / 4..plan.outage / 4 + Duration::from_secs(300);
    let stream = Arc::new(Mutex::new(Stream::new(without_quorum, 7)));
    let mut processes: Vec<_> =
        (0..plan.processes).map(|index| Process::new(index, plan, &settings, &stream)).collect();
    let mut due: BinaryHeap<_> = processes
        .iter()
        .enumerate()
        .map(|(index, process)| Reverse((process.next, index)))
        .collect();
    // Publishing goes on for an hour after that.
    let end = plan.outage + Duration::from_secs(3_600);
    let (mut second, mut drain, mut events) = (plan.outage, None, 0);
    while let Some(Reverse((now, index))) = due.pop() {
        while second <= now && drain.is_none() {
            let mut stream = stream.lock().unwrap();
            stream.take(plan.rate);
            second += Duration::from_secs(1);
            drain = (stream.totals.waiting_lines == 0).then(|| second - plan.outage);
        }
        events += 1;
        if let Some(next) = processes[index].run(now, end) {
            due.push(Reverse((next.max(now + Duration::from_nanos(1)), index)));
        }
    }
    let mut figures = Figures {
        added: 0,
        stored: 0,
        twice: 0,
        events,
        totals: std::mem::take(&mut stream.lock().unwrap().totals),
        drain: drain.expect("the stream is emptied within the hour"),
    };
    for process in &processes {
        let stats = process.buffer.stats();
        assert!(stats.is_balanced() && stats.pending == 0, "{stats:?}");
        assert_eq!(stats.delivered, u64::from(process.added), "{stats:?}");
        let stored = process.transport.stored.lock().unwrap();
        figures.added += stats.added;
        figures.stored += stored.count;
        figures.twice += stored.twice;
    }
    figures
}

fn assert_complete(plan: &Plan, figures: &Figures) {
    let totals = &figures.totals;
    assert_eq!(figures.stored, figures.added, "{figures:?}");
    assert_eq!(totals.lines, figures.stored + figures.twice, "{figures:?}");
    let intervals = (plan.outage.as_secs() + 3_600) / INTERVAL.as_secs();
    assert_eq!(figures.added, plan.processes as u64 * intervals * u64::from(PER_INTERVAL));
    assert!(totals.duplicates > 0, "no reply was lost: {figures:?}");
    assert!(figures.events < 5 * totals.messages, "{figures:?}");
    // The record, its headers and its subject are shared by ten lines.
    if !plan.gzip {
        assert!(totals.bytes < totals.line_bytes + totals.messages * 320, "{figures:?}");
    }
}

#[test]
fn a_small_fleet_publishes_through_an_outage_and_loses_nothing() {
    for gzip in [false, true] {
        let outage = Duration::from_secs(3_600);
        let plan = Plan { processes: 10, outage, gzip, rate: 1_000 };
        assert_complete(&plan, &simulate(&plan));
    }
}

/// Part of `make fleet`. FLEET_PROCESSES, FLEET_HOURS and FLEET_RATE change it.
#[test]
#[ignore = "takes minutes: make fleet"]
#[allow(clippy::print_stdout)]
fn ten_thousand_processes_publish_while_the_database_is_away_for_a_day() {
    let number = |variable: &str, default: u64| {
        std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
    };
    let outage = Duration::from_secs(3_600 * number("FLEET_HOURS", 24));
    let processes = number("FLEET_PROCESSES", 10_000) as usize;
    for (gzip, outage) in [(true, Duration::from_secs(3_600)), (false, outage)] {
        let plan = Plan { processes, outage, gzip, rate: number("FLEET_RATE", 100_000) };
        let started = Instant::now();
        let figures = simulate(&plan);
        let totals = &figures.totals;
        let of_lines = |bytes: u64| bytes as f64 / totals.lines as f64;
        println!(
            "{processes} simulated processes, {PER_INTERVAL} measurements a minute each, database \
             away for {} h, gzip {gzip}; took {:.0} s",
            outage.as_secs() / 3_600,
            started.elapsed().as_secs_f64()
        );
        println!("  {} measurements in {} messages", figures.added, totals.messages);
        println!("  {:.1} bytes a line, {:.1} in the stream", of_lines(totals.line_bytes), {
            of_lines(totals.bytes)
        });
        println!("  most bytes waiting: {:.2} GB a copy", totals.most_waiting_bytes as f64 / 1e9);
        println!("  messages that came twice and were dropped: {}", totals.duplicates);
        println!("  lost 0, in the stream twice: {}", figures.twice);
        println!("  drained after {:.0} s at {} lines/s", figures.drain.as_secs_f64(), plan.rate);
        assert_complete(&plan, &figures);
    }
}
