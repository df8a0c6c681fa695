use std::time::{Duration, Instant};

use super::*;
use crate::testing::{Fault, Server};
use crate::{Config, DropReason, Overflow};

const LONG: Duration = Duration::from_secs(30);

fn client(server: &Server) -> Client {
    Client::new(Config::new().url(&server.url()).tag_hostname(false)).unwrap()
}

fn measurement(database: &str) -> Measurement {
    Measurement::new(database, "m").field("n", 1)
}

fn end(flush: &TrackedFlush) -> (Report, Option<String>) {
    flush.end(LONG, || false)
}

#[test]
fn it_waits_for_room_whatever_the_overflow_setting_is() {
    for overflow in [Overflow::Newest, Overflow::Oldest] {
        let server = Server::start();
        let config = Config::new().url(&server.url()).overflow(overflow).max_buffer_size(10);
        let client = Client::new(config.tag_hostname(false)).unwrap();
        let flush = TrackedFlush::begin(&client, "db");
        for _ in 0..1_000 {
            assert_eq!(flush.add(&measurement("db"), LONG).unwrap(), Added::Pending);
        }
        assert_eq!(end(&flush).0.delivered, 1_000);
        assert_eq!((server.count("db"), client.stats().dropped.total()), (1_000, 0));

        server.stop();
        let add = || flush.add(&measurement("db"), Duration::from_millis(1)).unwrap();
        assert_eq!((0..20).take_while(|_| add() == Added::Pending).count(), 10);
        assert_eq!(client.stats().dropped.count(DropReason::BlockTimeout), 1);
        client.shutdown(Duration::ZERO);
        assert_eq!(flush.add(&measurement("db"), LONG).unwrap(), Added::Dropped);
        assert_eq!(client.stats().dropped.count(DropReason::Closed), 1);
    }
}

#[test]
fn only_its_own_database_and_time_count() {
    let server = Server::start();
    let client = client(&server);
    client.add_measurement(&measurement("db")).unwrap();
    let flush = TrackedFlush::begin(&client, "db");
    for database in ["other", "db", "db"] {
        client.add_measurement(&measurement(database)).unwrap();
    }
    let (report, failure) = end(&flush);
    assert_eq!((report.delivered, report.pending, failure), (2, 0, None));
    assert!(client.flush(LONG).is_complete());
    assert_eq!((server.count("db"), server.count("other")), (3, 1));
}

#[test]
fn a_database_that_is_missing_holds_up_no_other() {
    let server = Server::start();
    server.only_databases(["db"]);
    let client = client(&server);
    let missing = TrackedFlush::begin(&client, "missing");
    missing.add(&measurement("missing"), LONG).unwrap();
    let (report, failure) = end(&missing);
    assert_eq!((report.delivered, report.pending), (0, 1));
    assert!(failure.unwrap().contains("database not found"));

    let flush = TrackedFlush::begin(&client, "db");
    flush.add(&measurement("db"), LONG).unwrap();
    let (report, failure) = end(&flush);
    assert_eq!((report.delivered, report.pending, failure), (1, 0, None));
    assert_eq!(client.stats().pending, 1);

    // It exists now, and there is no wait for the backoff.
    server.any_database();
    let again = TrackedFlush::begin(&client, "missing");
    again.add(&measurement("missing"), LONG).unwrap();
    assert_eq!(end(&again).0.delivered, 1);
}

#[test]
fn a_refusal_ends_the_wait_for_room() {
    let server = Server::start();
    server.only_databases(["db"]);
    let config = Config::new().url(&server.url()).tag_hostname(false).max_buffer_size(10);
    let client = Client::new(config).unwrap();
    let flush = TrackedFlush::begin(&client, "missing");
    let add = || flush.add(&measurement("missing"), Duration::from_secs(3_600)).unwrap();
    assert_eq!((0..20).take_while(|_| add() == Added::Pending).count(), 10);
}

#[test]
fn a_rejected_line_is_counted_with_its_reason() {
    let server = Server::start();
    server.inject_always(Fault::reject_lines_unnamed(|line| line.contains("n=1")));
    let client = client(&server);
    let flush = TrackedFlush::begin(&client, "db");
    flush.add(&measurement("db"), LONG).unwrap();
    let (report, failure) = end(&flush);
    assert_eq!((report.rejected, report.pending), (1, 0));
    assert!(failure.is_some());
}

#[test]
fn what_is_sampled_out_is_counted() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).tag_hostname(false).sample_probability(0.0);
    let client = Client::new(config).unwrap();
    let flush = TrackedFlush::begin(&client, "db");
    flush.add(&measurement("db"), LONG).unwrap();
    assert_eq!(end(&flush).0.sampled_out, 1);
}

#[test]
fn a_server_that_is_down_is_waited_for_until_the_deadline() {
    let server = Server::start();
    server.stop();
    let client = client(&server);
    let flush = TrackedFlush::begin(&client, "db");
    flush.add(&measurement("db"), LONG).unwrap();
    let (deadline, begun) = (Duration::from_millis(200), Instant::now());
    let (report, failure) = flush.end(deadline, || false);
    assert!(begun.elapsed() >= deadline);
    assert_eq!(report.pending, 1);
    assert!(failure.unwrap().contains("connection refused"));
}
