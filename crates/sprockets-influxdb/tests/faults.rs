//! Every fault that the scripted server plays, through real HTTP: nothing is lost, and the books balance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Server, Stage};
use sprockets_influxdb::{Api, Client, Config, Measurement, Report, Stats};

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

fn balanced(client: &Client) -> Stats {
    let stats = client.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    stats
}

/// Adds a hundred measurements while the server plays a fault, and flushes.
fn flushed(config: Config) -> (Client, Report) {
    let client = Client::new(config).unwrap();
    add(&client, 100);
    let report = client.flush(LONG);
    (client, report)
}

#[test]
fn a_fault_that_passes_costs_a_retry_and_no_point() {
    let faults: Vec<(&str, Fault)> = vec![
        ("500", Fault::error(500, "timeout")),
        ("500, stored nevertheless", Fault::error(500, "timeout").and_store()),
        ("write failed", Fault::error(500, "write failed")),
        ("cache", Fault::error(500, "engine: cache-max-memory-size exceeded: (4998/3000)")),
        ("502", Fault::status(502, "bad gateway")),
        ("503", Fault::status(503, "request throttled, queue full")),
        ("504", Fault::status(504, "")),
        ("408", Fault::status(408, "")),
        ("429", Fault::error(429, "slow down").retry_after(0)),
        ("429, garbage", Fault::error(429, "slow down").retry_after("soon")),
        ("401", Fault::error(401, "authorization failed")),
        ("403", Fault::error(403, "\"ro\" user is not authorized to write to database \"db\"")),
        ("404", Fault::error(404, "database not found: \"db\"")),
        ("413", Fault::error(413, "Request Entity Too Large")),
        ("413, early", Fault::error(413, "Request Entity Too Large").before_body()),
        ("conflict", Fault::error(400, "field type conflict")),
        ("reset before the body", Fault::reset(Stage::BeforeBody)),
        ("reset in the body", Fault::reset(Stage::MidBody)),
        ("reset before the reply", Fault::reset(Stage::BeforeReply)),
        ("closed", Fault::close()),
        ("closed, stored", Fault::close().and_store()),
        ("half-closed", Fault::half_close()),
        ("unparsable", Fault::unparsable_header()),
        ("oversized", Fault::oversized(500, 3_000_000)),
        ("truncated", Fault::status(500, "something").truncated()),
        ("delayed", Fault::delay(Duration::from_millis(20))),
    ];
    for (name, fault) in faults {
        let server = Server::start();
        server.inject(fault);
        let client = Client::new(config(&server).timeout(Duration::from_secs(2)).unwrap()).unwrap();
        add(&client, 100);
        // A flush hurries what waits for an operator: the second one tries again at once.
        let mut report = client.flush(Duration::from_millis(200));
        for _ in 0..50 {
            if report.is_complete() {
                break;
            }
            report = client.flush(Duration::from_secs(2));
        }
        let stats = balanced(&client);
        assert_eq!(stats.delivered, 100, "{name}: {stats:?}");
        assert_eq!(server.count("db"), 100, "{name}");
        let tries = if name == "delayed" { 1 } else { 2 };
        assert!(stats.batches >= tries, "{name}: the fault was not played: {stats:?}");
    }
}

#[test]
fn what_the_server_refuses_for_good_is_rejected_with_its_reason() {
    for (status, reason) in [
        (400, "unable to parse 'nothing of ours': missing fields"),
        (405, "method not allowed"),
        (422, "unprocessable"),
        (500, "retention policy not found: nope"),
    ] {
        let server = Server::start();
        server.inject_always(Fault::error(status, reason));
        let (client, report) = flushed(config(&server));
        assert!(report.is_complete(), "{status}: {report:?}");
        let stats = balanced(&client);
        assert_eq!(stats.rejected, 100, "{status}: {stats:?}");
        assert!(stats.last_error.is_some());
    }
}

#[test]
fn bad_lines_are_found_in_every_dialect() {
    for api in [Api::V1, Api::V2, Api::V3] {
        let server = Server::start();
        let rejected = Arc::new(Mutex::new(Vec::new()));
        let log = rejected.clone();
        let mut config = config(&server).api(api).on_rejected(move |rejected| {
            log.lock().unwrap().push(rejected.line().to_owned());
        });
        if api != Api::V1 {
            config = config.org("o").token("t");
        }
        let client = Client::new(config).unwrap();
        // The field is a float on the server; an integer conflicts.
        client.add_measurement(&Measurement::new("db", "m").field("f", 1.0)).unwrap();
        assert!(client.flush(LONG).is_complete());
        for n in 0..50 {
            let measurement = Measurement::new("db", "m").tag("n", n.to_string());
            let measurement =
                if n == 17 { measurement.field("f", 1) } else { measurement.field("f", 2.0) };
            client.add_measurement(&measurement).unwrap();
        }
        assert!(client.flush(LONG).is_complete(), "{api}");
        let stats = balanced(&client);
        assert_eq!((stats.delivered, stats.rejected), (50, 1), "{api}: {stats:?}");
        let rejected = rejected.lock().unwrap();
        assert_eq!(rejected.len(), 1, "{api}");
        assert!(rejected[0].starts_with("m,n=17 f=1i"), "{api}: {rejected:?}");
        assert_eq!(server.count("db"), 50);
    }
}

#[test]
fn lines_that_nobody_names_are_found_by_halves() {
    let server = Server::start();
    server.inject_always(Fault::reject_lines_unnamed(|line| line.contains("n=77i")));
    let (client, report) = flushed(config(&server));
    assert!(report.is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.rejected), (99, 1), "{stats:?}");
    assert!(stats.batches <= 1 + 2 * 7, "{stats:?}");
}

#[test]
fn a_poison_line_with_an_unparsable_reply_does_not_go_round_for_ever() {
    let server = Server::start();
    server.inject_always(Fault::unparsable_header().when_body_contains("n=42i"));
    let (client, report) = flushed(config(&server));
    assert!(report.is_complete(), "{report:?}");
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.rejected), (99, 1), "{stats:?}");
}

#[test]
fn deadlines_hold_whatever_the_server_does() {
    for fault in [Fault::black_hole(), Fault::drip(Duration::from_secs(1)), Fault::half_close()] {
        let server = Server::start();
        server.inject_always(fault);
        let client = Client::new(config(&server).shutdown_timeout(Duration::ZERO)).unwrap();
        add(&client, 10);
        let report = client.flush(Duration::from_millis(50));
        assert_eq!(report.pending, 10);
        let report = client.shutdown(Duration::from_millis(50));
        assert_eq!(report.pending, 10);
        assert_eq!(balanced(&client).pending, 10);
    }
}

#[test]
fn a_server_that_is_down_gets_everything_when_it_is_back() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    server.stop();
    add(&client, 1_000);
    assert_eq!(client.flush(Duration::from_millis(50)).pending, 1_000);
    server.restart();
    assert!(client.flush(LONG).is_complete());
    assert_eq!((balanced(&client).delivered, server.count("db")), (1_000, 1_000));
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
