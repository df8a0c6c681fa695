//! The one table of all settings: what they are called, what they default to, how each is read from the environment
//! and shown. [`Config::from_env`] and [`Config::settings`] are loops over it.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::server::{Address, Auth};
use super::setting::Setting;
use super::settings::Settings;
use super::url::{self, WriteUrl};
use super::value::{self, Source};
use super::{Config, Secret, choice};
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
    // Whoever sets one of these relies on a promise that this version does not make.
    for variable in ["INFLUXDB_SPOOL", "INFLUXDB_SPOOL_SYNC", "INFLUXDB_SPOOL_MAX_BYTES"] {
        if lookup(variable).is_some() {
            let problem = "this version has no spool yet and buffers in memory only: expected the variable to be unset";
            return Err(Source::environment(variable).error(problem));
        }
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

/// One setting.
pub(super) struct Row {
    /// The setter's argument.
    pub(super) name: &'static str,
    /// The environment variable, where it has one.
    pub(super) variable: Option<&'static str>,
    /// One line, with the unit.
    pub(super) about: &'static str,
    /// In words; empty for none.
    pub(super) default: &'static str,
    /// Takes the variable's text, or the argument's.
    read: fn(&mut Config, Source, &str) -> Result<()>,
    /// The value in force, never a secret, and where it came from.
    show: fn(&InForce<'_>) -> (String, Source),
}

/// All that there is to show.
struct InForce<'a> {
    config: &'a Config,
    settings: &'a Settings,
    address: &'a Address,
}

impl InForce<'_> {
    fn url(&self) -> String {
        let server = &self.settings.server;
        match &server.query {
            Some(query) => format!("{}?{}", server.url, url::masked_query(query)),
            None => server.url.clone(),
        }
    }

    fn url_source(&self) -> Source {
        let address = self.address;
        nearest([self.config.url.from(), address.host.1, address.port.1, address.scheme.1])
    }

    fn port(&self) -> u16 {
        let scheme = self.address.scheme.0;
        self.address.port.0.unwrap_or_else(|| scheme.port())
    }

    fn user(&self) -> Option<&String> {
        match &self.settings.server.auth {
            Auth::Basic { user, .. } => Some(user),
            Auth::None | Auth::Token(_) => None,
        }
    }

    fn password(&self) -> Option<&Secret> {
        match &self.settings.server.auth {
            Auth::Basic { password, .. } => Some(password),
            Auth::None | Auth::Token(_) => None,
        }
    }

    fn token(&self) -> Option<&Secret> {
        match &self.settings.server.auth {
            Auth::Token(token) => Some(token),
            Auth::None | Auth::Basic { .. } => None,
        }
    }

    fn base_tags_source(&self) -> Source {
        if self.config.base_tags.is_empty() {
            nearest([self.config.tag_hostname.from(), self.config.environment.from()])
        } else {
            Source::argument("base_tags")
        }
    }
}

/// The source that wins; the first of equals.
fn nearest<const N: usize>(sources: [Source; N]) -> Source {
    let nearer = |one: Source, other: Source| if other.origin > one.origin { other } else { one };
    sources.into_iter().reduce(nearer).unwrap_or(Source::DEFAULT)
}

