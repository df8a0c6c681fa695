//! TLS, credentials files, compression, and the end of a connection.

use std::fs;

use serde_json::json;
use sprockets_influxdb::{Client, Stats};
use test_support::flush_until;
use test_support::nats::NatsServers;
use test_support::nats_access::{Operator, tls_server};

use super::stream::Stream;
use super::{client, config, measurement};

#[test]
fn a_server_with_a_certificate_of_the_ca_file_is_trusted() {
    let Some((servers, directory)) = tls_server("") else { return };
    let authority = directory.path().join("ca.pem");
    let url = servers.url().replace("nats://", "tls://");
    let settings = config(&url).ca_file(&authority);
    let stream = Stream::create_by(&settings, "INFLUXDB");
    // A server that requires TLS gets it, whatever the scheme is.
    for url in [url, servers.url()] {
        let client = Client::new(config(&url).ca_file(&authority)).unwrap();
        client.add_measurement(&measurement("example", 1)).unwrap();
        flush_until(&client, |stats| stats.delivered == 1);
    }
    assert_eq!(stream.len(), 2);
}

#[test]
fn a_certificate_that_nobody_knows_is_refused() {
    let Some((servers, _directory)) = tls_server("") else { return };
    let client = client(&servers.url().replace("nats://", "tls://"));
    client.add_measurement(&measurement("example", 1)).unwrap();
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("set INFLUXDB_CA_FILE"), "{reason}");
}

#[test]
fn a_server_that_demands_a_certificate_gets_the_clients() {
    let Some((servers, directory)) = tls_server(", verify: true") else { return };
    let file = |name: &str| directory.path().join(name);
    let settings = config(&servers.url()).ca_file(file("ca.pem"));
    let without = Client::new(settings.clone()).unwrap();
    without.add_measurement(&measurement("example", 1)).unwrap();
    flush_until(&without, |stats| stats.last_error.is_some());
    let settings = settings.client_cert(file("client.pem")).client_key(file("client.key"));
    let stream = Stream::create_by(&settings, "INFLUXDB");
    let client = Client::new(settings).unwrap();
    client.add_measurement(&measurement("example", 1)).unwrap();
    flush_until(&client, |stats| stats.delivered == 1);
    assert_eq!(stream.len(), 1);
}

#[test]
fn an_unknown_certificate_is_taken_if_it_is_not_verified() {
    let Some((servers, _directory)) = tls_server("") else { return };
    let settings = config(&servers.url()).tls_verify(false);
    let _stream = Stream::create_by(&settings, "INFLUXDB");
    let client = Client::new(settings).unwrap();
    client.add_measurement(&measurement("example", 1)).unwrap();
    flush_until(&client, |stats| stats.delivered == 1);
}

#[test]
fn a_compressed_message_says_so() {
    let Some(servers) = NatsServers::start(1) else { return };
    let stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    let client = Client::new(config(&servers.url()).gzip(true)).unwrap();
    for number in 0..1_000 {
        client.add_measurement(&measurement("example", number)).unwrap();
    }
    flush_until(&client, |stats| stats.delivered == 1_000);
    let message = &stream.messages()[0];
    assert_eq!(message.header("Content-Encoding"), "gzip");
    assert_eq!(message.header("Influxdb-Lines"), "1000");
    assert_eq!(message.payload[..2], [0x1f, 0x8b]);
}

#[test]
fn a_credentials_file_that_cannot_be_used_is_named() {
    let Some(servers) = NatsServers::start(1) else { return };
    let file = test_support::file("no credentials");
    for (path, expected) in [
        ("/nowhere/nats.creds", "the credentials file /nowhere/nats.creds cannot be read"),
        (file.to_str().unwrap(), "is not a credentials file of NATS"),
    ] {
        let client = Client::new(config(&servers.url()).nats_creds(path)).unwrap();
        client.add_measurement(&measurement("example", 1)).unwrap();
        let stats = flush_until(&client, |stats| stats.last_error.is_some());
        let reason = stats.last_error.unwrap_or_default();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_client_that_is_dropped_closes_its_connection() {
    let Some(servers) = NatsServers::start(1) else { return };
    let _stream = Stream::create(&servers.url(), "INFLUXDB", 1);
    assert_eq!(servers.connections(0), 1);
    let client = client(&servers.url());
    client.add_measurement(&measurement("example", 1)).unwrap();
    flush_until(&client, |stats| stats.delivered == 1);
    assert_eq!(servers.connections(0), 2);
    drop(client);
    test_support::wait_until(|| servers.connections(0) == 1);
}

#[test]
fn a_token_is_enough_where_the_server_asks_for_one() {
    let token = "authorization { token: right }";
    let Some(servers) = NatsServers::start_with(1, token) else { return };
    let stream = Stream::create_by(&config(&servers.url()).token("right"), "INFLUXDB");
    for (settings, delivered) in [
        (config(&servers.url()), 0),
        (config(&servers.url()).token("hunter2"), 0),
        (config(&servers.url()).token("right"), 1),
    ] {
        let client = Client::new(settings).unwrap();
        client.add_measurement(&measurement("example", 1)).unwrap();
        let is_decided = |stats: &Stats| stats.last_error.is_some() || stats.delivered == 1;
        let stats = flush_until(&client, is_decided);
        assert_eq!(stats.delivered, delivered, "{stats:?}");
        let reason = stats.last_error.unwrap_or_default();
        assert!(delivered == 1 || reason.contains("refused the credentials"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
    assert_eq!(stream.len(), 1);
}

#[test]
fn a_user_of_an_account_publishes_with_a_credentials_file() {
    let operator = Operator::new();
    let Some(servers) = NatsServers::start_with(1, operator.configuration()) else { return };
    let administrator = operator.user(&json!({}), None);
    let by = |creds: &std::path::Path| config(&servers.url()).nats_creds(creds);
    let stream = Stream::create_by(&by(&administrator), "INFLUXDB");
    let permissions = json!({
        "pub": { "allow": ["influxdb.example"] },
        "sub": { "allow": ["_INBOX.>"] },
    });
    let service = operator.user(&permissions, None);
    let client = Client::new(by(&service)).unwrap();
    client.add_measurement(&measurement("example", 1)).unwrap();
    flush_until(&client, |stats| stats.delivered == 1);
    assert_eq!(stream.len(), 1);
    // The user may not publish to another subject. The other database goes on.
    client.add_measurement(&measurement("other", 2)).unwrap();
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("allow the user to publish to influxdb.other"), "{reason}");
    assert_eq!((stats.pending, stream.len()), (1, 1));
}

#[test]
fn credentials_that_the_server_refuses_name_their_file() {
    let operator = Operator::new();
    let Some(servers) = NatsServers::start_with(1, operator.configuration()) else { return };
    let expired = operator.user(&json!({}), Some(1_700_000_001));
    let foreign = Operator::new().user(&json!({}), None);
    for creds in [&expired, &foreign] {
        let client = Client::new(config(&servers.url()).nats_creds(creds)).unwrap();
        client.add_measurement(&measurement("example", 1)).unwrap();
        let stats = flush_until(&client, |stats| stats.last_error.is_some());
        let reason = stats.last_error.unwrap_or_default();
        assert!(reason.contains("refused the credentials: check INFLUXDB_NATS_CREDS"), "{reason}");
        let text = fs::read_to_string(creds).unwrap();
        assert!(text.lines().all(|line| line.len() < 20 || !reason.contains(line)), "{reason}");
    }
}
