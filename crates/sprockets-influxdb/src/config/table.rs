//! The one table of all settings: what they are called, what they default to, how each is read from the environment
//! and shown. [`Config::from_env`] and [`Config::settings`] are loops over it.

use std::ffi::OsString;

use super::Config;
use super::rows::{InForce, ROWS};
use super::server::Address;
use super::setting::Setting;
use super::settings::Settings;
use super::value::Source;
use crate::error::{Error, Result};

/// Reads every variable that is set and not empty.
pub(super) fn read(config: &mut Config, lookup: impl Fn(&str) -> Option<OsString>) -> Result<()> {
    let lookup = |variable| lookup(variable).filter(|value| !value.is_empty());
    for row in ROWS {
        let Some(variable) = row.variable else { continue };
        let Some(value) = lookup(variable) else { continue };
        let source = Source::environment(variable);
        let text = value.to_str().ok_or_else(|| {
            source.error("the value (not shown) is not UTF-8: expected text in UTF-8")
        })?;
        (row.read)(config, source, text)?;
    }
    Ok(())
}

/// Reads one setting by its name.
pub(super) fn set(config: &mut Config, name: &str, text: &str) -> Result<()> {
    match ROWS.iter().find(|row| row.name == name) {
        Some(row) => (row.read)(config, Source::argument(row.name), text),
        None => {
            let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            let names = names.join(", ");
            Err(Error::configuration(format!("{name:?} is not a setting: expected one of {names}")))
        }
    }
}

