//! Errors of a real influxd: only the lines at fault are lost, and the counters balance.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sprockets_influxdb::{Client, Config, Measurement, Stats};
use test_support::influxd::Influxd;
use test_support::{LONG, balanced, flush_until, random};

use super::config;

/// The rejected lines, each with its reason.
type Rejected = Arc<Mutex<Vec<(String, String)>>>;

fn client(config: Config) -> (Client, Rejected) {
    let rejected = Rejected::default();
    let log = rejected.clone();
    let config = config.on_rejected(move |rejected| {
        let entry = (rejected.line().to_owned(), rejected.reason().to_owned());
        log.lock().unwrap().push(entry);
    });
    (Client::new(config).unwrap(), rejected)
}

/// Lines of one series each, in one shard.
fn add(client: &Client, numbers: impl IntoIterator<Item = i64>) {
    for n in numbers {
        let measurement = Measurement::new("db", "m").tag("t", n.to_string()).field("n", n);
        client.add_measurement(&measurement.timestamp(n + 1)).unwrap();
    }
}

/// The numbers in the tags of those lines.
fn numbers(rejected: &Rejected) -> Vec<i64> {
    let lines = rejected.lock().unwrap();
    let tag =
        |line: &str| line.split_once(",t=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    let mut numbers: Vec<i64> = lines.iter().map(|(line, _)| tag(line)).collect();
    numbers.sort_unstable();
    numbers
}

/// Whether the last error contains this text.
fn says(text: &'static str) -> impl Fn(&Stats) -> bool {
    move |stats| stats.last_error.as_deref().is_some_and(|error| error.contains(text))
}

#[test]
fn credentials_are_corrected_while_everything_waits() {
    let Some(influxd) = Influxd::start_with(&[("INFLUXDB_HTTP_AUTH_ENABLED", "true")]) else {
        return;
    };
    influxd.query("", "CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES");
    influxd.create("db");
    influxd.query("", "CREATE USER writer WITH PASSWORD 'secret'");
    let (client, _) = client(config(&influxd));
    add(&client, 0..100);
    assert_eq!(flush_until(&client, says("unable to parse authentication")).pending, 100);
    client.reconfigure(|config| config.credentials("writer", "wrong")).unwrap();
    assert_eq!(flush_until(&client, says("401: authorization failed")).pending, 100);
    client.reconfigure(|config| config.credentials("writer", "secret")).unwrap();
    let permission = "no permission to write to database \"db\": grant it";
    assert_eq!(flush_until(&client, says(permission)).pending, 100);
    influxd.query("", "GRANT WRITE ON db TO writer");
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 100);
    assert_eq!(influxd.count("db", "m", "n"), 100);
}

#[test]
fn a_database_is_created_while_its_data_waits() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("other");
    let (client, _) = client(config(&influxd));
    add(&client, 0..100);
    client.add_measurement(&Measurement::new("other", "m").field("n", 1)).unwrap();
    let stats = flush_until(&client, |stats| stats.delivered == 1 && stats.last_error.is_some());
    assert_eq!(stats.pending, 100);
    assert!(
        says("database \"db\" does not exist: create it, or correct the name")(&stats),
        "{stats:?}"
    );
    assert_eq!(influxd.count("other", "m", "n"), 1);
    influxd.create("db");
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 101);
    assert_eq!(influxd.count("db", "m", "n"), 100);
}

#[test]
fn only_lines_with_a_conflicting_field_type_are_rejected() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let (client, rejected) = client(config(&influxd));
    let add_floats = |numbers: std::ops::Range<i64>| {
        for n in numbers {
            let measurement = Measurement::new("db", "m").tag("t", n.to_string());
            let measurement = measurement.field("n", n as f64 + 0.5).timestamp(n + 1);
            client.add_measurement(&measurement).unwrap();
        }
    };
    // A new field, with two types in one batch.
    add(&client, 0..10);
    add_floats(10..12);
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.rejected), (10, 2), "{stats:?}");
    assert_eq!(numbers(&rejected), [10, 11]);
    // A stored field with another type.
    add(&client, 20..50);
    add_floats(50..53);
    add(&client, 60..90);
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.rejected), (70, 5), "{stats:?}");
    assert_eq!(numbers(&rejected), [10, 11, 50, 51, 52]);
    assert_eq!(influxd.count("db", "m", "n"), 70);
    let reason = "field type conflict: input field \"n\" on measurement \"m\" is type float, \
                  already exists as type integer";
    assert!(rejected.lock().unwrap().iter().all(|(_, why)| why.contains(reason)), "{rejected:?}");
}

#[test]
fn a_batch_that_is_too_large_is_split() {
    let Some(influxd) = Influxd::start_with(&[("INFLUXDB_HTTP_MAX_BODY_SIZE", "20000")]) else {
        return;
    };
    influxd.create("db");
    // The larger one is rejected by its Content-Length, before its body is sent.
    for lines in [2_000, 20_000] {
        let config = config(&influxd).trigger_size(lines);
        let (client, rejected) = client(config.max_batch_size(lines));
        let lines = lines as i64;
        add(&client, 0..lines);
        assert!(client.flush(LONG).is_complete());
        let stats = balanced(&client);
        assert_eq!((stats.delivered, stats.rejected), (lines as u64, 0), "{stats:?}");
        assert_eq!(influxd.count("db", "m", "n"), lines as u64);

        let long = Measurement::new("db", "m").field("s", "x".repeat(30_000));
        client.add_measurement(&long).unwrap();
        add(&client, lines..lines + 10);
        assert!(client.flush(LONG).is_complete());
        let stats = balanced(&client);
        assert_eq!((stats.delivered, stats.rejected), (lines as u64 + 10, 1), "{stats:?}");
        let rejected = rejected.lock().unwrap();
        assert!(
            rejected[0].0.starts_with("m s=") && rejected[0].1.starts_with("413: "),
            "{stats:?}"
        );
    }
}

