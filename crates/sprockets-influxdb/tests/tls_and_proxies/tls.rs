//! Servers with TLS get nothing unless the client trusts them.

use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, IsCa, date_time_ymd};
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Stats};
use test_support::{file, flush_until};

use super::add;
use super::tls_server::{Authority, Identity};

/// A configuration from the environment: TLS to this port.
fn config(host: &str, front: SocketAddr, ca_file: Option<&Path>) -> Config {
    let port = front.port().to_string();
    let lookup = |variable: &str| match variable {
        "INFLUXDB_SCHEME" => Some("https".into()),
        "INFLUXDB_HOST" => Some(host.into()),
        "INFLUXDB_PORT" => Some(port.clone().into()),
        "INFLUXDB_CA_FILE" => ca_file.map(|path| path.into()),
        "INFLUXDB_SHUTDOWN_TIMEOUT" => Some("0".into()),
        _ => None,
    };
    Config::from_lookup(lookup).unwrap()
}

/// The error that keeps everything waiting with this configuration.
fn refusal(config: Config) -> String {
    let client = Client::new(config).unwrap();
    add(&client, 10);
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    assert_eq!((stats.pending, stats.delivered), (10, 0), "{stats:?}");
    stats.last_error.unwrap()
}

#[test]
fn a_server_with_a_trusted_authority_gets_everything() {
    let authority = Authority::new();
    for host in ["localhost", "127.0.0.1"] {
        let server = Server::start();
        let front = authority.identity(host, |_| {}).serve_before(&server);
        let client = Client::new(config(host, front, Some(&authority.file()))).unwrap();
        for _ in 0..10 {
            add(&client, 10);
            flush_until(&client, |stats| stats.pending == 0);
        }
        assert_eq!((client.stats().delivered, server.count("db")), (100, 100));
    }
}

#[test]
fn a_self_signed_certificate_in_the_ca_file_is_trusted() {
    let server = Server::start();
    let (identity, file) = Identity::self_signed("localhost", IsCa::NoCa);
    let front = identity.serve_before(&server);
    let client = Client::new(config("localhost", front, Some(&file))).unwrap();
    add(&client, 10);
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 10);
}

#[test]
fn an_authority_certificate_is_refused_as_a_server_certificate() {
    let (identity, file) =
        Identity::self_signed("localhost", IsCa::Ca(BasicConstraints::Unconstrained));
    let server = Server::start();
    let front = identity.serve_before(&server);
    let error = refusal(config("localhost", front, Some(&file)));
    assert!(error.contains("make one with basicConstraints=CA:FALSE"), "{error}");
}

#[test]
fn an_untrusted_server_gets_nothing_until_it_is_trusted() {
    let server = Server::start();
    let authority = Authority::new();
    let front = authority.identity("localhost", |_| {}).serve_before(&server);
    let client = Client::new(config("localhost", front, None)).unwrap();
    add(&client, 10);
    let stats = flush_until(&client, |stats| stats.last_error.is_some());
    assert_eq!(stats.pending, 10, "{stats:?}");
    let error = stats.last_error.unwrap();
    // The message differs on a platform without any authority, but not its advice.
    assert!(error.contains("certificate") && error.contains("set INFLUXDB_CA_FILE"), "{error}");
    let file = authority.file();
    client.reconfigure(|config| config.ca_file(file.to_path_buf())).unwrap();
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 10);
    assert_eq!(server.count("db"), 10);
}