fn shown(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn milliseconds(duration: Duration) -> String {
    if duration.subsec_nanos() % 1_000_000 == 0 {
        duration.as_millis().to_string()
    } else {
        (duration.as_secs_f64() * 1e3).to_string()
    }
}

fn tags(tags: &[(String, String)]) -> String {
    let pairs = tags.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

static ROWS: &[Row] = &[
    Row {
        name: "url",
        variable: Some("INFLUXDB_URL"),
        about: "the whole URL, instead of scheme, host and port",
        default: "",
        read: |config, source, text| config.url.set(source, WriteUrl::parse(text)),
        show: |now| (now.url(), now.url_source()),
    },
    Row {
        name: "scheme",
        variable: Some("INFLUXDB_SCHEME"),
        about: "`http` or `https`",
        default: "https; http to a loopback host",
        read: |config, source, text| config.scheme.set(source, value::SCHEME.read(text)),
        show: |now| (now.address.scheme.0.to_string(), now.address.scheme.1),
    },
    Row {
        name: "host",
        variable: Some("INFLUXDB_HOST"),
        about: "the server's host name or IP address",
        default: "localhost",
        read: |config, source, text| config.host.set(source, value::HOST.read(text)),
        show: |now| (now.address.host.0.clone(), now.address.host.1),
    },
    Row {
        name: "port",
        variable: Some("INFLUXDB_PORT"),
        about: "the server's port",
        default: "8086",
        read: |config, source, text| config.port.set(source, value::PORT.read(text)),
        show: |now| (now.port().to_string(), now.address.port.1),
    },
    Row {
        name: "user",
        variable: Some("INFLUXDB_USER"),
        about: "user name",
        default: "",
        read: |config, source, text| config.user.set(source, value::user(text.into())),
        show: |now| (shown(now.user()), now.address.user.1),
    },
    Row {
        name: "password",
        variable: Some("INFLUXDB_PASSWORD"),
        about: "password",
        default: "",
        read: |config, source, text| config.password.set(source, Ok(Secret::new(text))),
        show: |now| (shown(now.password()), now.address.password.1),
    },
    Row {
        name: "enabled",
        variable: Some("INFLUXDB_ENABLED"),
        about: "whether anything is recorded at all",
        default: "true",
        read: |config, source, text| config.enabled.set(source, value::BOOLEAN.read(text)),
        show: |now| (now.settings.enabled.to_string(), now.config.enabled.from()),
    },
    Row {
        name: "submission_interval",
        variable: Some("INFLUXDB_INTERVAL"),
        about: "milliseconds to wait before submitting when there are fewer than the trigger size",
        default: "60000",
        read: |config, source, text| {
            config.submission_interval.set(source, value::INTERVAL.read(text))
        },
        show: |now| {
            (milliseconds(now.settings.submission_interval), now.config.submission_interval.from())
        },
    },
    Row {
        name: "max_batch_size",
        variable: Some("INFLUXDB_MAX_BATCH_SIZE"),
        about: "most measurements in one batch",
        default: "10000",
        read: |config, source, text| config.max_batch_size.set(source, value::SIZE.read(text)),
        show: |now| (now.settings.max_batch_size.to_string(), now.config.max_batch_size.from()),
    },
    Row {
        name: "max_batch_bytes",
        variable: Some("INFLUXDB_MAX_BATCH_BYTES"),
        about: "most bytes of lines in one batch, before compression",
        default: "4194304",
        read: |config, source, text| config.max_batch_bytes.set(source, value::SIZE.read(text)),
        show: |now| (now.settings.max_batch_bytes.to_string(), now.config.max_batch_bytes.from()),
    },
    Row {
        name: "max_buffer_size",
        variable: Some("INFLUXDB_MAX_BUFFER_SIZE"),
        about: "measurements in the buffer before the overflow policy decides",
        default: "25000",
        read: |config, source, text| config.max_buffer_size.set(source, value::SIZE.read(text)),
        show: |now| (now.settings.max_buffer_size.to_string(), now.config.max_buffer_size.from()),
    },
    Row {
        name: "max_buffer_bytes",
        variable: Some("INFLUXDB_MAX_BUFFER_BYTES"),
        about: "bytes of lines in the buffer before the overflow policy decides",
        default: "67108864",
        read: |config, source, text| config.max_buffer_bytes.set(source, value::SIZE.read(text)),
        show: |now| (now.settings.max_buffer_bytes.to_string(), now.config.max_buffer_bytes.from()),
    },
    Row {
        name: "trigger_size",
        variable: Some("INFLUXDB_TRIGGER_SIZE"),
        about: "measurements in the buffer that trigger a submission",
        default: "5000",
        read: |config, source, text| config.trigger_size.set(source, value::SIZE.read(text)),
        show: |now| (now.settings.trigger_size.to_string(), now.config.trigger_size.from()),
    },
    Row {
        name: "overflow",
        variable: Some("INFLUXDB_OVERFLOW"),
        about: "what a full buffer does: `newest` or `oldest` is dropped, or `block`",
        default: "newest",
        read: |config, source, text| config.overflow.set(source, choice::OVERFLOW.read(text)),
        show: |now| (now.settings.overflow.to_string(), now.config.overflow.from()),
    },
    Row {
        name: "block_timeout",
        variable: Some("INFLUXDB_BLOCK_TIMEOUT"),
        about: "milliseconds that `block` may hold the caller up",
        default: "5000",
        read: |config, source, text| config.block_timeout.set(source, value::WAIT.read(text)),
        show: |now| (milliseconds(now.settings.block_timeout), now.config.block_timeout.from()),
    },
    Row {
        name: "sample_probability",
        variable: Some("INFLUXDB_SAMPLE_PROBABILITY"),
        about: "0..1: the probability that a batch is submitted rather than dropped",
        default: "1.0",
        read: |config, source, text| {
            config.sample_probability.set(source, value::PROBABILITY.read(text))
        },
        show: |now| {
            (format!("{:?}", now.settings.sample_probability), now.config.sample_probability.from())
        },
    },
    Row {
        name: "max_clients",
        variable: None,
        about: "most requests at a time",
        default: "10",
        read: |config, source, text| config.max_clients.set(source, value::CLIENTS.read(text)),
        show: |now| (now.settings.max_clients.to_string(), now.config.max_clients.from()),
    },
    Row {
        name: "api",
        variable: Some("INFLUXDB_API"),
        about: "the write API: `v1`, `v2` or `v3`",
        default: "v2 when an org is set; v3 when only a token is; else v1",
        read: |config, source, text| config.api.set(source, choice::API.read(text)),
        show: |now| (now.settings.server.api.to_string(), now.config.api.from()),
    },
    Row {
        name: "token",
        variable: Some("INFLUXDB_TOKEN"),
        about: "token, for v2 and v3",
        default: "",
        read: |config, source, text| config.token.set(source, value::token(Secret::new(text))),
        show: |now| (shown(now.token()), now.config.token.from()),
    },
    Row {
        name: "org",
        variable: Some("INFLUXDB_ORG"),
        about: "organisation, for v2",
        default: "",
        read: |config, source, text| config.org.set(source, Ok(text.into())),
        show: |now| (shown(now.settings.server.org.as_ref()), now.config.org.from()),
    },
    Row {
        name: "retention_policy",
        variable: Some("INFLUXDB_RETENTION_POLICY"),
        about: "retention policy, for v1",
        default: "",
        read: |config, source, text| config.retention_policy.set(source, Ok(text.into())),
        show: |now| {
            (
                shown(now.settings.server.retention_policy.as_ref()),
                now.config.retention_policy.from(),
            )
        },
    },
    Row {
        name: "precision",
        variable: Some("INFLUXDB_PRECISION"),
        about: "precision of timestamps on the wire: `ns`, `us`, `ms` or `s`",
        default: "ns",
        read: |config, source, text| config.precision.set(source, choice::PRECISION.read(text)),
        show: |now| (now.settings.precision.to_string(), now.config.precision.from()),
    },
    Row {
        name: "gzip",
        variable: Some("INFLUXDB_GZIP"),
        about: "whether bodies are compressed",
        default: "true; false to a loopback host",
        read: |config, source, text| config.gzip.set(source, value::BOOLEAN.read(text)),
        show: |now| (now.settings.server.gzip.to_string(), now.config.gzip.from()),
    },
    Row {
        name: "timeout",
        variable: Some("INFLUXDB_TIMEOUT"),
        about: "milliseconds for one request, from connect to the last byte of the reply",
        default: "10000",
        read: |config, source, text| config.timeout.set(source, value::TIMEOUT.read(text)),
        show: |now| (milliseconds(now.settings.server.timeout), now.config.timeout.from()),
    },
    Row {
        name: "shutdown_timeout",
        variable: Some("INFLUXDB_SHUTDOWN_TIMEOUT"),
        about: "milliseconds for flush and shutdown when they are not told, and at exit",
        default: "5000",
        read: |config, source, text| config.shutdown_timeout.set(source, value::WAIT.read(text)),
        show: |now| {
            (milliseconds(now.settings.shutdown_timeout), now.config.shutdown_timeout.from())
        },
    },
    Row {
        name: "ca_file",
        variable: Some("INFLUXDB_CA_FILE"),
        about: "PEM file of certificates to trust beside the platform's",
        default: "",
        read: |config, source, text| config.ca_file.set(source, Ok(text.into())),
        show: |now| {
            (
                shown(now.settings.server.ca_file.as_deref().map(Path::display)),
                now.config.ca_file.from(),
            )
        },
    },
    Row {
        name: "tag_hostname",
        variable: Some("INFLUXDB_TAG_HOSTNAME"),
        about: "whether to add the tag `hostname`",
        default: "true",
        read: |config, source, text| config.tag_hostname.set(source, value::BOOLEAN.read(text)),
        show: |now| {
            (
                now.config.tag_hostname.valid().unwrap_or(&true).to_string(),
                now.config.tag_hostname.from(),
            )
        },
    },
    Row {
        name: "environment",
        variable: Some("ENVIRONMENT"),
        about: "the tag `environment`; unset: none",
        default: "",
        read: |config, source, text| config.environment.set(source, Ok(text.into())),
        show: |now| (shown(now.config.environment.valid()), now.config.environment.from()),
    },
    Row {
        name: "base_tags",
        variable: None,
        about: "the tags of every measurement",
        default: "hostname and environment, where they apply",
        read: |_, source, _| {
            Err(source.error("a text cannot be read as tags: expected names with values"))
        },
        show: |now| (tags(&now.settings.base_tags), now.base_tags_source()),
    },
];

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
        ("INFLUXDB_TAG_HOSTNAME", "0", "false", &[]),
        ("INFLUXDB_TIMEOUT", "250", "250", &[]),
        ("INFLUXDB_TOKEN", "hunter2", "***", &[]),
        ("INFLUXDB_TRIGGER_SIZE", "9", "9", &[]),
        ("INFLUXDB_URL", "http://me:hunter2@db/w?p=hunter2", "http://db/w?p=***", &[]),
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

        // What only the package's Tornado mixin reads.
        let in_python = ["INFLUXDB_TAG_CORRELATION_ID", "INFLUXDB_TAG_REMOTE_IP"];
        let words = readme.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for name in words.filter(|word| word.starts_with("INFLUXDB_")) {
            let is_a_setting =
                ROWS.iter().any(|row| row.variable == Some(name)) || in_python.contains(&name);
            // Those of the spool are none, but refused when they are set; others would be ignored.
            assert!(is_a_setting || environment(&[(name, "x")]).is_err(), "there is no {name}");
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
    fn a_spool_is_refused_rather_than_ignored() {
        for variable in ["INFLUXDB_SPOOL", "INFLUXDB_SPOOL_SYNC", "INFLUXDB_SPOOL_MAX_BYTES"] {
            let told = environment(&[(variable, "/var/spool/influxdb")]).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{variable}: this version has no spool")), "{told}");
            assert!(environment(&[(variable, "")]).is_ok());
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

    #[test]
    fn durations_are_shown_in_milliseconds() {
        assert_eq!(milliseconds(Duration::from_secs(60)), "60000");
        assert_eq!(milliseconds(Duration::from_micros(1500)), "1.5");
    }
}