/// What [`Config::settings`] returns.
pub(super) fn show(config: &Config, settings: &Settings, address: &Address) -> Vec<Setting> {
    let now = InForce { config, settings, address };
    let shown = ROWS.iter().map(|row| {
        let (value, source) = (row.show)(&now);
        Setting { row, value, source }
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::setting::Origin;
    use super::super::tests::environment;
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    /// Each variable with a value that is not its default, and as it is shown; one that needs another has it beside it.
    const VALUES: &[(&str, &str, &str, Variables)] = &[
        ("ENVIRONMENT", "staging", "staging", &[]),
        ("INFLUXDB_API", "V3", "v3", &[]),
        ("INFLUXDB_BLOCK_TIMEOUT", "0", "0", &[]),
        ("INFLUXDB_ENABLED", "No", "false", &[]),
        ("INFLUXDB_GZIP", "on", "true", &[]),
        ("INFLUXDB_HOST", "db", "db", &[]),
        ("INFLUXDB_INTERVAL", "1500", "1500", &[]),
        ("INFLUXDB_MAX_BATCH_BYTES", "100", "100", &[]),
        ("INFLUXDB_MAX_BATCH_SIZE", "7", "7", &[]),
        ("INFLUXDB_MAX_BUFFER_BYTES", "100", "100", &[]),
        ("INFLUXDB_MAX_BUFFER_SIZE", "30000", "30000", &[]),
        ("INFLUXDB_ORG", "acme", "acme", &[("INFLUXDB_TOKEN", "t")]),
        ("INFLUXDB_OVERFLOW", "Oldest", "oldest", &[]),
        ("INFLUXDB_PASSWORD", "hunter2", "***", &[("INFLUXDB_USER", "me")]),
        ("INFLUXDB_PORT", " 9086 ", "9086", &[]),
        ("INFLUXDB_PRECISION", "ms", "ms", &[]),
        ("INFLUXDB_RETENTION_POLICY", "year", "year", &[]),
        ("INFLUXDB_SAMPLE_PROBABILITY", "0.25", "0.25", &[]),
        ("INFLUXDB_SCHEME", "HTTPS", "https", &[]),
        ("INFLUXDB_SHUTDOWN_TIMEOUT", "0", "0", &[]),
        ("INFLUXDB_SPOOL", "/var/spool/influxdb", "/var/spool/influxdb", &[]),
        ("INFLUXDB_SPOOL_MAX_BYTES", "100", "100", &[]),
        ("INFLUXDB_SPOOL_SYNC", "Always", "always", &[]),
        ("INFLUXDB_TAG_HOSTNAME", "0", "false", &[]),
        ("INFLUXDB_TIMEOUT", "250", "250", &[]),
        ("INFLUXDB_TOKEN", "hunter2", "***", &[]),
        ("INFLUXDB_TRIGGER_SIZE", "9", "9", &[]),
        ("INFLUXDB_URL", "http://me:hunter2@db/w?x=hunter2", "http://db/w?x=***", &[]),
        ("INFLUXDB_USER", "me", "me", &[]),
    ];

    fn shown(config: &Config, variable: &str) -> (String, Origin) {
        let settings = config.settings().unwrap();
        let setting = settings.iter().find(|setting| setting.variable() == Some(variable)).unwrap();
        (setting.value().to_owned(), setting.origin())
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
            let row = ROWS.iter().find(|row| row.variable == Some(variable)).unwrap();
            let config = environment(others).unwrap().set(row.name, value).unwrap();
            assert_eq!(shown(&config, variable), ((*expected).to_owned(), Origin::Argument));
        }
        let error = Config::new().set("max_batch_size", "many").unwrap_err().to_string();
        assert!(error.starts_with("max_batch_size: ") && error.contains("many"), "{error}");
        let config = Config::new().set("max_clients", "3").unwrap();
        assert_eq!(config.resolve().unwrap().max_clients, 3);
        let error = config.set("base_tags", "a=b").unwrap_err().to_string();
        assert!(error.starts_with("base_tags: "), "{error}");
        let error = Config::new().set("max_batch", "1").unwrap_err().to_string();
        assert!(error.contains("\"max_batch\"") && error.contains("max_batch_size"), "{error}");
    }

    #[test]
    fn the_table_holds_every_variable_and_says_what_it_is() {
        let variables: BTreeSet<_> = ROWS.iter().filter_map(|row| row.variable).collect();
        // The certificate file has a test of its own, which makes one.
        let expected = VALUES.iter().map(|(variable, ..)| *variable).chain(["INFLUXDB_CA_FILE"]);
        assert_eq!(variables, expected.collect());
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len(), "two rows have the same name");
        for row in ROWS {
            assert!(!row.about.is_empty() && !row.about.contains('\n'), "{}", row.name);
        }
    }

    #[test]
    fn the_readme_has_every_variable_with_its_default_and_no_other() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).expect("the README");

        let header = "| variable | meaning | default |\n|---|---|---|\n";
        let (_, table) = readme.split_once(header).expect("the table of variables");
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let mut listed: BTreeMap<String, String> = rows
            .map(|row| {
                let cells = row.trim_matches('|').split('|').map(|cell| cell.replace('`', ""));
                let cells: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
                (cells[0].clone(), cells[2].clone())
            })
            .collect();
        for row in ROWS {
            let Some(variable) = row.variable else { continue };
            assert_eq!(listed.remove(variable).as_deref(), Some(row.default), "{variable}");
        }
        assert!(listed.is_empty(), "no such variables: {listed:?}");

        // What is read of requests only, and Django's setting.
        let others = ["INFLUXDB_TAG_CORRELATION_ID", "INFLUXDB_TAG_REMOTE_IP", "INFLUXDB_REQUESTS"];
        let words = readme.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for name in words.filter(|word| word.starts_with("INFLUXDB_")) {
            let is_a_setting =
                ROWS.iter().any(|row| row.variable == Some(name)) || others.contains(&name);
            assert!(is_a_setting, "there is no {name}");
        }
    }

    #[test]
    fn the_defaults_in_words_are_those_in_force() {
        for setting in Config::new().settings().unwrap() {
            assert_eq!(setting.origin(), Origin::Default, "{setting:?}");
            let in_words = setting.default().contains(' ') || setting.name() == "url";
            assert!(in_words || setting.default() == setting.value(), "{setting:?}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        for row in ROWS {
            let Some(variable) = row.variable else { continue };
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
        for bad in ["0", "-1", "1.5", "1e3", "many", "18446744073709551615", "18446744073709551616"]
        {
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
            let told = error.to_string();
            assert!(told.starts_with(&format!("{variable}: {bad:?} ")), "{told}");
            assert!(told.contains(": expected "), "{told}");
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
            let told = environment(&[(variable, bad)]).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{variable}: ")), "{told}");
            assert!(told.contains("expected ") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn values_that_do_not_go_together_are_an_error() {
        let told = environment(&[("INFLUXDB_ORG", "o")]).unwrap_err().to_string();
        assert!(
            told.starts_with("INFLUXDB_TOKEN (token) is not set: expected both for the v2 API"),
            "{told}"
        );
        assert!(environment(&[("INFLUXDB_ORG", "o"), ("INFLUXDB_ENABLED", "false")]).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_an_error_that_names_the_variable() {
        use std::os::unix::ffi::OsStringExt;
        for row in ROWS {
            let Some(variable) = row.variable else { continue };
            let bad = |asked: &str| {
                (asked == variable).then(|| OsString::from_vec(b"hunter2\xff".to_vec()))
            };
            let told = Config::from_lookup(bad).unwrap_err().to_string();
            assert_eq!(
                told,
                format!("{variable}: the value (not shown) is not UTF-8: expected text in UTF-8")
            );
        }
    }

    #[test]
    fn parts_of_an_address_have_the_origin_of_what_decided_them() {
        let config =
            environment(&[("INFLUXDB_URL", "https://me@db"), ("INFLUXDB_PORT", "1")]).unwrap();
        let environment = |value: &str| (value.to_owned(), Origin::Environment);
        assert_eq!(shown(&config, "INFLUXDB_SCHEME"), environment("https"));
        assert_eq!(shown(&config, "INFLUXDB_HOST"), environment("db"));
        assert_eq!(shown(&config, "INFLUXDB_PORT"), environment("443"));
        assert_eq!(shown(&config, "INFLUXDB_USER"), environment("me"));
        assert_eq!(shown(&config, "INFLUXDB_URL"), environment("https://db/write"));
        let config = config.port(2);
        assert_eq!(shown(&config, "INFLUXDB_PORT"), ("2".to_owned(), Origin::Argument));
        assert_eq!(
            shown(&config, "INFLUXDB_URL"),
            ("https://db:2/write".to_owned(), Origin::Argument)
        );
    }

    #[test]
    fn a_value_names_what_decided_it() {
        let source = |config: &Config, name: &str| {
            let settings = config.settings().unwrap();
            settings.iter().find(|setting| setting.name() == name).unwrap().source()
        };
        let config =
            environment(&[("INFLUXDB_URL", "https://me@db"), ("INFLUXDB_PORT", "1")]).unwrap();
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
}
