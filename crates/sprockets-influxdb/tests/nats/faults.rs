//! What goes wrong with servers and streams: what the client says, and that nothing is lost.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use sprockets_influxdb::spool::Directory;
use sprockets_influxdb::{Client, Stats};
use test_support::nats::NatsServers;
use test_support::{balanced, flush_until, wait_until};

use super::stream::{Stored, Stream};
use super::{client, config, measurement};

/// Adds a measurement, and waits until the client gives a reason why it waits.
fn reason(client: &Client) -> String {
    client.add_measurement(&measurement("example", 1)).unwrap();
    let stats = flush_until(client, |stats| stats.last_error.is_some());
    assert_eq!((stats.pending, stats.delivered), (1, 0), "{stats:?}");
    stats.last_error.unwrap_or_default()
}

fn delivered(client: &Client, count: u64) -> Stats {
    let stats = flush_until(client, |stats| stats.delivered == count);
    assert_eq!((stats.pending, stats.rejected), (0, 0), "{stats:?}");
    stats
}

/// Old clusters store a message again that comes again.
fn different_lines(stream: &Stream) -> usize {
    let lines: HashSet<_> = stream.messages().iter().flat_map(Stored::lines).collect();
    lines.len()
}

#[test]
fn a_missing_stream_says_how_to_create_it() {
    let Some(servers) = NatsServers::start(1) else { return };
    let client = client(&servers.url());
    let reason = reason(&client);
    assert!(reason.contains("no stream stores messages to influxdb.example"), "{reason}");
    assert!(reason.contains("--create"), "{reason}");
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    delivered(&client, 1);
    assert_eq!(stream.len(), 1);
}

#[test]
fn a_server_without_jetstream_says_so() {
    let Some(servers) = NatsServers::start_without_jetstream() else { return };
    let reason = reason(&client(&servers.url()));
    assert!(reason.contains("no JetStream at nats://"), "{reason}");
}

#[test]
fn a_full_stream_delivers_once_there_is_room() {
    let Some(servers) = NatsServers::start(1) else { return };
    let limits = json!({ "max_msgs": 1, "discard": "new" });
    let stream = Stream::create_with(&servers.url(), "INFLUXDB", limits);
    let client = client(&servers.url());
    client.add_measurement(&measurement("example", 0)).unwrap();
    delivered(&client, 1);
    client.add_measurement(&measurement("example", 1)).unwrap();
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("the stream is full"), "{reason}");
    stream.api("STREAM.PURGE.INFLUXDB", &Value::Null);
    delivered(&client, 2);
    assert_eq!(stream.len(), 1);
}

#[test]
fn another_stream_than_the_expected_one_is_named() {
    let Some(servers) = NatsServers::start(1) else { return };
    let _stream = Stream::create(&servers.url(), "OTHER", 1);
    let settings = config(&servers.url()).nats_stream("INFLUXDB");
    let reason = reason(&Client::new(settings).unwrap());
    assert!(reason.contains("correct INFLUXDB_NATS_STREAM"), "{reason}");
}

#[test]
fn a_reply_that_is_not_an_acknowledgement_delivers_nothing() {
    let Some(servers) = NatsServers::start(1) else { return };
    for reply in ["", "ok", "{}", r#"{"stream":"","seq":0}"#, r#"{"seq":1}"#] {
        let service = Stream::open(&servers.url(), "none");
        service.reply_to_all("influxdb.example", reply);
        let reason = reason(&client(&servers.url()));
        assert!(reason.contains("something other than JetStream replied"), "{reply}: {reason}");
    }
}

/// As servers reply from 2.10.14 on, and from 2.11 on.
#[test]
fn a_repeat_of_a_message_that_is_not_stored_yet_waits() {
    let Some(servers) = NatsServers::start(1) else { return };
    let refusal =
        r#"{"error":{"code":409,"err_code":10158,"description":"d"},"stream":"S","seq":0}"#;
    for reply in [r#"{"stream":"S","seq":0,"duplicate": true}"#, refusal] {
        let service = Stream::open(&servers.url(), "none");
        service.reply_to_all("influxdb.example", reply);
        let reason = reason(&client(&servers.url()));
        assert!(reason.contains("JetStream has not yet stored"), "{reply}: {reason}");
    }
}

