//! What stands between the client and its server: TLS and proxies, against the scripted server.

mod front;
mod proxy;
mod tls;

use std::time::Duration;

use sprockets_influxdb::{Client, Measurement, Stats};

fn add(client: &Client, lines: usize) {
    for n in 0..lines {
        client.add_measurement(&Measurement::new("db", "m").field("n", n)).unwrap();
    }
}

/// Flushes until the books are as they should be: a flush hurries what waits for better times.
#[track_caller]
fn flush_until(client: &Client, settled: impl Fn(&Stats) -> bool) -> Stats {
    for _ in 0..5_000 {
        client.flush(Duration::from_millis(10));
        let stats = client.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        if settled(&stats) {
            return stats;
        }
    }
    panic!("{:?}", client.stats());
}
