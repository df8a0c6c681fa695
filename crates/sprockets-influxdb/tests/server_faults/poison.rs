//! Poison of a real server, played word for word, under load.

use std::thread;
use std::time::{Duration, Instant};

use sprockets_influxdb::testing::{Fault, Product, Server};
use sprockets_influxdb::{Api, Client, Measurement, Stats};

use test_support::{LONG, balanced, flush_until};

use super::config;
use super::table::with_api;

/// InfluxDB 3.6.0 breaks down where it cuts this line to 20 bytes.
fn poison() -> Measurement {
    Measurement::new("db", "p").tag("t", "aéééééééé").field("f", 1)
}

fn good(n: i64) -> Measurement {
    Measurement::new("db", "p").tag("n", n.to_string()).field("f", 0.5)
}

#[test]
fn a_line_that_breaks_the_server_down_stops_no_other() {
    for api in [Api::V1, Api::V3] {
        let server = Server::start_as(Product::InfluxDb3_6);
        let client = Client::new(with_api(api, &server)).unwrap();
        client.add_measurement(&good(-1)).unwrap();
        assert!(client.flush(LONG).is_complete());
        for n in 0..102 {
            let measurement = if n == 70 { poison() } else { good(n) };
            client.add_measurement(&measurement).unwrap();
        }
        let stats = flush_until(&client, |stats| stats.pending == 0);
        assert_eq!((stats.delivered, stats.rejected), (102, 1), "{api}: {stats:?}");
        assert_eq!(server.count("db"), 102, "{api}");
    }
}

/// `make poison-load`. `delivery/tests/poison.rs` plays the same in simulated time.
#[test]
#[ignore = "takes two minutes"]
#[allow(clippy::print_stdout)]
fn poison_under_load_stops_no_other() {
    for api in [Api::V3, Api::V1] {
        let server = Server::start_as(Product::InfluxDb3_6);
        let client = Client::new(with_api(api, &server)).unwrap();
        client.add_measurement(&good(-1)).unwrap();
        assert!(client.flush(LONG).is_complete());
        let started = Instant::now();
        let mut most_pending = 0;
        for n in 0..120_000 {
            let measurement = if n % 5_000 == 4_321 { poison() } else { good(n) };
            client.add_measurement(&measurement).unwrap();
            if n % 20 == 0 {
                let due = Duration::from_micros(500) * n as u32;
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
            if n % 2_000 == 0 {
                most_pending = most_pending.max(balanced(&client).pending);
            }
        }
        let before = balanced(&client);
        assert!(client.flush(LONG).is_complete(), "{api}: {:?}", client.stats());
        let Stats { delivered, rejected, pending, batches, .. } = balanced(&client);
        println!(
            "{api}: {delivered} delivered, {rejected} rejected, {pending} pending, at most \
             {most_pending} pending, {} before the flush, {batches} requests, {:?}",
            before.pending,
            started.elapsed()
        );
        assert_eq!((delivered, rejected, pending), (119_977, 24, 0), "{api}");
        assert_eq!(server.count("db"), 119_977, "{api}");
        assert!(most_pending < 40_000, "{api}");
    }
}

#[test]
fn a_server_slower_than_the_timeout_is_not_sent_everything_again_and_again() {
    let server = Server::start();
    // A batch of 5,000 lines takes half a second, all of them six.
    server.inject_always(Fault::slow(Duration::ZERO, Duration::from_micros(100)));
    let config = config(&server).timeout(Duration::from_millis(300)).gzip(false);
    let client = Client::new(config.max_buffer_size(100_000)).unwrap();
    let mut bytes = 0;
    for n in 0..60_000 {
        let measurement = Measurement::new("db", "m").field("n", n).timestamp(n + 1);
        client.add_measurement(&measurement).unwrap();
        bytes += measurement.marshall().len() as u64 + 1;
    }
    assert!(client.flush(LONG).is_complete(), "{:?}", client.stats());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, server.count("db")), (60_000, 60_000));
    assert!(stats.bytes_sent < bytes * 3 / 2, "{} of {bytes} bytes: {stats:?}", stats.bytes_sent);
}
