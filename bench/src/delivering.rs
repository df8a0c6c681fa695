//! Measures the delivery of a million measurements to a local influxd, in wall time and processor
//! time, against posting the same bytes with a plain HTTP client.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use sprockets_influxdb::{Client, Config, Measurement, Overflow};
use test_support::influxd::Influxd;

use crate::sample::{self, NAME};
use crate::table::{Goal, figure, ratio, section};

/// The first argument of a process that delivers.
pub const CHILD: &str = "deliver";

pub const COUNT: usize = 1_000_000;
/// As the client's trigger size.
const BATCH: usize = 5_000;
const NOWHERE: &str = "http://127.0.0.1:1";
/// How the names of sender threads begin. Linux cuts names to 15 bytes.
const SENDER: &str = "influxdb-sender";
const ROUNDS: usize = 3;

/// Encodings of a body: the defaults for a server on the same machine, and for any other.
const ENCODINGS: [&str; 2] = ["plain", "gzip"];

pub fn run() {
    let Some(influxd) = Influxd::start() else { return };
    for encoding in ENCODINGS {
        let rounds: Vec<[Cost; 3]> = (0..ROUNDS)
            .map(|_| ["bare", "ours", "waiting"].map(|mode| deliver(&influxd, mode, encoding)))
            .collect();
        let median = |figure: &dyn Fn(&[Cost; 3]) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[ROUNDS / 2]
        };
        let show = |what: &str, taken: &dyn Fn(&[Cost; 3]) -> f64| {
            figure(what, &format!("{:.2} s", median(taken)));
        };
        section(&format!(
            "Delivering {COUNT} measurements into influxd, {encoding}, median of {ROUNDS} rounds"
        ));
        show("posting bytes encoded beforehand: time", &|[bare, ..]| bare.time);
        show("posting bytes encoded beforehand: processor", &|[bare, ..]| bare.processor);
        show("recording and delivering: time", &|[_, ours, _]| ours.time);
        show("recording and delivering: processor", &|[_, ours, _]| ours.processor);
        show("of that, in the sender threads", &|[_, ours, _]| ours.sending);
        show("delivering what was recorded before: sender threads", &|[.., waiting]| {
            waiting.sending
        });
        let named = |what| format!("{encoding}: {what}");
        ratio(
            &named("time, delivering / posting"),
            median(&|[bare, ours, _]| ours.time / bare.time),
            Goal::AtMost(1.1),
        );
        let delivering = median(&|[bare, ours, _]| ours.sending / bare.sending);
        ratio(&named("processor of senders / posting"), delivering, Goal::AtMost(1.2));
        let alone = median(&|[bare, _, waiting]| waiting.sending / bare.sending);
        ratio(&named("processor of senders, recorded before / posting"), alone, Goal::AtMost(1.2));
        let everything = median(&|[bare, ours, _]| ours.processor / bare.processor);
        ratio(&named("processor, with recording / posting"), everything, Goal::Lower);
    }
}

#[derive(Clone, Copy)]
pub struct Cost {
    pub time: f64,
    pub processor: f64,
    /// The part of `processor` that sending took, in nanoseconds' precision.
    sending: f64,
}

/// Delivers in a process of its own, to count its processor time.
fn deliver(influxd: &Influxd, mode: &str, encoding: &str) -> Cost {
    const DATABASE: &str = "delivering";
    influxd.create(DATABASE);
    let cost = in_child(mode, encoding, &influxd.url(), DATABASE);
    assert_eq!(influxd.count(DATABASE, NAME, sample::BYTES.0), COUNT as u64, "{mode} {encoding}");
    influxd.query("", &format!("DROP DATABASE \"{DATABASE}\""));
    cost
}

/// Records and delivers in a process of its own, to a server of any kind.
pub fn record_in_child(url: &str, database: &str, encoding: &str) -> Cost {
    in_child("ours", encoding, url, database)
}