#[test]
fn a_message_is_smaller_than_the_server_takes() {
    let Some(servers) = NatsServers::start_with(1, "max_payload: 16384") else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let client = client(&servers.url());
    for number in 0..2_000 {
        client.add_measurement(&measurement("example", number)).unwrap();
    }
    delivered(&client, 2_000);
    let messages = stream.messages();
    assert!(messages.iter().all(|message| message.payload.len() < 16_384));
    let lines = messages.iter().map(|message| message.header("Influxdb-Lines").parse::<u64>());
    assert_eq!(lines.map(Result::unwrap).sum::<u64>(), 2_000);
}

#[test]
fn a_line_that_no_message_can_hold_is_rejected() {
    let Some(servers) = NatsServers::start_with(1, "max_payload: 16384") else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let client = client(&servers.url());
    client.add_measurement(&measurement("example", 1)).unwrap();
    let long = measurement("example", 2).field("text", "x".repeat(20_000));
    client.add_measurement(&long).unwrap();
    client.add_measurement(&measurement("example", 3)).unwrap();
    let stats = flush_until(&client, |stats| stats.pending == 0);
    assert_eq!((stats.delivered, stats.rejected), (2, 1), "{stats:?}");
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("raise max_payload"), "{reason}");
    let lines: usize = stream.messages().iter().map(|stored| stored.lines().len()).sum();
    assert_eq!(lines, 2);
}

#[test]
fn a_stream_with_small_messages_gets_small_batches() {
    let Some(servers) = NatsServers::start(1) else { return };
    let limits = json!({ "max_msg_size": 8_192 });
    let stream = Stream::create_with(&servers.url(), "INFLUXDB", limits);
    let client = client(&servers.url());
    for number in 0..1_000 {
        client.add_measurement(&measurement("example", number)).unwrap();
    }
    let long = measurement("example", 0).field("text", "x".repeat(20_000));
    client.add_measurement(&long).unwrap();
    let stats = flush_until(&client, |stats| stats.pending == 0);
    assert_eq!((stats.delivered, stats.rejected), (1_000, 1), "{stats:?}");
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("raise its max_msg_size"), "{reason}");
    // Another line may be sent again, to find out that the stream takes any.
    assert_eq!(different_lines(&stream), 1_000);
}

#[test]
fn an_account_without_jetstream_or_without_room_says_so() {
    let accounts = r#"accounts {
        none { users = [{ user: none, password: p }] }
        small { jetstream: { max_file: 16K }, users = [{ user: small, password: p }] }
    }"#;
    let Some(servers) = NatsServers::start_with(1, accounts) else { return };
    let none = reason(&client(&servers.url_with("none:p@")));
    assert!(none.contains("enable JetStream for this account"), "{none}");
    let url = servers.url_with("small:p@");
    let stream = Stream::create(&url, "INFLUXDB", 1);
    let client = client(&url);
    let long = measurement("example", 0).field("text", "x".repeat(10_000));
    client.add_measurement(&long).unwrap();
    delivered(&client, 1);
    client.add_measurement(&long).unwrap();
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("raise the limits of its account or its server"), "{reason}");
    stream.api("STREAM.PURGE.INFLUXDB", &Value::Null);
    delivered(&client, 2);
}

