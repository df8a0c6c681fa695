//! A real influxd returns what was recorded.

mod rejected;
mod requests;
mod round_trip;

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement, Overflow, Precision};
use test_support::LONG;
use test_support::influxd::Influxd;

fn config(influxd: &Influxd) -> Config {
    Config::new().url(&influxd.url()).tag_hostname(false)
}

#[test]
fn the_first_example_stores_its_point() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    let client = Client::new(config(&influxd).base_tag("region", "eu")).unwrap();
    let measurement =
        Measurement::new("example", "measurement-name").tag("foo", "bar").field("baz", 1.05);
    client.add_measurement(&measurement).unwrap();
    let report = client.shutdown(LONG);
    assert_eq!((report.delivered, report.pending), (1, 0), "{:?}", client.stats());
    let result = influxd.query("example", "SELECT * FROM \"measurement-name\"");
    let series = &result["results"][0]["series"][0];
    assert_eq!(series["columns"], serde_json::json!(["time", "baz", "foo", "region"]));
    assert_eq!(series["values"][0][1], 1.05);
}

#[test]
fn ten_thousand_equal_measurements_are_ten_thousand_points() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    let client = Client::new(config(&influxd)).unwrap();
    for _ in 0..10_000 {
        let measurement = Measurement::new("example", "m").tag("t", "x").field("f", 1);
        client.add_measurement(&measurement).unwrap();
    }
    let same = Measurement::new("example", "same").field("f", 1);
    for _ in 0..10_000 {
        client.add_measurement(&same).unwrap();
    }
    let report = client.flush(LONG);
    assert!(report.is_complete(), "{report:?} {:?}", client.stats());
    assert_eq!(influxd.count("example", "m", "f"), 10_000);
    assert_eq!(influxd.count("example", "same", "f"), 10_000);
    assert!(client.stats().is_balanced());
}

/// Prints the figures of the README:
/// `cargo test --release --test real_influxd coarser -- --nocapture`.
#[test]
#[allow(clippy::print_stdout)]
fn a_coarser_precision_stores_one_point_for_each_unit_of_time() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("example");
    for precision in [
        Precision::Nanoseconds,
        Precision::Microseconds,
        Precision::Milliseconds,
        Precision::Seconds,
    ] {
        let client = Client::new(config(&influxd).precision(precision)).unwrap();
        let name = precision.to_string();
        let added: Vec<Measurement> = (0..10_000)
            .map(|_| {
                let measurement = Measurement::new("example", &name).tag("t", "x").field("f", 1);
                client.add_measurement(&measurement).unwrap();
                measurement
            })
            .collect();
        assert!(client.flush(LONG).is_complete());
        let stats = client.stats();
        // The server does not report that it has overwritten a point.
        assert_eq!((stats.delivered, stats.rejected), (10_000, 0), "{stats:?}");
        let units: HashSet<i64> =
            added.iter().map(|measurement| timestamp(measurement) / precision.divisor()).collect();
        let points = influxd.count("example", &name, "f");
        assert_eq!(points, units.len() as u64, "{name}");
        println!("{name}: {points} points of 10000");
    }
}

/// The timestamp at the end of a measurement's line.
fn timestamp(measurement: &Measurement) -> i64 {
    measurement.marshall().rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_server_killed_under_load_stores_every_point_once_after_its_restart() {
    let Some(mut influxd) = Influxd::start() else { return };
    influxd.create("example");
    let config = config(&influxd).overflow(Overflow::Block).block_timeout(LONG);
    let client = Client::new(config).unwrap();
    // Some are added before and while the server is killed, and more than the buffer holds while it
    // is down.
    let (half_way, reached) = mpsc::channel();
    let (killed, was_killed) = mpsc::channel();
    let adding = {
        let client = client.clone();
        thread::spawn(move || {
            for n in 0..200_000 {
                match n {
                    50_000 => half_way.send(()).unwrap(),
                    100_000 => was_killed.recv().unwrap(),
                    _ => {}
                }
                let measurement = Measurement::new("example", "m").field("n", n);
                client.add_measurement(&measurement).unwrap();
            }
        })
    };
    reached.recv().unwrap();
    influxd.crash();
    killed.send(()).unwrap();
    // The adding thread is blocked, or will be: the buffer holds a quarter of what it still adds.
    assert!(!client.flush(Duration::from_millis(100)).is_complete());
    assert!(!adding.is_finished());
    influxd.restart();
    adding.join().unwrap();
    let report = client.shutdown(LONG);
    let stats = client.stats();
    assert!(report.is_complete() && stats.is_balanced(), "{stats:?}");
    assert_eq!(stats.delivered, 200_000, "{stats:?}");
    assert_eq!(influxd.count("example", "m", "n"), 200_000);
}
