//! Measures the spool: adding, delivering lines from disk, and recovering a gibibyte of lines.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rapidhash::v3::rapidhash_v3;
use sprockets_influxdb::{Client, Config, Measurement, Overflow, SpoolSync};
use test_support::influxd::Influxd;

use crate::delivering::thread_seconds;
use crate::memory::peak_bytes;
use crate::rounds::compare;
use crate::sample::{self, DATABASE, NAME};
use crate::sink;
use crate::table::{Goal, figure, nanoseconds, ratio, section, share};

const NOWHERE: &str = "http://127.0.0.1:1";
/// The first argument of a process that recovers the lines of another.
pub const CHILD: &str = "recover";

fn config(url: &str) -> Config {
    Config::new().url(url).tag_hostname(false)
}

/// A client that buffers measurements as usual, and then samples every batch out.
fn client_that_sends_nothing(spool: Option<(&Path, SpoolSync)>) -> Client {
    let config = config(NOWHERE).sample_probability(0.0);
    let config = config.max_buffer_size(1_000_000);
    Client::new(match spool {
        Some((spool, sync)) => config.spool(spool).spool_sync(sync),
        None => config,
    })
    .expect("a client")
}

pub fn run() {
    let directory = tempfile::tempdir().expect("a directory");
    adding(directory.path());
    levels(directory.path());
    delivering(directory.path());
    recovering(directory.path());
}

fn add(client: &Client, measurement: &Measurement, calls: usize) {
    for _ in 0..calls {
        client.add_measurement(black_box(measurement)).expect("added");
    }
}

fn adding(directory: &Path) {
    let in_memory = client_that_sends_nothing(None);
    let spooled = client_that_sends_nothing(Some((&directory.join("adding"), SpoolSync::Process)));
    let build = |measurement: &mut Measurement| {
        measurement.restart(black_box(DATABASE), black_box(NAME));
        sample::fill(measurement);
    };
    let measurement = sample::measurement();
    let mut built = [Measurement::new(DATABASE, NAME), Measurement::new(DATABASE, NAME)];
    let [first, second] = &mut built;
    let line = measurement.marshall();
    let mut copy = vec![0; line.len()];
    let [memory, spool, memory_all, spool_all, copied] = compare(
        5_000,
        [
            &mut |calls| add(&in_memory, &measurement, calls),
            &mut |calls| add(&spooled, &measurement, calls),
            &mut |calls| {
                for _ in 0..calls {
                    build(first);
                    add(&in_memory, first, 1);
                }
            },
            &mut |calls| {
                for _ in 0..calls {
                    build(second);
                    add(&spooled, second, 1);
                }
            },
            &mut |calls| {
                for _ in 0..calls {
                    copy.copy_from_slice(black_box(line.as_bytes()));
                    black_box(rapidhash_v3(black_box(&copy)));
                }
            },
        ],
    );
    section(
        "Adding a measurement of 7 tags and 2 fields, with a spool (level process) and without",
    );
    nanoseconds("add_measurement, in memory", memory);
    nanoseconds("add_measurement, with a spool", spool);
    nanoseconds("a copy and a checksum of the line, by themselves", copied);
    ratio("add_measurement, with a spool / in memory", spool / memory, Goal::AtMost(1.25));
    nanoseconds("from strings and added, in memory", memory_all);
    nanoseconds("from strings and added, with a spool", spool_all);
    ratio(
        "from strings and added, with a spool / in memory",
        spool_all / memory_all,
        Goal::AtMost(1.25),
    );
}

/// Measures adding and flushing with each level of durability. With `always` a flush waits for the
/// disk.
fn levels(directory: &Path) {
    const LEVELS: [SpoolSync; 3] = [SpoolSync::Process, SpoolSync::Interval, SpoolSync::Always];
    let measurement = sample::measurement();
    let in_memory = client_that_sends_nothing(None);
    let [process, interval, always] = LEVELS.map(|level| {
        let spool = directory.join(format!("level-{level}"));
        client_that_sends_nothing(Some((&spool, level)))
    });
    let taken = compare(
        5_000,
        [
            &mut |calls| add(&in_memory, &measurement, calls),
            &mut |calls| add(&process, &measurement, calls),
            &mut |calls| add(&interval, &measurement, calls),
            &mut |calls| add(&always, &measurement, calls),
        ],
    );
    section("The levels of durability: add_measurement, and a flush of 1,000 that goes no further");
    for (level, nanoseconds) in LEVELS.iter().zip(&taken[1..]) {
        let what = format!("add_measurement with {level} / in memory");
        ratio(&what, nanoseconds / taken[0], Goal::Lower);
    }
    for (level, client) in LEVELS.iter().zip([&process, &interval, &always]) {
        waits(&format!("flush with {level}"), || {
            add(client, &measurement, 1_000);
            let start = Instant::now();
            assert!(client.flush(Duration::from_secs(60)).is_complete());
            start.elapsed()
        });
    }
    let lines = sample::measurement().marshall().repeat(1_000);
    let mut file = File::create(directory.join("synced")).expect("a file");
    waits("for comparison, fsync of a file after as many bytes", || {
        file.write_all(lines.as_ref()).expect("room");
        let start = Instant::now();
        file.sync_all().expect("synced");
        start.elapsed()
    });
}