fn in_child(mode: &str, encoding: &str, url: &str, database: &str) -> Cost {
    let program = std::env::current_exe().expect("this program's path");
    let output = Command::new(program)
        .args([CHILD, mode, encoding, url, database])
        .stderr(Stdio::inherit())
        .output()
        .expect("a process");
    let text = String::from_utf8(output.stdout).expect("text");
    let figures: Vec<f64> =
        text.split_whitespace().map(|figure| figure.parse().expect("a number")).collect();
    let [time, processor, sending] = figures[..] else { panic!("{text:?} is not three numbers") };
    Cost { time, processor, sending }
}

pub fn run_child(arguments: &[String]) {
    let [mode, encoding, url, database] = arguments else {
        panic!("expected: mode, encoding, URL, database")
    };
    let is_compressed = encoding == "gzip";
    if mode == "bare" {
        let batches = encoded(database);
        let (start, before) = (Start::now(), thread_seconds(""));
        post(url, database, is_compressed, &batches);
        return start.print(thread_seconds("") - before);
    }
    let is_recorded_before = mode == "waiting";
    let mut start = Start::now();
    let client = client(if is_recorded_before { NOWHERE } else { url }, is_compressed);
    each(database, |measurement| client.add_measurement(measurement).expect("added"));
    let mut before = 0.0;
    if is_recorded_before {
        (start, before) = (Start::now(), thread_seconds(SENDER));
        client.reconfigure(|config| config.url(url)).expect("a URL");
    }
    let report = client.flush(Duration::from_secs(600));
    assert!(report.is_complete(), "{report:?}");
    start.print(thread_seconds(SENDER) - before);
}

struct Start {
    at: Instant,
    processor: f64,
}

impl Start {
    fn now() -> Self {
        Self { at: Instant::now(), processor: processor_seconds() }
    }

    fn print(self, sending: f64) {
        let processor = processor_seconds() - self.processor;
        println!("{} {processor} {sending}", self.at.elapsed().as_secs_f64());
    }
}

fn each(database: &str, mut take: impl FnMut(&Measurement)) {
    let mut measurement = Measurement::new(database, NAME);
    for _ in 0..COUNT {
        measurement.restart(database, NAME);
        sample::fill(&mut measurement);
        take(&measurement);
    }
}

fn encoded(database: &str) -> Vec<Vec<u8>> {
    let mut batches = vec![Vec::new()];
    let mut lines = 0;
    each(database, |measurement| {
        if lines == BATCH {
            batches.push(Vec::new());
            lines = 0;
        }
        measurement.append_to(batches.last_mut().expect("one"));
        lines += 1;
    });
    batches
}

fn post(url: &str, database: &str, is_compressed: bool, batches: &[Vec<u8>]) {
    let agent = ureq::Agent::new_with_defaults();
    for batch in batches {
        let request = agent.post(format!("{url}/write")).query("db", database);
        let request = request.query("precision", "ns");
        let reply = if is_compressed {
            // The client's level.
            let body = Vec::with_capacity(batch.len() / 8);
            let mut encoder = GzEncoder::new(body, Compression::new(2));
            encoder.write_all(batch).expect("compressed");
            let body = encoder.finish().expect("compressed");
            request.header("Content-Encoding", "gzip").send(&body[..])
        } else {
            request.send(&batch[..])
        };
        assert_eq!(reply.expect("a reply").status(), 204);
    }
}

fn client(url: &str, is_compressed: bool) -> Client {
    let config = Config::new().url(url).tag_hostname(false).gzip(is_compressed);
    let config = config.overflow(Overflow::Block).block_timeout(Duration::from_secs(600));
    let config = match url {
        NOWHERE => config.max_buffer_size(COUNT).max_buffer_bytes(1 << 30),
        _ => config,
    };
    Client::new(config).expect("a client")
}

/// The processor time of all threads of this process, user and system, in seconds. Linux reports
/// hundredths.
pub fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// The processor time of the living threads whose name begins with that.
pub fn thread_seconds(name: &str) -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = threads.filter_map(|thread| {
        let directory = thread.expect("a thread").path();
        let read = |file| std::fs::read_to_string(directory.join(file)).ok();
        let is_it = read("comm")?.starts_with(name);
        let schedstat = read("schedstat").filter(|_| is_it)?;
        schedstat.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}