#[test]
fn the_error_says_what_is_wrong_with_a_certificate() {
    let authority = Authority::new();
    let server = Server::start();
    let ca_file = authority.file();
    let another = Authority::new().file();
    let long_ago =
        |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let far_ahead =
        |params: &mut rcgen::CertificateParams| params.not_before = date_time_ymd(4000, 1, 1);
    let address = |identity: Identity| identity.serve_before(&server);
    for (front, ca_file, says) in [
        (address(authority.identity("elsewhere.example", |_| {})), &ca_file, "is for another name"),
        (address(authority.identity("localhost", long_ago)), &ca_file, "is not valid today"),
        (address(authority.identity("localhost", far_ahead)), &ca_file, "is not valid today"),
        (address(authority.identity("localhost", |_| {})), &another, "set INFLUXDB_CA_FILE to the"),
    ] {
        let error = refusal(config("localhost", front, Some(ca_file)));
        let peer = format!("the certificate of localhost:{}", front.port());
        assert!(error.contains(&peer) && error.contains(says), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn the_error_names_the_wrong_scheme() {
    let server = Server::start();
    let error = refusal(config("localhost", server.address(), Some(&Authority::new().file())));
    assert!(error.contains("does not speak TLS: set INFLUXDB_SCHEME=http"), "{error}");

    let front = Authority::new().identity("localhost", |_| {}).serve_before(&server);
    let error = refusal(config("localhost", front, None).scheme("http"));
    assert!(error.contains("does not speak HTTP") && error.contains("argument scheme"), "{error}");
    assert!(server.writes().is_empty());
}

#[test]
fn an_unusable_ca_file_is_a_configuration_error() {
    for content in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n",
        &rcgen::KeyPair::generate().unwrap().serialize_pem(),
    ] {
        let file = file(content);
        let path = file.to_str().unwrap().to_owned();
        let lookup = |variable: &str| match variable {
            "INFLUXDB_URL" => Some("https://localhost:1".into()),
            "INFLUXDB_CA_FILE" => Some(path.clone().into()),
            _ => None,
        };
        let error = Config::from_lookup(lookup).and_then(Client::new).unwrap_err();
        let error = (error.is_configuration(), error.to_string());
        assert!(error.0 && error.1.starts_with("INFLUXDB_CA_FILE"), "{error:?}");
        assert!(error.1.contains(&path) && error.1.contains("PEM certificates"), "{error:?}");
    }
}

#[test]
fn a_server_that_demands_a_certificate_gets_everything_from_a_client_that_has_one() {
    let authority = Authority::new();
    let server = Server::start();
    let front = authority.identity("localhost", |_| {}).serve_clients_of(&authority, &server);
    let (certificate, key) = authority.identity("a client", |_| {}).files();
    let both = [&certificate, &key].map(|path| std::fs::read(path).unwrap()).concat();
    let both = file(both);
    let ca_file = authority.file();
    let trusting = || config("localhost", front, Some(&ca_file));
    let files = |config: Config| config.client_cert(certificate.to_path_buf());
    for (name, config) in [
        ("two files", files(trusting()).client_key(key.to_path_buf())),
        ("one file", trusting().client_cert(both.to_path_buf())),
    ] {
        let client = Client::new(config).unwrap();
        add(&client, 10);
        assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 10, "{name}");
    }
    assert_eq!(server.count("db"), 20);
}

#[test]
fn a_server_that_demands_a_certificate_gets_nothing_from_other_clients() {
    let authority = Authority::new();
    let server = Server::start();
    let front = authority.identity("localhost", |_| {}).serve_clients_of(&authority, &server);
    let (certificate, key) = Authority::new().identity("a client", |_| {}).files();
    let ca_file = authority.file();
    let trusting = || config("localhost", front, Some(&ca_file));
    let stranger = trusting().client_cert(certificate.to_path_buf()).client_key(key.to_path_buf());
    for (config, advice) in [
        (trusting(), "set INFLUXDB_CLIENT_CERT and INFLUXDB_CLIENT_KEY"),
        (stranger, "rejects the client's certificate: check the argument client_cert"),
    ] {
        let client = Client::new(config).unwrap();
        add(&client, 10);
        // The alert may come after the request, when the connection is closed already.
        let says =
            |stats: &Stats| stats.last_error.as_ref().is_some_and(|error| error.contains(advice));
        assert_eq!(flush_until(&client, says).pending, 10);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_is_not_verified_if_the_configuration_says_so() {
    let server = Server::start();
    let (identity, _) = Identity::self_signed("elsewhere.example", IsCa::NoCa);
    let front = identity.serve_before(&server);
    let unverified = config("localhost", front, None).tls_verify(false);
    let client = Client::new(unverified.clone()).unwrap();
    add(&client, 10);
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 10);
    client.reconfigure(|config| config.tls_verify(true)).unwrap();
    add(&client, 10);
    assert_eq!(flush_until(&client, |stats| stats.last_error.is_some()).pending, 10);
}
