//! The transport to NATS JetStream against real servers.

mod connections;
mod faults;
mod replicas;
mod stream;

use std::time::Duration;

use influxdb_line_protocol::parse_lines;
use sprockets_influxdb::{Client, Config, Measurement};
use stream::{Stored, Stream};
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
    // The simulated stream of the transport's unit tests counts so, too.
    let bytes = |stored: &Stored| 34 + stored.subject.len() + stored.head + stored.payload.len();
    let stored: usize = messages.iter().map(bytes).sum();
    assert_eq!(stream.info()["state"]["bytes"], stored);
}

/// Telegraf's `nats_consumer` subscribes so: to a subject, or by a push consumer of a queue group.
#[test]
fn any_subscriber_gets_bare_line_protocol() {
    let Some(servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let subscribed = stream.subscribe("influxdb.example", "");
    let pushed = stream.subscribe("deliver.telegraf", "telegraf");
    let consumer = serde_json::json!({
        "durable_name": "telegraf", "deliver_subject": "deliver.telegraf",
        "deliver_group": "telegraf", "ack_policy": "explicit", "deliver_policy": "all",
        "filter_subject": "influxdb.example",
    });
    let body = serde_json::json!({ "stream_name": "INFLUXDB", "config": consumer });
    stream.api("CONSUMER.DURABLE.CREATE.INFLUXDB.telegraf", &body);
    let client = client(&servers.url());
    for number in 0..3 {
        client.add_measurement(&measurement("example", number)).unwrap();
    }
    assert!(client.flush(LONG).is_complete(), "{:?}", client.stats());
    for payloads in [subscribed, pushed] {
        let payload = payloads.recv_timeout(LONG).unwrap();
        let text = std::str::from_utf8(&payload).unwrap();
        let lines: Vec<_> = parse_lines(text).map(|line| line.unwrap()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines.iter().all(|line| line.series.measurement == "job"), "{text}");
        assert!(lines.iter().all(|line| line.timestamp.is_some()), "{text}");
    }
}
