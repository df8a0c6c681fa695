//! The rows of the table of settings.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::server::{Address, Auth};
use super::resolve::Settings;
use super::url::{self, WriteUrl};
use super::parse::{self, Source};
use super::{Config, Secret, enums};
use crate::error::Result;

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
    pub(super) read: fn(&mut Config, Source, &str) -> Result<()>,
    /// The value in force, never a secret, and where it came from.
    pub(super) show: fn(&InForce<'_>) -> (String, Source),
}

/// All that there is to show.
pub(super) struct InForce<'a> {
    pub(super) config: &'a Config,
    pub(super) settings: &'a Settings,
    pub(super) address: &'a Address,
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

pub(super) static ROWS: &[Row] = &[
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
        read: |config, source, text| config.scheme.set(source, parse::SCHEME.read(text)),
        show: |now| (now.address.scheme.0.to_string(), now.address.scheme.1),
    },
    Row {
        name: "host",
        variable: Some("INFLUXDB_HOST"),
        about: "the server's host name or IP address",
        default: "localhost",
        read: |config, source, text| config.host.set(source, parse::HOST.read(text)),
        show: |now| (now.address.host.0.clone(), now.address.host.1),
    },
    Row {
        name: "port",
        variable: Some("INFLUXDB_PORT"),
        about: "the server's port",
        default: "8086",
        read: |config, source, text| config.port.set(source, parse::PORT.read(text)),
        show: |now| (now.port().to_string(), now.address.port.1),
    },
    Row {
        name: "user",
        variable: Some("INFLUXDB_USER"),
        about: "user name",
        default: "",
        read: |config, source, text| config.user.set(source, parse::user(text.into())),
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
        read: |config, source, text| config.enabled.set(source, parse::BOOLEAN.read(text)),
        show: |now| (now.settings.enabled.to_string(), now.config.enabled.from()),
    },
    Row {
        name: "submission_interval",
        variable: Some("INFLUXDB_INTERVAL"),
        about: "milliseconds to wait before submitting when there are fewer than the trigger size",
        default: "60000",
        read: |config, source, text| {
            config.submission_interval.set(source, parse::INTERVAL.read(text))
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
        read: |config, source, text| config.max_batch_size.set(source, parse::SIZE.read(text)),
        show: |now| (now.settings.max_batch_size.to_string(), now.config.max_batch_size.from()),
    },
    Row {
        name: "max_batch_bytes",
        variable: Some("INFLUXDB_MAX_BATCH_BYTES"),
        about: "most bytes of lines in one batch, before compression",
        default: "4194304",
        read: |config, source, text| config.max_batch_bytes.set(source, parse::SIZE.read(text)),
        show: |now| (now.settings.max_batch_bytes.to_string(), now.config.max_batch_bytes.from()),
    },
    Row {
        name: "max_buffer_size",
        variable: Some("INFLUXDB_MAX_BUFFER_SIZE"),
        about: "measurements in the buffer before the overflow policy decides",
        default: "25000",
        read: |config, source, text| config.max_buffer_size.set(source, parse::SIZE.read(text)),
        show: |now| (now.settings.max_buffer_size.to_string(), now.config.max_buffer_size.from()),
    },
    Row {
        name: "max_buffer_bytes",
        variable: Some("INFLUXDB_MAX_BUFFER_BYTES"),
        about: "bytes of lines in the buffer before the overflow policy decides",
        default: "67108864",
        read: |config, source, text| config.max_buffer_bytes.set(source, parse::SIZE.read(text)),
        show: |now| (now.settings.max_buffer_bytes.to_string(), now.config.max_buffer_bytes.from()),
    },
    Row {
        name: "trigger_size",
        variable: Some("INFLUXDB_TRIGGER_SIZE"),
        about: "measurements in the buffer that trigger a submission",
        default: "5000",
        read: |config, source, text| config.trigger_size.set(source, parse::SIZE.read(text)),
        show: |now| (now.settings.trigger_size.to_string(), now.config.trigger_size.from()),
    },
    Row {
        name: "overflow",
        variable: Some("INFLUXDB_OVERFLOW"),
        about: "what a full buffer does: `newest` or `oldest` is dropped, or `block`",
        default: "newest",
        read: |config, source, text| config.overflow.set(source, enums::OVERFLOW.read(text)),
        show: |now| (now.settings.overflow.to_string(), now.config.overflow.from()),
    },
    Row {
        name: "block_timeout",
        variable: Some("INFLUXDB_BLOCK_TIMEOUT"),
        about: "milliseconds that `block` may hold the caller up",
        default: "5000",
        read: |config, source, text| config.block_timeout.set(source, parse::WAIT.read(text)),
        show: |now| (milliseconds(now.settings.block_timeout), now.config.block_timeout.from()),
    },
    Row {
        name: "sample_probability",
        variable: Some("INFLUXDB_SAMPLE_PROBABILITY"),
        about: "0..1: the probability that a batch is submitted rather than dropped",
        default: "1.0",
        read: |config, source, text| {
            config.sample_probability.set(source, parse::PROBABILITY.read(text))
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
        read: |config, source, text| config.max_clients.set(source, parse::CLIENTS.read(text)),
        show: |now| (now.settings.max_clients.to_string(), now.config.max_clients.from()),
    },
    Row {
        name: "api",
        variable: Some("INFLUXDB_API"),
        about: "the write API: `v1`, `v2` or `v3`",
        default: "v2 when an org is set; v3 when only a token is; else v1",
        read: |config, source, text| config.api.set(source, enums::API.read(text)),
        show: |now| (now.settings.server.api.to_string(), now.config.api.from()),
    },
    Row {
        name: "token",
        variable: Some("INFLUXDB_TOKEN"),
        about: "token, for v2 and v3",
        default: "",
        read: |config, source, text| config.token.set(source, parse::token(Secret::new(text))),
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
        read: |config, source, text| config.precision.set(source, enums::PRECISION.read(text)),
        show: |now| (now.settings.precision.to_string(), now.config.precision.from()),
    },
    Row {
        name: "gzip",
        variable: Some("INFLUXDB_GZIP"),
        about: "whether bodies are compressed",
        default: "true; false to a loopback host",
        read: |config, source, text| config.gzip.set(source, parse::BOOLEAN.read(text)),
        show: |now| (now.settings.server.gzip.to_string(), now.config.gzip.from()),
    },
    Row {
        name: "timeout",
        variable: Some("INFLUXDB_TIMEOUT"),
        about: "milliseconds for one request, from connect to the last byte of the reply",
        default: "10000",
        read: |config, source, text| config.timeout.set(source, parse::TIMEOUT.read(text)),
        show: |now| (milliseconds(now.settings.server.timeout), now.config.timeout.from()),
    },
    Row {
        name: "shutdown_timeout",
        variable: Some("INFLUXDB_SHUTDOWN_TIMEOUT"),
        about: "milliseconds for flush and shutdown when they are not told, and at exit",
        default: "5000",
        read: |config, source, text| config.shutdown_timeout.set(source, parse::WAIT.read(text)),
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
        name: "spool",
        variable: Some("INFLUXDB_SPOOL"),
        about: "directory of the spool, which outlives the process; unset: memory only",
        default: "",
        read: |config, source, text| config.spool.set(source, Ok(text.into())),
        show: |now| {
            let spool = now.settings.spool.as_ref();
            (shown(spool.map(|spool| spool.directory.display())), now.config.spool.from())
        },
    },
    Row {
        name: "spool_sync",
        variable: Some("INFLUXDB_SPOOL_SYNC"),
        about: "what the spool survives: the end of the `process`, or a loss of power (`interval`, `always`)",
        default: "process",
        read: |config, source, text| config.spool_sync.set(source, enums::SPOOL_SYNC.read(text)),
        show: |now| {
            let sync = now.settings.spool.as_ref().map(|spool| spool.sync);
            let sync = sync.or(now.config.spool_sync.value().ok().flatten().copied());
            (sync.unwrap_or_default().to_string(), now.config.spool_sync.from())
        },
    },
    Row {
        name: "spool_max_bytes",
        variable: Some("INFLUXDB_SPOOL_MAX_BYTES"),
        about: "bytes in the spool's directory before the overflow policy decides, instead of the buffer's limits",
        default: "1073741824",
        read: |config, source, text| config.spool_max_bytes.set(source, parse::SIZE.read(text)),
        show: |now| (now.settings.spool_max_bytes.to_string(), now.config.spool_max_bytes.from()),
    },
    Row {
        name: "tag_hostname",
        variable: Some("INFLUXDB_TAG_HOSTNAME"),
        about: "whether to add the tag `hostname`",
        default: "true",
        read: |config, source, text| config.tag_hostname.set(source, parse::BOOLEAN.read(text)),
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
    use super::*;

    #[test]
    fn durations_are_shown_in_milliseconds() {
        assert_eq!(milliseconds(Duration::from_secs(60)), "60000");
        assert_eq!(milliseconds(Duration::from_micros(1500)), "1.5");
    }
}