#[test]
fn a_sealed_stream_keeps_everything_waiting() {
    let Some(servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let mut config = stream.info()["config"].clone();
    config["sealed"] = json!(true);
    stream.api("STREAM.UPDATE.INFLUXDB", &config);
    let reason = reason(&client(&servers.url()));
    assert!(reason.contains("correct the stream"), "{reason}");
}

#[test]
fn wrong_credentials_and_permissions_are_named() {
    let users = r#"authorization { users = [
        { user: all, password: right },
        { user: mute, password: right, permissions: { publish: ["$JS.API.>"] } },
        { user: deaf, password: right, permissions: { subscribe: { deny: "_INBOX.>" } } },
    ] }"#;
    let Some(servers) = NatsServers::start_with(1, users) else { return };
    let stream = Stream::create(&servers.url_with("all:right@"), "INFLUXDB", 1);
    let connect = |credentials: &str| {
        let settings = config(&servers.url_with(credentials));
        Client::new(settings.timeout(Duration::from_secs(1))).unwrap()
    };
    let refused = reason(&connect("all:hunter2@"));
    assert!(refused.contains("refused the credentials"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    let mute = reason(&connect("mute:right@"));
    assert!(mute.contains("allow the user to publish to influxdb.example"), "{mute}");
    let deaf = reason(&connect("deaf:right@"));
    assert!(deaf.contains("subscribe to _INBOX.>"), "{deaf}");
    let client = connect("all:right@");
    client.add_measurement(&measurement("example", 2)).unwrap();
    delivered(&client, 1);
    // The one that cannot hear acknowledgements stored its message.
    assert_eq!(stream.len(), 2);
}

#[test]
fn a_server_that_is_killed_gets_what_waits_when_it_is_back() {
    let Some(mut servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let client = client(&servers.url());
    client.add_measurement(&measurement("example", 0)).unwrap();
    delivered(&client, 1);
    servers.crash(0);
    client.add_measurement(&measurement("example", 1)).unwrap();
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("NATS at nats://"), "{reason}");
    servers.restart(0);
    delivered(&client, 2);
    assert_eq!(stream.len(), 2);
}

#[test]
fn a_batch_that_is_sent_again_is_stored_once() {
    let Some(servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let settings = config(&servers.url()).timeout(Duration::from_millis(200));
    let client = Client::new(settings.max_clients(1)).unwrap();
    client.add_measurement(&measurement("example", 0)).unwrap();
    delivered(&client, 1);
    servers.signal(0, "STOP");
    client.add_measurement(&measurement("example", 1)).unwrap();
    let stats = flush_until(&client, |stats| stats.batches + stats.retries >= 4);
    let reason = stats.last_error.clone().unwrap_or_default();
    assert!(reason.contains("did not acknowledge"), "{reason}");
    servers.signal(0, "CONT");
    delivered(&client, 2);
    assert_eq!(stream.len(), 2);
}

#[test]
fn a_leader_that_is_killed_loses_nothing() {
    let Some(mut servers) = NatsServers::start(3) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 3);
    let client = client(&servers.url());
    client.add_measurement(&measurement("example", 0)).unwrap();
    delivered(&client, 1);
    let leader = stream.leader().and_then(|name| servers.index(&name)).expect("a leader");
    servers.crash(leader);
    for number in 1..100 {
        client.add_measurement(&measurement("example", number)).unwrap();
    }
    delivered(&client, 100);
    servers.restart(leader);
    assert_eq!(different_lines(&stream), 100);
}

#[test]
fn two_of_three_servers_down_keep_everything_waiting() {
    let Some(mut servers) = NatsServers::start(3) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 3);
    let settings = config(&servers.url()).timeout(Duration::from_secs(1));
    let client = Client::new(settings).unwrap();
    client.add_measurement(&measurement("example", 0)).unwrap();
    delivered(&client, 1);
    servers.crash(0);
    servers.crash(1);
    client.add_measurement(&measurement("example", 1)).unwrap();
    client.flush(Duration::from_secs(3));
    let stats = balanced(&client);
    assert_eq!((stats.pending, stats.delivered), (1, 1), "{stats:?}");
    let reason = stats.last_error.unwrap_or_default();
    let expected = ["too few of", "no leader", "quorum", "was lost"];
    assert!(expected.iter().any(|text| reason.contains(text)), "{reason}");
    servers.restart(0);
    servers.restart(1);
    delivered(&client, 2);
    assert_eq!(different_lines(&stream), 2);
}

#[test]
fn a_spool_keeps_what_waits_for_the_next_process() {
    let Some(mut servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let spool = tempfile::tempdir().unwrap();
    let settings = config(&servers.url()).spool(spool.path());
    servers.crash(0);
    let client = Client::new(settings.clone()).unwrap();
    client.add_measurement(&measurement("example", 1)).unwrap();
    let report = client.shutdown(Duration::from_millis(50));
    assert_eq!((report.delivered, report.pending), (0, 1));
    drop(client);
    // The thread that was sending may take a moment to end.
    let directory = Directory::new(spool.path());
    wait_until(|| directory.slots().unwrap().iter().all(|slot| !slot.is_alive));
    servers.restart(0);
    let next = Client::new(settings).unwrap();
    next.add_measurement(&measurement("example", 2)).unwrap();
    let stats = delivered(&next, 2);
    assert_eq!(stats.recovered, 1);
    let lines: usize = stream.messages().iter().map(|stored| stored.lines().len()).sum();
    assert_eq!(lines, 2);
}