#[test]
fn only_lines_beyond_the_limit_of_tag_values_are_rejected() {
    let Some(influxd) = Influxd::start_with(&[("INFLUXDB_DATA_MAX_VALUES_PER_TAG", "5")]) else {
        return;
    };
    influxd.create("db");
    let (client, rejected) = client(config(&influxd));
    add(&client, 0..5);
    assert_eq!(client.flush(LONG).delivered, 5);
    // Known values, and a few new ones between them.
    for n in 0..40 {
        let value = if n % 10 == 7 { n } else { n % 5 };
        let measurement = Measurement::new("db", "m").tag("t", value.to_string()).field("n", n);
        client.add_measurement(&measurement.timestamp(100 + n)).unwrap();
    }
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.rejected), (41, 4), "{stats:?}");
    assert_eq!(numbers(&rejected), [7, 17, 27, 37]);
    assert_eq!(influxd.count("db", "m", "n"), 41);
    let reason = "max-values-per-tag limit exceeded";
    assert!(rejected.lock().unwrap().iter().all(|(_, why)| why.contains(reason)), "{rejected:?}");
}

#[test]
fn only_points_beyond_the_retention_policy_are_rejected() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.query("", "CREATE DATABASE \"db\" WITH DURATION 1h");
    let (client, rejected) = client(config(&influxd));
    let today = SystemTime::now();
    let long_ago = today - Duration::from_secs(7 * 24 * 3600);
    for n in 0..40 {
        let time = if n % 10 == 7 { long_ago } else { today };
        let measurement = Measurement::new("db", "m").tag("t", n.to_string()).field("n", n);
        client.add_measurement(&measurement.timestamp(time)).unwrap();
    }
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.rejected), (36, 4), "{stats:?}");
    assert_eq!(numbers(&rejected), [7, 17, 27, 37]);
    assert_eq!(influxd.count("db", "m", "n"), 36);
    let reason = "points beyond retention policy";
    assert!(rejected.lock().unwrap().iter().all(|(_, why)| why.contains(reason)), "{rejected:?}");
}

#[test]
fn exactly_the_bad_lines_are_rejected_wherever_they_are() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let mut random = random();
    let bad = 300;
    // Of one kind, which the server counts and describes; and of several, for which it says less.
    for (table, kinds) in [("one", 1), ("several", 3)] {
        let (client, refused) = client(config(&influxd));
        let line = |n: u64| Measurement::new("db", table).tag("t", n.to_string());
        let first = line(5_000).timestamp(1).field("f", 1.0);
        client.add_measurement(&first).unwrap();
        assert!(client.flush(LONG).is_complete());
        let mut expected = std::collections::BTreeSet::new();
        while expected.len() < bad {
            expected.insert(random.u64(0..5_000));
        }
        for n in 0..5_000 {
            let line = line(n).timestamp(n as i64 + 2);
            let line = match n % kinds {
                _ if !expected.contains(&n) => line.field("f", 2.5),
                0 => line.field("f", 1),
                1 => line.field("f", "text"),
                _ => line.field("f", true),
            };
            client.add_measurement(&line).unwrap();
        }
        flush_until(&client, |stats| stats.pending == 0);
        let stats = balanced(&client);
        assert_eq!(stats.rejected, bad as u64, "{table}: {stats:?}");
        assert_eq!(influxd.count("db", table, "f"), 5_001 - bad as u64, "{table}: {stats:?}");
        let expected: Vec<i64> = expected.iter().map(|n| *n as i64).collect();
        assert_eq!(numbers(&refused), expected, "{table}");
    }
}

#[test]
fn a_missing_retention_policy_rejects_the_batch_with_its_reason() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let (client, rejected) = client(config(&influxd).retention_policy("nope"));
    add(&client, 0..10);
    assert!(client.flush(LONG).is_complete());
    assert_eq!(balanced(&client).rejected, 10);
    assert_eq!(numbers(&rejected), (0..10).collect::<Vec<_>>());
    assert!(rejected.lock().unwrap()[0].1.contains("retention policy not found: nope"));
}

/// influxd resumes only after the flush has returned.
#[cfg(unix)]
#[test]
fn flush_returns_at_its_deadline_while_influxd_is_frozen() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let (client, _) = client(config(&influxd));
    add(&client, 0..10);
    assert_eq!(client.flush(LONG).delivered, 10);
    influxd.freeze();
    add(&client, 10..110);
    let report = client.flush(Duration::from_millis(50));
    assert_eq!((report.pending, report.delivered), (100, 0));
    assert_eq!(balanced(&client).pending, 100);
    influxd.resume();
    assert_eq!(flush_until(&client, |stats| stats.pending == 0).delivered, 110);
    assert_eq!(influxd.count("db", "m", "n"), 110);
}
