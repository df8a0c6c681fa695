//! `forward` and `check` with servers of NATS that ask who they are: certificates, credentials
//! files, permissions.

use std::path::Path;

use serde_json::{Value, json};
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::LONG;
use test_support::nats::NatsServers;
use test_support::nats_access::{Operator, tls_server};

use super::{Done, run};

fn forward(from: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Done {
    let all = [&["forward", "--from", from, "--stream", "INFLUXDB", "--json"], arguments].concat();
    run(&all, variables)
}

fn publish(config: Config) {
    let client = Client::new(config.tag_hostname(false)).unwrap();
    client.add_measurement(&Measurement::new("db", "job").field("rows", 3_i64)).unwrap();
    let report = client.shutdown(LONG);
    assert!(report.is_complete(), "{report:?} {:?}", client.stats());
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_variables_of_tls_apply_to_nats() {
    let Some((servers, directory)) = tls_server(", verify: true") else { return };
    let server = Server::start();
    let [authority, certificate, key] =
        ["ca.pem", "client.pem", "client.key"].map(|name| directory.path().join(name));
    let target = server.url();
    let variables = [
        ("INFLUXDB_URL", &*target),
        ("INFLUXDB_CA_FILE", text(&authority)),
        ("INFLUXDB_CLIENT_CERT", text(&certificate)),
        ("INFLUXDB_CLIENT_KEY", text(&key)),
    ];
    let url = servers.url().replace("nats://", "tls://");
    let unknown = forward(&url, &["--until-empty"], &variables[..1]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.errors.contains("set INFLUXDB_CA_FILE"), "{unknown:?}");
    let nameless = forward(&url, &["--until-empty"], &variables[..2]);
    assert_eq!(nameless.code, Some(2), "{nameless:?}");
    let created = forward(&url, &["--create", "--until-empty"], &variables);
    assert_eq!(created.code, Some(0), "{created:?}");
    let config = Config::new().url(&url).ca_file(&authority);
    publish(config.client_cert(&certificate).client_key(&key));
    let done = forward(&url, &["--until-empty"], &variables);
    assert_eq!((done.code, &done.json()["delivered"]), (Some(0), &json!(1)), "{done:?}");
    let checked = run(&["check", "--database", "db", "--url", &url], &variables[1..]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

/// What a forwarder needs: `docs/nats.md` lists it.
fn permissions_of_a_forwarder() -> Value {
    json!({
        "pub": { "allow": [
            "$JS.API.STREAM.INFO.INFLUXDB",
            "$JS.API.CONSUMER.INFO.INFLUXDB.forward",
            "$JS.API.CONSUMER.MSG.NEXT.INFLUXDB.forward",
            "$JS.ACK.INFLUXDB.forward.>",
        ] },
        "sub": { "allow": ["_INBOX.>"] },
    })
}

#[test]
fn a_credentials_file_is_an_option_or_a_variable() {
    let operator = Operator::new();
    let Some(servers) = NatsServers::start_with(1, operator.configuration()) else { return };
    let server = Server::start();
    let administrator = operator.user(&json!({}), None);
    let (url, target) = (servers.url(), server.url());
    let nobody = forward(&url, &["--until-empty"], &[("INFLUXDB_URL", &target)]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert!(nobody.errors.contains("refused the credentials"), "{nobody:?}");
    let variables = [("INFLUXDB_URL", &*target), ("INFLUXDB_NATS_CREDS", text(&administrator))];
    let created = forward(&url, &["--create", "--until-empty"], &variables);
    assert_eq!(created.code, Some(0), "{created:?}");
    publish(Config::new().url(&url).nats_creds(&administrator));
    let checked = run(&["check", "--database", "db", "--url", &url], &variables[1..]);
    assert_eq!(checked.code, Some(0), "{checked:?}");

    let forwarder = operator.user(&permissions_of_a_forwarder(), None);
    let arguments = ["--until-empty", "--creds", text(&forwarder)];
    let done = forward(&url, &arguments, &variables[..1]);
    assert_eq!((done.code, &done.json()["delivered"]), (Some(0), &json!(1)), "{done:?}");
}

#[test]
fn a_refused_subject_ends_a_forwarder_with_its_name() {
    let operator = Operator::new();
    let Some(servers) = NatsServers::start_with(1, operator.configuration()) else { return };
    let server = Server::start();
    let administrator = operator.user(&json!({}), None);
    let (url, target) = (servers.url(), server.url());
    let variables = [("INFLUXDB_URL", &*target)];
    let arguments = ["--create", "--until-empty", "--creds", text(&administrator)];
    let created = forward(&url, &arguments, &variables);
    assert_eq!(created.code, Some(0), "{created:?}");
    publish(Config::new().url(&url).nats_creds(&administrator));
    for (missing, code) in [
        ("$JS.API.STREAM.INFO.INFLUXDB", 2),
        ("$JS.API.CONSUMER.MSG.NEXT.INFLUXDB.forward", 1),
        ("$JS.ACK.INFLUXDB.forward.>", 1),
    ] {
        let mut permissions = permissions_of_a_forwarder();
        permissions["pub"]["allow"].as_array_mut().unwrap().retain(|subject| subject != missing);
        let user = operator.user(&permissions, None);
        let done = forward(&url, &["--creds", text(&user)], &variables);
        assert_eq!(done.code, Some(code), "{missing}: {done:?}");
        let message = format!("{}{}", done.out, done.errors);
        assert!(message.contains(missing.trim_end_matches('>')), "{missing}: {done:?}");
        assert!(message.contains("correct the user's permissions"), "{missing}: {done:?}");
    }
}
