//! Measures `add_measurement`: against bare encoding, with several threads, and while batches are
//! sent.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use sprockets_influxdb::{Client, Config, Measurement, Overflow};
use test_support::influxd::Influxd;

use crate::rounds::compare;
use crate::sample::{self, DATABASE, NAME};
use crate::table::{Goal, nanoseconds, ratio, section, share};

/// A client that buffers measurements as usual, and then samples every batch out. So adding is
/// measured, but not sending.
pub fn client_that_sends_nothing() -> Client {
    let config = Config::new().url("http://127.0.0.1:1");
    let config = config.tag_hostname(false).sample_probability(0.0);
    Client::new(config.max_buffer_size(1_000_000)).expect("a client")
}

pub fn run() {
    let client = client_that_sends_nothing();
    let mut measurement = Measurement::new(DATABASE, NAME);
    let mut lines = Vec::with_capacity(64 * 1024);
    let mut encode = |calls| {
        for _ in 0..calls {
            if lines.capacity() - lines.len() < 512 {
                lines.clear();
            }
            measurement.restart(black_box(DATABASE), black_box(NAME));
            sample::fill(&mut measurement);
            measurement.append_to(&mut lines);
            black_box(&mut lines);
        }
    };
    let mut added = Measurement::new(DATABASE, NAME);
    let mut add = |calls| {
        for _ in 0..calls {
            added.restart(black_box(DATABASE), black_box(NAME));
            sample::fill(&mut added);
            client.add_measurement(&added).expect("added");
        }
    };
    let mut filled = Measurement::new(DATABASE, NAME);
    let mut fill = |calls| {
        for _ in 0..calls {
            filled.restart(black_box(DATABASE), black_box(NAME));
            sample::fill(&mut filled);
            black_box(&mut filled);
        }
    };
    let [encode, add, fill] = compare(5_000, [&mut encode, &mut add, &mut fill]);
    section("Adding a measurement of 7 tags and 2 fields");
    nanoseconds("bare encoding, from strings", encode);
    nanoseconds("the same, added to a client: encoded, counted, in the buffer", add);
    nanoseconds("of that, add_measurement alone", add - fill);
    ratio("added / encoded", add / encode, Goal::AtMost(1.5));
}

pub fn run_threads() {
    const EACH: usize = 200_000;
    let client = client_that_sends_nothing();
    let throughput = |threads: usize| {
        let start = Barrier::new(threads + 1);
        thread::scope(|scope| {
            let adding: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let mut measurement = Measurement::new(DATABASE, NAME);
                        start.wait();
                        for _ in 0..EACH {
                            measurement.restart(DATABASE, NAME);
                            sample::fill(&mut measurement);
                            client.add_measurement(&measurement).expect("added");
                        }
                    })
                })
                .collect();
            start.wait();
            let begun = Instant::now();
            adding.into_iter().for_each(|thread| thread.join().expect("added"));
            (threads * EACH) as f64 / begun.elapsed().as_secs_f64()
        })
    };
    let mut rounds: Vec<(f64, f64)> = (0..9).map(|_| (throughput(1), throughput(4))).collect();
    rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (one, four) = rounds[rounds.len() / 2];
    let cores = thread::available_parallelism().map_or(1, usize::from);
    section(&format!("Threads that add at once, on {cores} cores"));
    nanoseconds("one thread, for each measurement", 1e9 / one);
    nanoseconds("four threads, for each measurement", 1e9 / four);
    ratio("throughput of four threads / of one", four / one, Goal::AtLeast(1.0));
}

pub fn run_latency() {
    const COUNT: usize = 500_000;
    /// The time between additions: about what one influxd accepts.
    const PAUSE: Duration = Duration::from_micros(8);
    let Some(influxd) = Influxd::start() else { return };
    influxd.create(DATABASE);
    let config = Config::new().url(&influxd.url()).overflow(Overflow::Block);
    let client = Client::new(config).expect("a client");
    let mut measurement = Measurement::new(DATABASE, NAME);
    let mut taken = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        measurement.restart(DATABASE, NAME);
        sample::fill(&mut measurement);
        let start = Instant::now();
        client.add_measurement(&measurement).expect("added");
        let end = Instant::now();
        taken.push((end - start).as_nanos() as f64);
        while end.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
    }
    let report = client.shutdown(Duration::from_secs(60));
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(client.stats().delivered, COUNT as u64);
    taken.sort_by(f64::total_cmp);
    let (median, high) = (taken[COUNT / 2], taken[COUNT - COUNT / 1_000]);
    section(&format!(
        "Latency of add_measurement while {COUNT} are sent to influxd (with the clock's own)"
    ));
    nanoseconds("median", median);
    nanoseconds("99th percentile", taken[COUNT - COUNT / 100]);
    nanoseconds("99.9th percentile", high);
    share("99.9th percentile / 4 us", high / 4_000.0, Goal::AtMost(1.0));
}
