//! `forward`: from real nats-servers into a real influxd.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::influxd::Influxd;
use test_support::nats::NatsServers;
use test_support::process::Process;
use test_support::{LONG, NO_SERVER, wait_until};

use super::{Done, run, start};

const STREAM: [&str; 2] = ["--stream", "INFLUXDB"];

/// Runs `forward` with these further arguments.
fn forward(servers: &NatsServers, target: &str, arguments: &[&str]) -> Done {
    let from = servers.url();
    let all = [&["forward", "--from", &from], &STREAM[..], arguments].concat();
    run(&all, &[("INFLUXDB_URL", target)])
}

fn start_forward(servers: &NatsServers, target: &str, arguments: &[&str]) -> Process {
    let from = servers.url();
    let all = [&["forward", "--json", "--from", &from], &STREAM[..], arguments].concat();
    start(&all, &[("INFLUXDB_URL", target)])
}

/// Creates the stream and the consumer, and forwards nothing.
fn create(servers: &NatsServers) {
    let done = forward(servers, NO_SERVER, &["--create", "--until-empty", "--quiet"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

fn status(servers: &NatsServers) -> Value {
    let done = forward(servers, NO_SERVER, &["--status", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.json()
}

/// The number of messages that a forwarder holds, once it has taken all that there are.
fn taken(servers: &NatsServers) -> u64 {
    let consumer = &status(servers)["consumers"][0];
    if consumer["waiting"] == 0 { consumer["taken"].as_u64().unwrap() } else { 0 }
}

/// Publishes these numbers.
fn publish(servers: &NatsServers, database: &str, numbers: std::ops::Range<i64>) {
    let config = Config::new().url(&servers.url()).tag_hostname(false);
    let client = Client::new(config.max_batch_size(100).trigger_size(100)).unwrap();
    for number in numbers {
        let measurement = Measurement::new(database, "job").field("number", number);
        client.add_measurement(&measurement).unwrap();
    }
    let report = client.shutdown(LONG);
    assert!(report.is_complete(), "{report:?} {:?}", client.stats());
}

#[test]
fn what_was_published_is_stored_and_the_stream_is_empty_afterwards() {
    let Some(servers) = NatsServers::start(1) else { return };
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("one");
    influxd.create("my db");
    let done = forward(&servers, &influxd.url(), &["--until-empty"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.errors.contains("there is no stream INFLUXDB: create it"), "{done:?}");
    create(&servers);
    publish(&servers, "one", 0..1_000);
    publish(&servers, "my db", 0..500);
    let waiting = status(&servers);
    assert_eq!(waiting["consumers"][0]["waiting"], waiting["messages"]);
    assert!(waiting["consumers"][0]["oldest_seconds"].as_f64().unwrap() < 60.0, "{waiting}");

    let done = forward(&servers, &influxd.url(), &["--until-empty", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let totals = done.json();
    assert_eq!(totals["delivered"], 1_500, "{totals}");
    assert_eq!(totals["acknowledged"], totals["messages"]);
    assert_eq!(influxd.count("one", "job", "number"), 1_000);
    assert_eq!(influxd.count("my db", "job", "number"), 500);
    let empty = status(&servers);
    assert_eq!((&empty["messages"], &empty["consumers"][0]["waiting"]), (&0.into(), &0.into()));
}

#[test]
fn created_again_a_stream_is_left_as_it_is() {
    let Some(servers) = NatsServers::start(1) else { return };
    let made = forward(&servers, NO_SERVER, &["--create", "--max-gib", "1", "--until-empty"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.errors.contains("stream INFLUXDB created: subjects influxdb.*"), "{made:?}");
    assert!(made.errors.contains("at most 1024 MiB"), "{made:?}");
    assert!(made.errors.contains("consumer forward created"), "{made:?}");
    let again = forward(&servers, NO_SERVER, &["--create", "--until-empty"]);
    assert!(again.errors.contains("stream INFLUXDB exists: subjects influxdb.*"), "{again:?}");
    assert!(again.errors.contains("at most 1024 MiB"), "{again:?}");
}

#[test]
fn a_stream_is_smaller_where_there_is_less_room() {
    let account =
        "accounts { a { jetstream: { max_file: 2G }, users: [{ user: a, password: p }] } }";
    let Some(servers) = NatsServers::start_with(1, account) else { return };
    let url = servers.url_with("a:p@");
    let create = |arguments: &[&str]| {
        let all = [&["forward", "--create", "--until-empty"], &STREAM[..], arguments].concat();
        run(&all, &[("INFLUXDB_URL", NO_SERVER), ("INFLUXDB_NATS_URL", &url)])
    };
    let refused = create(&["--max-gib", "5"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.errors.contains("lower --max-gib"), "{refused:?}");
    let made = create(&[]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.errors.contains("at most 1024 MiB"), "{made:?}");
}

#[test]
fn rejected_lines_are_quarantined_and_their_message_is_acknowledged() {
    let Some(servers) = NatsServers::start(1) else { return };
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    create(&servers);
    publish(&servers, "db", 0..10);
    let config = Config::new().url(&servers.url()).tag_hostname(false);
    let client = Client::new(config).unwrap();
    let conflict = Measurement::new("db", "job").field("number", "a text");
    client.add_measurement(&conflict).unwrap();
    assert!(client.shutdown(LONG).is_complete());
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    let done = forward(&servers, &influxd.url(), &["--until-empty", "--json", "--spool", place]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let totals = done.json();
    assert_eq!((&totals["delivered"], &totals["rejected"]), (&10.into(), &1.into()), "{totals}");
    assert_eq!(totals["acknowledged"], totals["messages"]);
    let listed = run(&["quarantine", "list", "--json", "--spool", place], &[]).json();
    assert_eq!(listed["lines"], 1, "{listed}");
    assert_eq!(influxd.count("db", "job", "number"), 10);
}

#[test]
fn a_forwarder_waits_for_the_server_and_renews_what_it_holds() {
    let Some(servers) = NatsServers::start(1) else { return };
    let server = Server::start();
    create(&servers);
    publish(&servers, "db", 0..1_000);
    server.stop();
    let mut first = start_forward(&servers, &server.url(), &[]);
    wait_until(|| taken(&servers) > 0);
    server.restart();
    wait_until(|| server.points("db").len() == 1_000);
    wait_until(|| status(&servers)["messages"] == 0);
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    let done = Done::from(first.output());
    let totals = done.json();
    assert_eq!((&totals["delivered"], &totals["redelivered"]), (&1_000.into(), &0.into()));
}

#[cfg(unix)]
#[test]
fn a_message_whose_bad_line_cannot_be_kept_comes_again() {
    let Some(servers) = NatsServers::start(1) else { return };
    let server = Server::start();
    create(&servers);
    let raw = Raw::new(&servers);
    raw.publish("influxdb.db", &[], b"m v=1 1\nthis is not one\n");
    let spool = tempfile::tempdir().unwrap();
    // A link is not followed.
    std::os::unix::fs::symlink(spool.path(), spool.path().join("quarantine")).unwrap();
    let place = spool.path().to_str().unwrap();
    let mut forwarder = start_forward(&servers, &server.url(), &["--spool", place]);
    wait_until(|| server.points("db").len() == 1);
    forwarder.signal("TERM");
    assert_eq!(forwarder.wait().code(), Some(0));
    let totals = Done::from(forwarder.output()).json();
    assert_eq!((&totals["messages"], &totals["acknowledged"]), (&1.into(), &0.into()), "{totals}");
    assert_eq!(status(&servers)["messages"], 1);
}

#[test]
fn what_is_not_decided_at_the_end_goes_to_another_forwarder_at_once() {
    let Some(servers) = NatsServers::start(1) else { return };
    let server = Server::start();
    create(&servers);
    publish(&servers, "db", 0..500);
    let mut first = start_forward(&servers, NO_SERVER, &["--set", "shutdown_timeout=100"]);
    wait_until(|| taken(&servers) > 0);
    let count = taken(&servers);
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    let totals = Done::from(first.output()).json();
    assert_eq!((&totals["returned"], &totals["delivered"]), (&count.into(), &0.into()));
    let done = forward(&servers, &server.url(), &["--until-empty", "--json"]);
    let totals = done.json();
    assert_eq!((&totals["delivered"], &totals["redelivered"]), (&500.into(), &count.into()));
    assert!(totals["seconds"].as_f64().unwrap() < 25.0, "the messages waited: {totals}");
}

#[test]
fn bad_messages_are_set_aside_once_and_the_rest_goes_on() {
    let Some(servers) = NatsServers::start(1) else { return };
    let server = Server::start();
    create(&servers);
    let raw = Raw::new(&servers);
    raw.publish("influxdb.db", &[], b"\xff\xfe\x00 no line protocol");
    raw.publish("influxdb.db", &[("Content-Encoding", "gzip")], b"m v=1 1");
    raw.publish("influxdb.db", &[("Influxdb-Precision", "hours")], b"m v=1 1");
    raw.publish("influxdb.db", &[], &vec![b'x'; 900_000]);
    raw.publish("influxdb.db", &[], b"");
    raw.publish("influxdb.db", &[], b"m v=1 1\nthis is not one\nm v=2 2\n");
    raw.publish("influxdb.db", &[("Influxdb-Precision", "s")], b"m v=3 3");
    raw.publish("influxdb.other%20db", &[], b"m v=4");
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    let done = forward(&servers, &server.url(), &["--until-empty", "--json", "--spool", place]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let totals = done.json();
    assert_eq!((&totals["set_aside"], &totals["bad_lines"]), (&5.into(), &3.into()), "{totals}");
    assert_eq!((&totals["messages"], &totals["acknowledged"]), (&8.into(), &8.into()), "{totals}");
    assert_eq!(totals["delivered"], 4, "{totals}");
    let mut times: Vec<_> = server.points("db").iter().map(|point| point.timestamp).collect();
    times.sort_unstable();
    assert_eq!(times, [1, 2, 3_000_000_000]);
    assert_eq!(server.points("other db").len(), 1);
    let mut kept: Vec<_> = std::fs::read_dir(spool.path().join("quarantine"))
        .unwrap()
        .map(|file| String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into())
        .collect::<Vec<String>>();
    kept.sort();
    assert_eq!(kept.len(), 5);
    for (reason, content) in [
        ("it is not gzip", "# header: Content-Encoding: gzip"),
        ("expected ns, us, ms or s", "m v=1 1"),
        ("lines are not line protocol", "this is not one"),
    ] {
        assert!(kept.iter().any(|t| t.contains(reason) && t.contains(content)), "{reason}");
    }
    assert_eq!(status(&servers)["messages"], 0);
}

#[test]
fn a_forwarder_takes_no_more_than_its_window() {
    let Some(servers) = NatsServers::start(1) else { return };
    let limits = ["--create", "--ack-wait", "6", "--until-empty", "--quiet"];
    assert_eq!(forward(&servers, NO_SERVER, &limits).code, Some(0));
    let raw = Raw::new(&servers);
    for message in 0..12 {
        let line = |n| format!("m,t=a number={n}i {message}{n:06}\n");
        let payload: String = (0..20_000).map(line).collect();
        raw.publish("influxdb.db", &[], payload.as_bytes());
    }
    let size = status(&servers)["bytes"].as_u64().unwrap() / 12;
    // A subscription is dropped within a runtime.
    let _context = raw.runtime.enter();
    let mut renewals = raw.subscribe("$JS.ACK.>");
    let mut process = start_forward(&servers, NO_SERVER, &["--window", "2"]);
    let taken = || status(&servers)["consumers"][0]["taken"].as_u64().unwrap();
    wait_until(|| taken() * size >= 2 << 20);
    // It would ask again after a second. It renews what it holds every two seconds.
    let mut counts = HashMap::new();
    while counts.values().all(|count| *count < 2) {
        *counts.entry(raw.next(&mut renewals)).or_insert(0) += 1;
    }
    assert!(taken() * size < 4 << 20, "{} messages of {size} bytes", taken());
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let memory = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 100_000, "{kilobytes} kB");
    process.kill();
}

#[test]
fn arguments_that_cannot_be_used_end_with_exit_code_2() {
    for (arguments, expected) in [
        (&["forward"][..], "pass --from"),
        (&["forward", "--from", "nats://me:hunter2@h", "--stream", "S"], "other users"),
        (&["forward", "--from", "http://h", "--stream", "S"], "expected a URL of NATS"),
        (&["forward", "--from", "nats://h"], "pass its name as --stream"),
        (&["forward", "--from", "nats://h", "--stream", "a.b"], "is not a name"),
        (&["forward", "--from", "nats://127.0.0.1:1", "--stream", "S"], "no connection to NATS"),
    ] {
        let done = run(arguments, &[]);
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.errors.contains(expected), "{arguments:?}: {done:?}");
        assert!(!done.errors.contains("hunter2"), "{done:?}");
    }
}

#[test]
fn check_knows_nats() {
    let Some(servers) = NatsServers::start(1) else { return };
    let url = servers.url();
    let check = || run(&["check", "--database", "db", "--url", &url], &[]);
    let missing = check();
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.out.contains("no stream stores messages to influxdb.db"), "{missing:?}");
    create(&servers);
    let found = check();
    assert_eq!(found.code, Some(0), "{found:?}");
    assert!(found.out.contains("NATS 2."), "{found:?}");
    let down = run(&["check", "--url", "nats://127.0.0.1:1"], &[]);
    assert_eq!(down.code, Some(1), "{down:?}");
    assert!(down.out.contains("no connection to NATS at nats://127.0.0.1:1"), "{down:?}");
}

/// Publishes any message.
struct Raw {
    runtime: tokio::runtime::Runtime,
    client: async_nats::Client,
}

impl Raw {
    fn new(servers: &NatsServers) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client =
            runtime.block_on(async_nats::connect(servers.url().split(',').next().unwrap()));
        Self { runtime, client: client.unwrap() }
    }

    fn subscribe(&self, subject: &'static str) -> async_nats::Subscriber {
        self.runtime.block_on(async {
            let messages = self.client.subscribe(subject).await.unwrap();
            self.client.flush().await.unwrap();
            messages
        })
    }

    /// The subject of the next message, which has to come.
    fn next(&self, messages: &mut async_nats::Subscriber) -> String {
        let next = async { tokio::time::timeout(LONG, messages.next()).await };
        let message = self.runtime.block_on(next).expect("a message in time");
        message.expect("a connection").subject.to_string()
    }

    fn publish(&self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let request = async_nats::Request::new()
            .headers(map)
            .payload(payload.to_vec().into())
            .timeout(Some(Duration::from_secs(30)));
        let sent = self.client.send_request(subject.to_owned(), request);
        let reply = self.runtime.block_on(sent).unwrap();
        assert!(!String::from_utf8_lossy(&reply.payload).contains("error"), "{reply:?}");
    }
}
