//! Replies after which the client keeps everything and retries: one test for each such row of the
//! decision table, with the messages of InfluxDB 1.x, 2.x and 3.x and of proxies.

use std::time::{Duration, SystemTime};

use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Api, Client};
use test_support::{LONG, balanced, flush_until};

use super::table::{ALL, Outcome, V1, V2, V3, run, with_api};
use super::{add, config};

#[test]
fn configuration_errors_are_retried_until_they_are_corrected() {
    let place = "does not exist: create it, or correct the name";
    let api = "the server does not have this API: check the argument api and the argument url";
    let moved =
        Fault::status(307, "").header("Location", "https://elsewhere.example/write?p=secret");
    run(
        Outcome::Kept,
        [
            (
                "no credentials",
                V1,
                Fault::error(401, "authorization failed"),
                "none are set: set INFLUXDB_USER and INFLUXDB_PASSWORD",
            ),
            ("credentials", V2, Fault::error(401, "unauthorized"), "check the argument token"),
            (
                "permission",
                ALL,
                Fault::error(403, "not authorized to write"),
                "no permission to write to",
            ),
            ("database", V1, Fault::error(404, "database not found: \"db\""), place),
            ("database", V3, Fault::error(404, "database not found: \"db\""), place),
            (
                "bucket",
                V2,
                Fault::error(404, "bucket \"db\" not found"),
                "bucket \"db\" does not exist",
            ),
            (
                "org",
                V2,
                Fault::error(404, "organization name \"o\" not found"),
                "check the argument org",
            ),
            ("2.x as 1.x", V1, Fault::error(404, "no dbrp mapping found"), "no DBRP mapping"),
            ("another version", ALL, Fault::status(404, "404 page not found\n"), api),
            (
                "VictoriaMetrics",
                V3,
                Fault::status(400, "unsupported path requested: \"/api/v3/write_lp\""),
                api,
            ),
            (
                "something else",
                ALL,
                Fault::error(404, "no such thing"),
                "check the name and the argument api",
            ),
        ],
    );
    // Replies of proxies.
    run(
        Outcome::Kept,
        [
            (
                "TLS",
                V1,
                Fault::status(400, "Client sent an HTTP request to an HTTPS server.\n"),
                "write https:// in the argument url",
            ),
            (
                "a success with a body",
                ALL,
                Fault::status(200, "{\"error\":\"partial write\"}").and_store(),
                "an answer that confirms no write: check the argument url",
            ),
            ("method", ALL, Fault::error(405, "Method Not Allowed"), api),
            ("not implemented", ALL, Fault::status(501, ""), "501 without a text"),
            ("redirect", ALL, moved, "redirects to https://elsewhere.example/write, and"),
            ("payment", V2, Fault::status(402, ""), "the account's limit is reached"),
            ("proxy", V1, Fault::status(407, ""), "the proxy wants credentials"),
            ("encoding", V1, Fault::status(415, ""), "set INFLUXDB_GZIP=false"),
            (
                "teapot",
                V1,
                Fault::status(418, "short and stout"),
                "an answer that no InfluxDB gives",
            ),
        ],
    );
}

/// The same with a server that checks tokens and databases.
#[test]
fn a_configuration_error_can_be_corrected_in_the_client_or_the_server() {
    for api in [Api::V1, Api::V2, Api::V3] {
        let server = Server::start();
        server.require_token("right");
        server.only_databases(["other"]);
        let client = Client::new(with_api(api, &server).token("wrong")).unwrap();
        add(&client, 10);
        let says = |text: &'static str| {
            flush_until(&client, |stats| {
                stats.last_error.as_deref().is_some_and(|error| error.contains(text))
            })
        };
        assert_eq!(says("check the argument token").pending, 10, "{api}");
        client.reconfigure(|config| config.token("right")).unwrap();
        assert_eq!(says("does not exist: create it").pending, 10, "{api}");
        server.any_database();
        assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 10, "{api}");
        assert_eq!(server.count("db"), 10, "{api}");
    }
}

