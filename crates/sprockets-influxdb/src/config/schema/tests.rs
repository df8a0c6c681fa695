use std::collections::BTreeSet;

use super::super::tests::environment;
use super::super::{Config, Origin};
use super::*;

type Variables = &'static [(&'static str, &'static str)];

/// Each variable, a value that is not its default, the value as it is shown, and other variables
/// that it needs.
const VALUES: &[(&str, &str, &str, Variables)] = &[
    ("ENVIRONMENT", "staging", "staging", &[]),
    ("INFLUXDB_API", "V3", "v3", &[]),
    ("INFLUXDB_BLOCK_TIMEOUT", "0", "0", &[]),
    ("INFLUXDB_DATABASE", "metrics", "metrics", &[]),
    ("INFLUXDB_ENABLED", "No", "false", &[]),
    ("INFLUXDB_GZIP", "on", "true", &[]),
    ("INFLUXDB_HOST", "db", "db", &[]),
    ("INFLUXDB_INTERVAL", "1500", "1500", &[]),
    ("INFLUXDB_MAX_BATCH_BYTES", "100", "100", &[]),
    ("INFLUXDB_MAX_BATCH_SIZE", "7", "7", &[]),
    ("INFLUXDB_MAX_BUFFER_BYTES", "100", "100", &[]),
    ("INFLUXDB_MAX_BUFFER_SIZE", "30000", "30000", &[]),
    ("INFLUXDB_NATS_CREDS", "/etc/nats.creds", "/etc/nats.creds", &[]),
    ("INFLUXDB_NATS_STREAM", "METRICS", "METRICS", &[]),
    ("INFLUXDB_NATS_SUBJECT", "metrics.app", "metrics.app", &[]),
    ("INFLUXDB_ORG", "acme", "acme", &[("INFLUXDB_TOKEN", "t")]),
    ("INFLUXDB_OVERFLOW", "Oldest", "oldest", &[]),
    ("INFLUXDB_PASSWORD", "hunter2", "***", &[("INFLUXDB_USER", "me")]),
    ("INFLUXDB_PORT", " 9086 ", "9086", &[]),
    ("INFLUXDB_PRECISION", "ms", "ms", &[]),
    ("INFLUXDB_RETENTION_POLICY", "year", "year", &[]),
    ("INFLUXDB_SAMPLE_PROBABILITY", "0.25", "0.25", &[]),
    ("INFLUXDB_SCHEME", "HTTPS", "https", &[]),
    ("INFLUXDB_SELF_DATABASE", "own", "own", &[]),
    ("INFLUXDB_SHUTDOWN_TIMEOUT", "0", "0", &[]),
    ("INFLUXDB_SPOOL", "/var/spool/influxdb", "/var/spool/influxdb", &[]),
    ("INFLUXDB_SPOOL_MAX_BYTES", "100", "100", &[]),
    ("INFLUXDB_SPOOL_SYNC", "Always", "always", &[]),
    ("INFLUXDB_TAG_HOSTNAME", "0", "false", &[]),
    ("INFLUXDB_TIMEOUT", "250", "250", &[]),
    ("INFLUXDB_TLS_VERIFY", "no", "false", &[]),
    ("INFLUXDB_TOKEN", "hunter2", "***", &[]),
    ("INFLUXDB_TRIGGER_SIZE", "9", "9", &[]),
    ("INFLUXDB_URL", "http://me:hunter2@db/w?x=hunter2", "http://db/w?x=***", &[]),
    ("INFLUXDB_USER", "me", "me", &[]),
];

fn descriptions() -> impl Iterator<Item = &'static Description> {
    ENTRIES.iter().map(|entry| &entry.description)
}

fn variables() -> impl Iterator<Item = &'static str> {
    descriptions().filter_map(|about| about.variable)
}

fn shown(config: &Config, variable: &str) -> (String, Origin) {
    let settings = config.settings().unwrap();
    let setting = settings.iter().find(|setting| setting.variable() == Some(variable)).unwrap();
    (setting.value().to_string(), setting.origin())
}

#[test]
fn every_variable_is_read_and_shown_with_its_origin() {
    for (variable, value, expected, others) in VALUES {
        let config = environment(&[*others, &[(*variable, *value)]].concat()).unwrap();
        assert_eq!(
            shown(&config, variable),
            ((*expected).to_owned(), Origin::Environment),
            "{variable}"
        );
        assert_ne!(shown(&Config::new(), variable), shown(&config, variable));
    }
}

#[test]
fn every_setting_with_a_variable_is_set_by_its_name() {
    for (variable, value, expected, others) in VALUES {
        let name = descriptions().find(|about| about.variable == Some(variable)).unwrap().name;
        let config = environment(others).unwrap().set(name, value);
        assert_eq!(shown(&config, variable), ((*expected).to_owned(), Origin::Argument));
    }
    let config = Config::new().set("max_clients", "3");
    assert_eq!(config.resolve().unwrap().values.max_clients.value, 3);
}

