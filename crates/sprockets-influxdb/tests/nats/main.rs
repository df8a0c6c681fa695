//! The transport to NATS JetStream against real servers.

mod connections;
mod faults;
mod stream;

use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement};
use stream::Stream;
use test_support::nats::NatsServers;
use test_support::{LONG, balanced};

fn config(url: &str) -> Config {
    // What waits at the end of a test is nobody's.
    Config::new().url(url).tag_hostname(false).shutdown_timeout(Duration::ZERO)
}

fn client(url: &str) -> Client {
    Client::new(config(url)).expect("a client")
}

fn measurement(database: &str, number: u64) -> Measurement {
    Measurement::new(database, "job").tag("kind", "a").field("number", number as i64)
}

#[test]
fn a_batch_is_a_message_with_its_database_and_precision() {
    let Some(servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let client = client(&servers.url());
    for database in ["example", "a.b *"] {
        for number in 0..3 {
            client.add_measurement(&measurement(database, number)).unwrap();
        }
    }
    assert!(client.flush(LONG).is_complete(), "{:?}", client.stats());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.batches), (6, 2));
    let mut messages = stream.messages();
    messages.sort_by_key(|message| message.database());
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].database(), "a.b *");
    assert_eq!(messages[0].subject, "influxdb.a%2Eb%20%2A");
    assert_eq!(messages[1].subject, "influxdb.example");
    let example = &messages[1];
    assert_eq!(example.header("Influxdb-Precision"), "ns");
    assert_eq!(example.header("Influxdb-Lines"), "3");
    assert_eq!(example.header("Content-Encoding"), "");
    let text = String::from_utf8(example.payload.clone()).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with("job,kind=a number=0i "), "{text}");
    assert!(stats.bytes_sent > text.len() as u64);
}
