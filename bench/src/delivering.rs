//! A million measurements into a local influxd, beside the same bytes posted by hand: what the client adds in processor
//! time and in time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sprockets_influxdb::{Client, Config, Measurement, Overflow};

use crate::sample::{self, NAME};
use crate::table::{Asked, figure, ratio, section};

#[path = "../../crates/sprockets-influxdb/tests/influxd/server.rs"]
#[allow(dead_code)]
mod server;
pub(crate) use server::Influxd;

/// The first argument of a process that delivers.
pub const CHILD: &str = "deliver";

const COUNT: usize = 1_000_000;
const BATCH: usize = 10_000;
const ROUNDS: usize = 3;

pub fn run() {
    let Some(influxd) = Influxd::start() else { return };
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let [bare, ours] = ["bare", "ours"].map(|way| {
            let database = format!("{way}{round}");
            influxd.create(&database);
            let taken = deliver(way, &influxd.url(), &database);
            let stored = influxd.count(&database, NAME, sample::BYTES.0);
            assert_eq!(stored, COUNT as u64, "{way}");
            influxd.query("", &format!("DROP DATABASE \"{database}\""));
            taken
        });
        rounds.push((bare, ours));
    }
    let median = |figure: fn(&(Taken, Taken)) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[ROUNDS / 2]
    };
    section(&format!("Delivering {COUNT} measurements into influxd, median of {ROUNDS} rounds"));
    figure("posting the encoded bytes by hand: time", &seconds(median(|round| round.0.time)));
    figure(
        "posting the encoded bytes by hand: processor",
        &seconds(median(|round| round.0.processor)),
    );
    figure("recording and delivering: time", &seconds(median(|round| round.1.time)));
    figure("recording and delivering: processor", &seconds(median(|round| round.1.processor)));
    let time = median(|(bare, ours)| ours.time / bare.time);
    let processor = median(|(bare, ours)| ours.processor / bare.processor);
    ratio("time", time, Asked::AtMost(1.1));
    ratio("processor", processor, Asked::AtMost(1.5));
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

#[derive(Clone, Copy)]
struct Taken {
    time: f64,
    processor: f64,
}

/// Delivers in a process of its own, whose processor time is counted.
fn deliver(way: &str, url: &str, database: &str) -> Taken {
    let program = std::env::current_exe().expect("this program's path");
    let output = Command::new(program)
        .args([CHILD, way, url, database])
        .stderr(Stdio::inherit())
        .output()
        .expect("a process");
    let text = String::from_utf8(output.stdout).expect("text");
    let (time, processor) = text.trim().split_once(' ').expect("two numbers");
    Taken { time: time.parse().expect("a number"), processor: processor.parse().expect("a number") }
}

pub fn run_child(arguments: &[String]) {
    let [way, url, database] = arguments else { panic!("expected: way, URL, database") };
    let batches = if way == "bare" { encoded(database) } else { Vec::new() };
    let (start, before) = (Instant::now(), processor_seconds());
    if way == "bare" {
        post(url, database, &batches)
    } else {
        record(url, database)
    }
    println!("{} {}", start.elapsed().as_secs_f64(), processor_seconds() - before);
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

fn post(url: &str, database: &str, batches: &[Vec<u8>]) {
    let agent = ureq::Agent::new_with_defaults();
    for batch in batches {
        let request = agent.post(format!("{url}/write")).query("db", database);
        let reply = request.query("precision", "ns").send(&batch[..]).expect("a reply");
        assert_eq!(reply.status(), 204);
    }
}

fn record(url: &str, database: &str) {
    let config = Config::new().url(url).expect("a URL").tag_hostname(false);
    let config = config.overflow(Overflow::Block).block_timeout(Duration::from_secs(600));
    let client = Client::new(config).expect("a client");
    each(database, |measurement| client.add_measurement(measurement).expect("added"));
    let report = client.shutdown(Duration::from_secs(600));
    assert!(report.is_complete(), "{report:?}");
}

/// The processor time of this process, all threads, user and system, as Linux tells it in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}
