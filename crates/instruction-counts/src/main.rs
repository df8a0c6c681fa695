//! Runs the hot paths of the core one after the other. Callgrind writes its counts whenever this
//! calls `getppid`, which nothing else does: before the first path, and after each.
//! `bench/python/count.py` runs this, and compares the counts with those that are published.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::os::unix::process::parent_id;
use std::time::Duration;

use instruction_counts::{DATABASE, NAME, fill, measurement, record_request};
use sprockets_influxdb::middleware::{Recorder, RequestOptions};
use sprockets_influxdb::{Client, Config, Measurement};

/// Calls before the counted ones, which make and fill what is used again.
const WARM_UP: usize = 300;

fn main() {
    let calls = std::env::args().nth(1).and_then(|calls| calls.parse().ok());
    let calls = calls.expect("the number of calls");
    let client = client(Config::new());
    let finished = measurement();
    let mut lines = Vec::with_capacity(64 * 1024);
    let mut again = Measurement::new(DATABASE, NAME);
    let restarted = |measurement: &mut Measurement| {
        measurement.restart(black_box(DATABASE), black_box(NAME));
        fill(measurement);
    };

    count("encode a measurement", calls, || append(&finished, &mut lines));
    count("make from strings, encode", calls, || {
        restarted(&mut again);
        append(&again, &mut lines);
    });
    count("add a measurement", calls, || added(&client, &finished));
    count("make from strings, add", calls, || {
        restarted(&mut again);
        added(&client, &again);
    });
    let tagged = Config::new().base_tag("hostname", "web-17").base_tag("region", "eu");
    let tagged = self::client(tagged);
    count("add, with base tags of which one is overridden", calls, || added(&tagged, &finished));
    let series = client.series(DATABASE, NAME).bind("handler", "app.handlers.RequestHandler");
    count("record in a series", calls, || {
        let recorded = series.record(|line| {
            line.set_tag("method", black_box("GET")).set_tag("status_code", black_box("200"));
            line.set_field("content_length", black_box(51_234)).set_field("duration", 0.023_456);
        });
        recorded.expect("recorded");
    });
    let recorder = Recorder::new(client.clone(), DATABASE, NAME, RequestOptions::new());
    count("record a request", calls, || record_request(&recorder));
}

/// A client that sends nothing while instructions are counted.
fn client(config: Config) -> Client {
    let config = config.url("http://127.0.0.1:1").tag_hostname(false);
    let config = config.sample_probability(0.0).shutdown_timeout(Duration::ZERO);
    let config = config.max_buffer_size(1_000_000).trigger_size(1_000_000);
    let client = Client::new(config.submission_interval(Duration::from_secs(3600)));
    let client = client.expect("a client");
    // The first batch does not wait for the interval.
    added(&client, &measurement());
    assert!(client.flush(Duration::from_secs(60)).is_complete());
    client
}

fn count(name: &str, calls: usize, mut call: impl FnMut()) {
    for _ in 0..WARM_UP {
        call();
    }
    black_box(parent_id());
    for _ in 0..calls {
        call();
    }
    black_box(parent_id());
    println!("{name}");
}

fn append(measurement: &Measurement, lines: &mut Vec<u8>) {
    if lines.capacity() - lines.len() < 512 {
        lines.clear();
    }
    black_box(measurement).append_to(lines);
    black_box(lines);
}

fn added(client: &Client, measurement: &Measurement) {
    client.add_measurement(black_box(measurement)).expect("added");
}