#[test]
fn a_busy_server_is_retried() {
    let queue_full = "request throttled, queue full";
    let slow_down = || Fault::error(429, "slow down");
    run(
        Outcome::Kept,
        [
            ("timeout", ALL, Fault::error(408, "gone"), "408"),
            ("too early", ALL, Fault::status(425, ""), "425"),
            ("limit", ALL, slow_down(), "429: slow down"),
            ("limit, and when", ALL, slow_down().retry_after(0), "429: slow down"),
            (
                "limit, and when not",
                ALL,
                slow_down().retry_at(SystemTime::UNIX_EPOCH),
                "429: slow down",
            ),
            ("limit, and nonsense", ALL, slow_down().retry_after("soon"), "429: slow down"),
            ("gateway", ALL, Fault::status(502, "<html>bad gateway</html>"), "502"),
            ("throttled", V1, Fault::status(503, queue_full), queue_full),
            ("unavailable", ALL, Fault::error(503, "unavailable"), "503: unavailable"),
            (
                "before the body",
                ALL,
                Fault::error(503, "unavailable").before_body(),
                "503: unavailable",
            ),
            ("gateway", ALL, Fault::status(504, ""), "504"),
            (
                "cache",
                V1,
                Fault::error(500, "engine: cache-max-memory-size exceeded: (4998/3000)"),
                "cache-max-memory",
            ),
            (
                "cache",
                V2,
                Fault::error(500, "engine: cache-max-memory-size exceeded: (4998/3000)"),
                "cache-max-memory",
            ),
        ],
    );
}

#[test]
fn a_flush_does_not_shorten_retry_after() {
    let hour = Duration::from_secs(3600);
    for fault in [
        Fault::error(429, "slow down").retry_after(hour.as_secs()),
        Fault::error(503, "unavailable").retry_at(SystemTime::now() + hour),
        Fault::error(500, "engine: cache-max-memory-size exceeded: (2/1)")
            .retry_after(hour.as_secs()),
        Fault::error(500, "timeout").retry_after(hour.as_secs()),
    ] {
        let server = Server::start();
        server.inject(fault);
        let client = Client::new(config(&server)).unwrap();
        add(&client, 10);
        flush_until(&client, |stats| stats.last_error.is_some());
        for _ in 0..3 {
            assert_eq!(client.flush(Duration::from_millis(10)).pending, 10);
        }
        assert_eq!((server.writes().len(), balanced(&client).batches), (1, 1));
        // A changed configuration is tried at once.
        client.reconfigure(|config| config.timeout(LONG)).unwrap();
        assert!(client.flush(LONG).is_complete());
        assert_eq!((balanced(&client).delivered, server.count("db")), (10, 10));
    }
}

#[test]
fn unknown_errors_are_retried() {
    run(
        Outcome::Kept,
        [
            ("any", ALL, Fault::error(500, "some fault"), "500: some fault"),
            ("timeout", V1, Fault::error(500, "timeout"), "500: timeout"),
            ("timeout, but stored", ALL, Fault::error(500, "timeout").and_store(), "500: timeout"),
            ("shutting down", V1, Fault::error(500, "write failed"), "500: write failed"),
            ("client gone", V2, Fault::error(499, "client closed"), "499"),
            ("none that exists", ALL, Fault::status(599, ""), "599 without a text"),
            ("a long text", ALL, Fault::oversized(500, 3_000_000), "500: xxx"),
            ("a text that stops", ALL, Fault::error(500, "some fault").truncated(), "500"),
        ],
    );
}

/// The backoff of these failures is half a minute at least.
#[test]
fn a_flush_during_a_request_that_fails_does_not_wait_for_the_backoff() {
    let delivers = |status, reason, is_known: bool| {
        let server = Server::start();
        let client = Client::new(config(&server)).unwrap();
        if is_known {
            add(&client, 1);
            assert!(client.flush(LONG).is_complete());
        }
        server.inject(Fault::error(status, reason).after(Duration::from_secs(2)));
        add(&client, 1);
        client.flush(Duration::ZERO);
        assert!(server.wait_for_requests(1 + usize::from(is_known), LONG));
        let report = client.flush(Duration::from_secs(20));
        assert!(report.is_complete(), "{status}, known: {is_known}: {report:?}");
    };
    std::thread::scope(|scope| {
        for (status, reason) in [(401, "unauthorized"), (404, "database not found: \"db\"")] {
            for is_known in [true, false] {
                scope.spawn(move || delivers(status, reason, is_known));
            }
        }
    });
}

#[test]
fn a_request_to_the_old_server_does_not_hold_up_the_new_one() {
    let (old, new) = (Server::start(), Server::start());
    let client = Client::new(config(&old)).unwrap();
    old.inject(Fault::error(401, "unauthorized").after(Duration::from_secs(2)));
    add(&client, 1);
    client.flush(Duration::ZERO);
    assert!(old.wait_for_requests(1, LONG));
    client.reconfigure(|config| config.url(&new.url())).unwrap();
    // Nobody asks for a retry.
    assert!(new.wait_for_points("db", 1, Duration::from_secs(20)));
}
