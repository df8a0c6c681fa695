use std::time::Duration;

use serde_json::Value;

use super::page::{PAGE, content_security_policy};
use super::snapshot::snapshot;
use crate::testing::{Fault, Server};
use crate::{Client, Config, Measurement};

fn json(client: &Client) -> Value {
    serde_json::from_str(&snapshot(client)).unwrap()
}

#[test]
fn the_snapshot_has_counters_and_settings_without_secrets() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).credentials("me", "hunter2");
    let config = config.base_tag("region", "eu").timeout(Duration::from_millis(1_500));
    let client = Client::new(config).unwrap();
    client.add_measurement(&Measurement::new("db", "m").field("n", 1)).unwrap();
    assert!(client.flush(Duration::from_secs(30)).is_complete());
    let found = json(&client);
    assert_eq!(found["stats"]["delivered"], 1);
    assert_eq!(found["stats"]["dropped"]["newest"], 0);
    assert_eq!(found["settings"]["timeout"], 1_500.0);
    assert_eq!(found["settings"]["base_tags"]["region"], "eu");
    assert_eq!(found["spool"], Value::Null);
    assert!(!found.to_string().contains("hunter2"));
}

#[test]
fn the_spool_is_summarized_with_its_newest_rejection() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let config = Config::new().url(&server.url()).spool(directory.path().join("spool"));
    let client = Client::new(config).unwrap();
    assert!(json(&client)["spool"]["error"].is_string());
    server.inject(Fault::error(400, "unable to parse"));
    client.add_measurement(&Measurement::new("db", "m").field("n", 1)).unwrap();
    client.flush(Duration::from_secs(30));
    let found = json(&client);
    assert_eq!(found["spool"]["alive"], 1);
    let newest = &found["spool"]["quarantine"]["newest"];
    assert_eq!(newest["database"], "db");
    assert!(newest["reason"].as_str().unwrap().contains("unable to parse"), "{newest}");
}

#[test]
fn the_policy_names_the_hashes_of_the_page() {
    let policy = content_security_policy();
    assert_eq!(policy.matches("'sha256-").count(), 2);
    // 32 bytes in Base64.
    assert!(policy.split("'sha256-").skip(1).all(|rest| rest.find('\'') == Some(44)), "{policy}");
    assert_eq!(PAGE.matches("<script>").count(), 1);
}
