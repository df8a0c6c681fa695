//! The first batch of a process shows within seconds where it goes, and whether that works.

use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::ports::unused_address;
use test_support::{LONG, wait_until};
use tracing::Level;

use super::log;

/// An interval that no test waits for.
const HOUR: Duration = Duration::from_secs(3_600);

fn config(url: &str) -> Config {
    Config::new().url(url).submission_interval(HOUR).tag_hostname(false)
}

fn add(client: &Client) {
    client.add_measurement(&Measurement::new("example", "m").field("n", 1)).unwrap();
}

#[test]
fn the_first_batch_does_not_wait_for_the_interval_and_the_log_says_where_it_goes() {
    let (log, server) = (log(), Server::start());
    let client = Client::new(config(&server.url()).database("example")).unwrap();
    assert_eq!(log.entries_with(&server.url()), [], "nothing was recorded yet");
    add(&client);
    assert!(server.wait_for_points("example", 1, LONG));
    let recording = format!(
        "recording to {}/write, database \"example\", every 3,600 s or 5,000 measurements",
        server.url()
    );
    assert_eq!(log.entries_with(&server.url()), [(Level::INFO, recording)]);
}

#[test]
fn a_new_server_gets_the_next_batch_as_soon() {
    let (log, servers) = (log(), [Server::start(), Server::start()]);
    let client = Client::new(config(&servers[0].url())).unwrap();
    add(&client);
    assert!(servers[0].wait_for_points("example", 1, LONG));
    client.reconfigure(|config| config.url(&servers[1].url())).unwrap();
    add(&client);
    assert!(servers[1].wait_for_points("example", 1, LONG));
    log.wait_for(&format!("recording to {}", servers[1].url()));
}

#[test]
fn a_wrong_configuration_is_one_warning_within_seconds() {
    let log = log();
    let server = Server::start();
    let dead = unused_address();
    let protected = Server::start();
    protected.require_basic("me", "hunter2");
    let empty = Server::start();
    empty.only_databases(["another"]);
    let https = server.url().replace("http:", "https:");
    for (config, address, problem) in [
        (config(&format!("http://{dead}")), dead, "connection refused; start it, or check"),
        (
            config(&protected.url()).credentials("me", "wrong"),
            protected.address(),
            "the server rejected the credentials: check",
        ),
        (config(&empty.url()), empty.address(), "database \"example\" does not exist: create it"),
        (config(&https), server.address(), "does not speak TLS: write http:// in"),
    ] {
        let client = Client::new(config.shutdown_timeout(Duration::ZERO)).unwrap();
        add(&client);
        wait_until(|| client.stats().last_error.is_some_and(|error| error.contains(problem)));
        // A retry is not another message.
        client.flush(Duration::ZERO);
        wait_until(|| client.stats().retries > 0);
        let mut entries = log.entries_with(&address.to_string());
        entries.retain(|(level, _)| *level <= Level::WARN);
        assert_eq!(entries.len(), 1, "{problem}: {entries:?}");
        assert!(
            entries[0].1.contains(problem) && entries[0].1.contains("1 measurement is waiting")
        );
    }
}
