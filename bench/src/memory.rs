//! Measures the memory that a buffered line takes.

use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement};

use crate::sample::{self, DATABASE, NAME};
use crate::table::{Goal, figure, ratio, section};

pub fn run() {
    const BYTES: usize = 256 << 20;
    let config = Config::new().url("http://127.0.0.1:1").tag_hostname(false);
    let config = config.max_buffer_size(100_000_000);
    let config = config.max_buffer_bytes(BYTES).shutdown_timeout(Duration::ZERO);
    let client = Client::new(config).expect("a client");
    let mut measurement = Measurement::new(DATABASE, NAME);
    let (mut line, mut buffered) = (Vec::new(), 0);
    let before = resident_bytes();
    for _ in 0..BYTES / 256 {
        measurement.restart(DATABASE, NAME);
        sample::fill(&mut measurement);
        line.clear();
        measurement.append_to(&mut line);
        buffered += line.len();
        client.add_measurement(&measurement).expect("added");
    }
    let used = resident_bytes() - before;
    assert_eq!(client.stats().pending, (BYTES / 256) as u64);
    section("Memory, with a server that cannot be reached");
    figure("lines buffered", &format!("{:.1} MiB", mebibytes(buffered)));
    figure("additional memory", &format!("{:.1} MiB", mebibytes(used)));
    ratio(
        "bytes of memory / bytes of buffered line",
        used as f64 / buffered as f64,
        Goal::AtMost(1.1),
    );
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The memory of the process.
fn resident_bytes() -> usize {
    status_bytes("VmRSS:")
}

/// The peak memory of the process.
pub fn peak_bytes() -> usize {
    status_bytes("VmHWM:")
}

/// A figure from `/proc/self/status`.
fn status_bytes(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a figure");
    let kibibytes = line.split_whitespace().nth(1).expect("a number");
    kibibytes.parse::<usize>().expect("a number") * 1024
}
