//! The client's own counters are points that do not count themselves.

use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::{LONG, balanced, block_on};

fn client(server: &Server) -> Client {
    let config = Config::new().url(&server.url()).self_database("own").base_tag("region", "eu");
    Client::new(config.submission_interval(Duration::from_secs(3_600))).unwrap()
}

fn add(client: &Client, n: i64) {
    client.add_measurement(&Measurement::new("db", "m").field("n", n)).unwrap();
}

#[test]
fn a_point_comes_with_the_first_batch_and_one_at_the_end() {
    let server = Server::start();
    let client = client(&server);
    (0..3).for_each(|n| add(&client, n));
    assert!(server.wait_for_points("own", 1, LONG) && server.wait_for_points("db", 3, LONG));
    add(&client, 3);
    client.shutdown(LONG);
    let stats = balanced(&client);
    drop(client);
    let points = server.points("own");
    assert_eq!(points.len(), 2, "one at the end");
    let last = &points[1];
    assert_eq!(last.measurement, "sprockets_influxdb");
    assert!(last.tag("hostname").is_some() && last.tag("region").is_none());
    for (name, count) in [
        ("added", stats.added),
        ("delivered", stats.delivered),
        ("batches", stats.batches),
        ("bytes_sent", stats.bytes_sent),
        ("pending", 0),
        ("dropped_newest", 0),
    ] {
        assert_eq!(last.field(name), Some(&i64::try_from(count).unwrap().into()), "{name}");
    }
    assert_eq!((stats.added, stats.delivered), (4, 4));
    assert_eq!(last.field("pid"), Some(&i64::from(std::process::id()).into()));
}

#[test]
fn a_shutdown_with_nothing_pending_writes_the_last_point_in_the_background_too() {
    let server = Server::start();
    let client = client(&server);
    add(&client, 1);
    assert!(client.flush(LONG).is_complete() && server.wait_for_points("own", 1, LONG));
    assert!(block_on(client.shutdown_async()).is_complete());
    assert_eq!(server.points("own").len(), 2);
}

#[test]
fn nothing_is_written_before_the_first_measurement() {
    let server = Server::start();
    let client = client(&server);
    client.flush(LONG);
    client.shutdown(LONG);
    drop(client);
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_that_does_not_answer_holds_up_no_end() {
    let server = Server::start();
    let client = client(&server);
    add(&client, 1);
    assert!(client.flush(LONG).is_complete());
    server.inject_always(Fault::black_hole());
    let report = client.shutdown(LONG);
    assert!(report.is_complete());
}
