//! Whatever the server answers, and however it fails, through real HTTP: nothing is lost, and the books balance.

mod network;
mod partial;
mod poison;
mod refusals;
mod row;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement, Stats};

const LONG: Duration = Duration::from_secs(60);

fn config(server: &Server) -> Config {
    Config::new().url(&server.url()).unwrap().tag_hostname(false)
}

fn add(client: &Client, lines: usize) {
    for n in 0..lines {
        let measurement = Measurement::new("db", "m").tag("t", "x y").field("n", n);
        client.add_measurement(&measurement).unwrap();
    }
}

#[track_caller]
fn balanced(client: &Client) -> Stats {
    let stats = client.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    stats
}

/// Flushes until the books are as they should be: a flush hurries what waits for better times.
#[track_caller]
fn flush_until(client: &Client, settled: impl Fn(&Stats) -> bool) -> Stats {
    for _ in 0..5_000 {
        client.flush(Duration::from_millis(10));
        let stats = balanced(client);
        if settled(&stats) {
            return stats;
        }
    }
    panic!("{:?}", client.stats());
}

/// All that a test can make the scripted server do wrong is done somewhere in here.
#[test]
fn no_fault_is_left_out() {
    let tests = [
        include_str!("main.rs"),
        include_str!("network.rs"),
        include_str!("partial.rs"),
        include_str!("poison.rs"),
        include_str!("refusals.rs"),
        include_str!("waits.rs"),
    ]
    .concat();
    let faults = include_str!("../../../sprockets-influxdb-testing/src/fault.rs").lines();
    let names: Vec<&str> =
        faults.filter_map(|line| line.strip_prefix("    pub fn ")?.split('(').next()).collect();
    assert!(names.contains(&"black_hole") && names.contains(&"and_store"), "{names:?}");
    for name in names {
        let is_used = [format!("Fault::{name}("), format!(".{name}(")]
            .iter()
            .any(|call| tests.contains(call));
        assert!(is_used, "no test has the server play `{name}`");
    }
}

#[test]
fn connections_are_kept() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    for _ in 0..20 {
        add(&client, 1);
        assert!(client.flush(LONG).is_complete());
    }
    assert_eq!(server.count("db"), 20);
    assert!(server.connections() <= 2, "{}", server.connections());
}

#[test]
fn the_futures_need_no_executor_of_their_own() {
    use std::future::Future;
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let block_on = |future: sprockets_influxdb::Flush| {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(report) => return report,
                Poll::Pending => std::thread::park(),
            }
        }
    };
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    add(&client, 10);
    assert_eq!(block_on(client.flush_async()).delivered, 10);
    add(&client, 5);
    let future = client.shutdown_async();
    add(&client, 1);
    assert_eq!(block_on(future).delivered, 5);
    assert_eq!(balanced(&client).dropped.total(), 1);
}

#[test]
fn the_last_client_dropped_delivers() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    let clone = client.clone();
    add(&client, 10);
    drop(client);
    add(&clone, 10);
    drop(clone);
    assert_eq!(server.count("db"), 20);
}

#[test]
fn settings_change_under_way() {
    let (first, second) = (Server::start(), Server::start());
    let client = Client::new(config(&first)).unwrap();
    first.stop();
    add(&client, 10);
    client.flush(Duration::from_millis(20));
    client.reconfigure(|config| config.url(&second.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    assert_eq!(second.count("db"), 10);
    let error = client.reconfigure(|config| config.sample_probability(1.5)).unwrap_err();
    assert!(error.to_string().contains("1.5"), "{error}");
    client.reconfigure(|config| Ok(config.enabled(false))).unwrap();
    add(&client, 3);
    assert_eq!(balanced(&client).dropped.total(), 3);
}
