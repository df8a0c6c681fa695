//! Failed connections, invalid replies, timeouts, and faults of some writes only.

use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Server, Stage};
use sprockets_influxdb::{Api, Client, Measurement};
use test_support::{LONG, balanced, flush_until};

use super::table::{ALL, Outcome, POISON, POISON_SEARCH, Row};
use super::{add, config};

fn play<const N: usize>(rows: [(&'static str, Fault, &'static str); N]) {
    for (case, fault, says) in rows {
        Row { case, apis: &[Api::V1], fault, outcome: Outcome::Kept, says }.run();
    }
}

/// One case for each stage of a reset. A new stage does not compile until it is here.
fn resets() -> [(&'static str, Fault); 3] {
    [Stage::BeforeBody, Stage::MidBody, Stage::BeforeReply].map(|stage| {
        let case = match stage {
            Stage::BeforeBody => "before the body",
            Stage::MidBody => "in the body",
            Stage::BeforeReply => "before the reply",
        };
        (case, Fault::reset(stage))
    })
}

#[test]
fn a_broken_connection_loses_no_point() {
    let broken = "closed the connection before it replied";
    play(resets().map(|(case, fault)| (case, fault, broken)));
    play([
        ("a reply is lost", Fault::reset(Stage::BeforeReply).and_store(), broken),
        ("slowly", Fault::reset(Stage::BeforeReply).after(Duration::from_millis(5)), broken),
        ("closed", Fault::close(), broken),
        ("closed, but stored", Fault::close().and_store(), broken),
        ("half closed", Fault::half_close(), broken),
    ]);
}

#[test]
fn an_invalid_reply_loses_no_point() {
    let long = "x".repeat(100_000);
    play([
        ("another protocol", Fault::raw("SSH-2.0-OpenSSH_9.2p1\r\n"), "does not speak HTTP"),
        (
            "a reply that stops",
            Fault::raw("HTTP/1.1 204 No"),
            "closed the connection before it replied",
        ),
        ("endless headers", Fault::error(500, "x").header("X-Long", long), "headers without end"),
    ]);
}

#[test]
fn a_server_that_is_too_slow_loses_no_point() {
    for (fault, stores) in [
        (Fault::black_hole(), false),
        (Fault::error(500, "x").dripping(Duration::from_secs(1)), false),
        (Fault::drip(Duration::from_secs(1)), true),
        (Fault::delay(Duration::from_secs(60)), true),
        (Fault::error(500, "x").after(Duration::from_secs(60)), false),
    ] {
        let name = format!("{fault:?}");
        let server = Server::start();
        server.inject_always(fault);
        let timeout = Duration::from_millis(50);
        let client = Client::new(config(&server).timeout(timeout)).unwrap();
        add(&client, 10);
        // On a slow machine the first request may time out before the server has read it.
        let stored = if stores { 10 } else { 0 };
        let stats = flush_until(&client, |stats| {
            stats.last_error.is_some() && server.count("db") == stored
        });
        assert_eq!(stats.pending, 10, "{name}");
        let error = stats.last_error.unwrap();
        let is_timeout = ["within 50ms", "within 100ms", "within 200ms"]
            .iter()
            .any(|timeout| error.ends_with(timeout));
        assert!(is_timeout, "{name}: {error}");

        server.clear_faults();
        client.reconfigure(|config| config.timeout(LONG)).unwrap();
        let stats = flush_until(&client, |stats| stats.pending == 0);
        assert_eq!((stats.delivered, server.count("db")), (10, 10), "{name}");
    }
}

#[test]
fn flush_and_shutdown_return_at_their_deadlines() {
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
fn a_line_that_breaks_each_reply_is_rejected_in_the_end() {
    let fault = Fault::unparsable_header();
    let outcome = Outcome::Searched { rejected: 1, most_requests: POISON_SEARCH };
    let says = "cannot be read";
    let poison = fault.clone().when_body_contains(POISON);
    Row { case: "a poison line", apis: &[Api::V1], fault: poison, outcome, says }.run();
    // No line is suspected if the next attempt succeeds.
    let server = Server::start();
    server.inject(fault.times(2));
    let client = Client::new(config(&server)).unwrap();
    add(&client, 10);
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 10);
    assert_eq!((balanced(&client).batches, server.count("db")), (3, 10));
}

#[test]
fn a_poison_line_after_which_the_connection_closes_holds_back_no_other() {
    let fault = Fault::close().when_body_contains(POISON);
    let outcome = Outcome::Searched { rejected: 1, most_requests: 2 * POISON_SEARCH };
    let says = "closed the connection before it replied";
    Row { case: "poison", apis: ALL, fault, outcome, says }.run();
}

#[test]
fn a_fault_of_one_database_delays_no_other() {
    let server = Server::start();
    server.inject_always(Fault::error(403, "not authorized").for_database("db"));
    let client = Client::new(config(&server)).unwrap();
    add(&client, 10);
    for n in 0..10 {
        let measurement = Measurement::new("other", "m").field("n", n);
        client.add_measurement(&measurement).unwrap();
    }
    let stats = flush_until(&client, |stats| stats.delivered == 10);
    assert_eq!((stats.pending, server.count("other"), server.count("db")), (10, 10, 0));
    server.clear_faults();
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 20);
}

#[test]
fn a_server_that_was_down_gets_everything() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    server.stop();
    add(&client, 1_000);
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    assert_eq!(stats.pending, 1_000);
    assert!(stats.last_error.unwrap().contains("connection refused; start it"));
    server.restart();
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 1_000);
    assert_eq!(server.count("db"), 1_000);
}
