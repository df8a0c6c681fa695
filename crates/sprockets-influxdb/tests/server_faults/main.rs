//! Every reply and every fault of the scripted server: nothing is lost, and the counters balance.

mod answers;
mod foreign_replies;
mod influxdb3;
mod influxdb3_lines;
mod network;
mod partial;
mod poison;
mod raw;
mod rejected;
mod retried;
mod secrets;
mod table;

use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::{LONG, balanced, block_on};

fn config(server: &Server) -> Config {
    Config::new().url(&server.url()).tag_hostname(false)
}

fn add(client: &Client, lines: usize) {
    for n in 0..lines {
        let measurement = Measurement::new("db", "m").tag("t", "x y").field("n", n);
        client.add_measurement(&measurement).unwrap();
    }
}

#[test]
fn connections_are_reused() {
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
fn flush_and_shutdown_futures_run_on_any_executor() {
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
fn dropping_the_last_clone_delivers() {
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
fn settings_change_at_run_time() {
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
    client.reconfigure(|config| config.enabled(false)).unwrap();
    add(&client, 3);
    assert_eq!(balanced(&client).dropped.total(), 3);
}
