//! TLS, credentials files, compression, and the end of a connection.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sprockets_influxdb::Client;
use test_support::flush_until;
use test_support::nats::NatsServers;

use super::stream::Stream;
use super::{client, config, measurement};

/// A server that speaks TLS, and the file of its authority.
fn tls_server() -> Option<(NatsServers, tempfile::TempDir)> {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    file("ca.pem", issuer.pem());
    let certificate = file("server.pem", certificate.pem());
    let key = file("server.key", key.serialize_pem());
    let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
    Some((NatsServers::start_with(1, &tls)?, directory))
}

#[test]
fn a_server_with_a_certificate_of_the_ca_file_is_trusted() {
    let Some((servers, directory)) = tls_server() else { return };
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
    let Some((servers, _directory)) = tls_server() else { return };
    let client = client(&servers.url().replace("nats://", "tls://"));
    client.add_measurement(&measurement("example", 1)).unwrap();
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    let reason = stats.last_error.unwrap_or_default();
    assert!(reason.contains("set INFLUXDB_CA_FILE"), "{reason}");
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