fn waits(what: &str, wait: impl FnMut() -> Duration) {
    let mut waits: Vec<Duration> = std::iter::repeat_with(wait).take(201).collect();
    waits.sort();
    let milliseconds = |index: usize| waits[index].as_secs_f64() * 1e3;
    let figures = format!("{:.2} / {:.2} ms", milliseconds(100), milliseconds(198));
    figure(&format!("{what}: median / 99th percentile"), &figures);
}

const COUNT: usize = 1_000_000;

/// Delivers a million waiting measurements to influxd, from memory or from disk.
fn delivering(directory: &Path) {
    let Some(influxd) = Influxd::start() else { return };
    const ROUNDS: usize = 3;
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|round| {
            let spool = directory.join(format!("delivering-{round}"));
            (deliver(&influxd, None), deliver(&influxd, Some(&spool)))
        })
        .collect();
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (memory, spool) = rounds[ROUNDS / 2];
    section(&format!("Delivering {COUNT} measurements that waited for influxd"));
    figure("from memory", &format!("{:.2} s", memory));
    figure("from the spool", &format!("{:.2} s", spool));
    ratio("throughput from the spool / from memory", memory / spool, Goal::AtLeast(0.9));
}

fn deliver(influxd: &Influxd, spool: Option<&Path>) -> f64 {
    let config = config(NOWHERE).overflow(Overflow::Block).shutdown_timeout(Duration::ZERO);
    let config = config.max_buffer_size(COUNT).max_buffer_bytes(1 << 30);
    let config = match spool {
        Some(spool) => config.spool(spool),
        None => config,
    };
    let client = Client::new(config).expect("a client");
    let mut measurement = Measurement::new(DATABASE, NAME);
    for _ in 0..COUNT {
        measurement.restart(DATABASE, NAME);
        sample::fill(&mut measurement);
        client.add_measurement(&measurement).expect("added");
    }
    influxd.create(DATABASE);
    // The spool's thread moves what was recorded to files first.
    let busy = || thread_seconds("influxdb-spool");
    let mut before = f64::MIN;
    while busy() - before > 0.01 {
        before = busy();
        std::thread::sleep(Duration::from_millis(200));
    }
    let start = Instant::now();
    client.reconfigure(|config| config.url(&influxd.url())).expect("a URL");
    let report = client.flush(Duration::from_secs(600));
    let taken = start.elapsed().as_secs_f64();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(influxd.count(DATABASE, NAME, sample::BYTES.0), COUNT as u64);
    influxd.query("", &format!("DROP DATABASE \"{DATABASE}\""));
    taken
}

/// Recovers a gibibyte of lines of another process.
fn recovering(directory: &Path) {
    let spool = directory.join("recovering");
    let config = config(NOWHERE).spool(&spool).overflow(Overflow::Block);
    let config = config.spool_max_bytes(4 << 30).shutdown_timeout(Duration::ZERO);
    let client = Client::new(config).expect("a client");
    let mut measurement = sample::measurement();
    let line = measurement.marshall().len() + 1;
    for _ in 0..(1 << 30) / line {
        measurement.restart(DATABASE, NAME);
        sample::fill(&mut measurement);
        client.add_measurement(&measurement).expect("added");
    }
    client.shutdown(Duration::ZERO);
    drop(client);
    let url = sink::start();
    let program = std::env::current_exe().expect("this program's path");
    let child = Command::new(program)
        .args([CHILD, &url, &spool.to_string_lossy()])
        .output()
        .expect("a process");
    let text = String::from_utf8(child.stdout).expect("text");
    let figures: Vec<f64> =
        text.split_whitespace().map(|figure| figure.parse().expect("a number")).collect();
    let [first, all, peak, delivered] = figures[..] else {
        panic!("{text:?} is not four numbers: {}", String::from_utf8_lossy(&child.stderr))
    };
    section("Recovering a gibibyte of lines");
    figure("lines delivered to a server that keeps none", &format!("{delivered:.0}"));
    figure("all of them", &format!("{all:.1} s"));
    figure("the first request", &format!("{:.0} ms", first * 1e3));
    share("the first request / 200 ms", first / 0.2, Goal::AtMost(1.0));
    figure("peak memory of the process", &format!("{:.0} MiB", peak / f64::from(1 << 20)));
    ratio("peak memory / 64 MiB", peak / f64::from(64 << 20), Goal::AtMost(1.0));
}

pub fn run_child(arguments: &[String]) {
    let [url, spool] = arguments else { panic!("expected: URL, spool") };
    let start = Instant::now();
    let client = Client::new(config(url).spool(spool)).expect("a client");
    client.add_measurement(&sample::measurement()).expect("added");
    let until = |holds: &dyn Fn() -> bool| {
        while !holds() {
            std::thread::sleep(Duration::from_millis(1));
        }
        start.elapsed().as_secs_f64()
    };
    let first = until(&|| client.stats().batches > 0);
    let all = until(&|| client.stats().recovered > 0 && client.stats().pending <= 1);
    println!("{first} {all} {} {}", peak_bytes(), client.stats().delivered);
}