#[test]
fn the_table_is_complete_and_grouped_by_topic() {
    // Certificate files have tests of their own.
    let files = ["INFLUXDB_CA_FILE", "INFLUXDB_CLIENT_CERT", "INFLUXDB_CLIENT_KEY"];
    let expected = VALUES.iter().map(|(variable, ..)| *variable).chain(files);
    assert_eq!(variables().collect::<BTreeSet<_>>(), expected.collect());
    let names: BTreeSet<_> = descriptions().map(|about| about.name).collect();
    assert_eq!(names.len(), ENTRIES.len(), "two settings have the same name");
    for about in descriptions() {
        assert!(about.about.ends_with('.') && !about.about.contains('\n'), "{}", about.name);
    }
    let mut topics: Vec<_> = descriptions().map(|about| about.topic).collect();
    topics.dedup();
    assert_eq!(topics.len(), topics.iter().collect::<BTreeSet<_>>().len(), "{topics:?}");
}

#[test]
fn the_defaults_that_are_shown_are_those_in_force() {
    for setting in Config::new().settings().unwrap() {
        assert_eq!(setting.origin(), Origin::Default, "{setting:?}");
        let is_derived = setting.default().contains(' ') || setting.name() == "url";
        assert!(is_derived || setting.default() == setting.value().to_string(), "{setting:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    for variable in variables() {
        let config = environment(&[(variable, "")]).unwrap();
        assert_eq!(shown(&config, variable), shown(&Config::new(), variable));
    }
}

#[test]
fn every_bad_value_is_an_error_that_names_the_variable() {
    let sizes = [
        "INFLUXDB_MAX_BATCH_BYTES",
        "INFLUXDB_MAX_BATCH_SIZE",
        "INFLUXDB_MAX_BUFFER_BYTES",
        "INFLUXDB_MAX_BUFFER_SIZE",
        "INFLUXDB_SPOOL_MAX_BYTES",
        "INFLUXDB_TRIGGER_SIZE",
    ];
    let periods = [
        "INFLUXDB_BLOCK_TIMEOUT",
        "INFLUXDB_INTERVAL",
        "INFLUXDB_SHUTDOWN_TIMEOUT",
        "INFLUXDB_TIMEOUT",
    ];
    let booleans = ["INFLUXDB_ENABLED", "INFLUXDB_GZIP", "INFLUXDB_TAG_HOSTNAME"];
    let mut rows = vec![
        ("INFLUXDB_API", "v4"),
        ("INFLUXDB_CA_FILE", "/nowhere/ca.pem"),
        ("INFLUXDB_HOST", "db:8086"),
        ("INFLUXDB_HOST", " "),
        ("INFLUXDB_INTERVAL", "0"),
        ("INFLUXDB_NATS_STREAM", "a.b"),
        ("INFLUXDB_NATS_SUBJECT", "influxdb.>"),
        ("INFLUXDB_NATS_SUBJECT", "$JS.API"),
        ("INFLUXDB_NATS_SUBJECT", "a..b"),
        ("INFLUXDB_OVERFLOW", "drop"),
        ("INFLUXDB_PORT", "0"),
        ("INFLUXDB_PORT", "65536"),
        ("INFLUXDB_PORT", "80a86"),
        ("INFLUXDB_PRECISION", "n"),
        ("INFLUXDB_SAMPLE_PROBABILITY", "-0.1"),
        ("INFLUXDB_SAMPLE_PROBABILITY", "1.01"),
        ("INFLUXDB_SAMPLE_PROBABILITY", "NaN"),
        ("INFLUXDB_SAMPLE_PROBABILITY", "half"),
        ("INFLUXDB_SAMPLE_PROBABILITY", "inf"),
        ("INFLUXDB_SCHEME", "ftp"),
        ("INFLUXDB_SPOOL_SYNC", "sometimes"),
        ("INFLUXDB_TIMEOUT", "0"),
        ("INFLUXDB_URL", "ftp://db"),
        ("INFLUXDB_URL", "localhost:8086"),
    ];
    for bad in ["0", "-1", "1.5", "1e3", "many", "18446744073709551615", "18446744073709551616"] {
        rows.extend(sizes.map(|variable| (variable, bad)));
    }
    for bad in ["-1", "1.5", "10s", "31536000001", "18446744073709551616"] {
        rows.extend(periods.map(|variable| (variable, bad)));
    }
    for bad in ["2", "ja", "truee"] {
        rows.extend(booleans.map(|variable| (variable, bad)));
    }
    for (variable, bad) in rows {
        let error = environment(&[(variable, bad)]).expect_err(bad);
        assert!(error.is_configuration());
        let message = error.to_string();
        assert!(message.starts_with(&format!("{variable}: {bad:?} ")), "{message}");
        assert!(message.contains(": expected "), "{message}");
    }
}

#[test]
fn a_bad_secret_is_not_shown() {
    for (variable, bad) in [
        ("INFLUXDB_TOKEN", "hunter2\n"),
        ("INFLUXDB_TOKEN", "hunter2\u{e9}"),
        ("INFLUXDB_URL", "http://me:hunter2@db:x"),
        ("INFLUXDB_USER", "me:hunter2"),
    ] {
        let message = environment(&[(variable, bad)]).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{variable}: ")), "{message}");
        assert!(message.contains("expected ") && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn settings_that_do_not_fit_together_are_an_error() {
    let message = environment(&[("INFLUXDB_ORG", "o")]).unwrap_err().to_string();
    assert!(
        message.starts_with("INFLUXDB_TOKEN (token) is not set: expected both for the v2 API"),
        "{message}"
    );
    assert!(environment(&[("INFLUXDB_ORG", "o"), ("INFLUXDB_ENABLED", "false")]).is_ok());
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_an_error_that_names_the_variable() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    for variable in variables() {
        let bad =
            |name: &str| (name == variable).then(|| OsString::from_vec(b"hunter2\xff".to_vec()));
        let message = Config::from_lookup(bad).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("{variable}: the value (not shown) is not UTF-8: expected text in UTF-8")
        );
    }
}

#[test]
fn the_parts_of_an_address_have_the_origin_of_the_url() {
    let config = environment(&[("INFLUXDB_URL", "https://me@db"), ("INFLUXDB_PORT", "1")]).unwrap();
    let environment = |value: &str| (value.to_owned(), Origin::Environment);
    assert_eq!(shown(&config, "INFLUXDB_SCHEME"), environment("https"));
    assert_eq!(shown(&config, "INFLUXDB_HOST"), environment("db"));
    assert_eq!(shown(&config, "INFLUXDB_PORT"), environment("443"));
    assert_eq!(shown(&config, "INFLUXDB_USER"), environment("me"));
    assert_eq!(shown(&config, "INFLUXDB_URL"), environment("https://db/write"));
    let config = config.port(2);
    assert_eq!(shown(&config, "INFLUXDB_PORT"), ("2".to_owned(), Origin::Argument));
    assert_eq!(shown(&config, "INFLUXDB_URL"), ("https://db:2/write".to_owned(), Origin::Argument));
}

#[test]
fn a_value_names_its_source() {
    let source = |config: &Config, name: &str| {
        let settings = config.settings().unwrap();
        settings.iter().find(|setting| setting.name() == name).unwrap().source()
    };
    let config = environment(&[("INFLUXDB_URL", "https://me@db"), ("INFLUXDB_PORT", "1")]).unwrap();
    for name in ["url", "scheme", "host", "port", "user"] {
        assert_eq!(source(&config, name), Some("INFLUXDB_URL"), "{name}");
    }
    assert_eq!(source(&config, "timeout"), None);
    let config = config.port(2);
    assert_eq!((source(&config, "port"), source(&config, "url")), (Some("port"), Some("port")));
    let config = environment(&[("INFLUXDB_HOST", "db"), ("ENVIRONMENT", "e")]).unwrap();
    assert_eq!(source(&config, "url"), Some("INFLUXDB_HOST"));
    assert_eq!(source(&config, "base_tags"), Some("ENVIRONMENT"));
}

#[test]
fn an_alias_is_another_name_of_its_variable() {
    let shown = |variables: &[(&str, &str)]| {
        let settings = environment(variables).unwrap().settings().unwrap();
        let setting = settings.iter().find(|setting| setting.name() == "database").unwrap();
        (setting.value().to_string(), setting.source())
    };
    let (both, alias) = (("INFLUXDB_DATABASE", "a"), ("INFLUXDB_BUCKET", "a"));
    assert_eq!(shown(&[alias]), ("a".to_owned(), Some("INFLUXDB_BUCKET")));
    assert_eq!(shown(&[both, alias]), ("a".to_owned(), Some("INFLUXDB_DATABASE")));
    assert_eq!(shown(&[("INFLUXDB_DATABASE", ""), alias]).0, "a");
    assert_eq!(shown(&[both, ("INFLUXDB_BUCKET", "")]).0, "a");

    let differing = [("INFLUXDB_DATABASE", "a"), ("INFLUXDB_BUCKET", "b")];
    let message = environment(&differing).unwrap_err().to_string();
    assert_eq!(
        message,
        "INFLUXDB_BUCKET: \"b\" is not \"a\", as INFLUXDB_DATABASE says, which means the same: \
         expected one of them"
    );
    let lookup = |variable: &str| {
        differing.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).into())
    };
    let argument = Config::new().with_lookup(lookup).database("c");
    assert_eq!(argument.resolve().unwrap().values.database.value.as_deref(), Some("c"));
}
