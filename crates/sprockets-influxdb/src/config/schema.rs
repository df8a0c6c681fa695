//! The one table of all settings. The environment, the setters, [`Config::settings`] and the
//! documentation follow from it. To add a setting, add an entry here and a setter to [`Config`].
//! `CONTRIBUTING.md` says what else: Python's options, and `make generated`.
//!
//! [`Config`]: super::Config
//! [`Config::settings`]: super::Config::settings

use std::path::PathBuf;
use std::time::Duration;

use super::enums::{self, Api, Overflow, Precision, SpoolSync};
use super::mask::Secret;
use super::parse::{self, Checked, Parser};
use super::provided::Provided;
use super::setting_name::SettingName;
use super::tags::{Tags, TagsParser};
use super::types::{DefaultValue, Description, InForce, Origin, Setting, Source};
use super::url::{self, Scheme, WriteUrl};
use super::value::{SettingValue, ToSettingValue};
use crate::error::Result;

/// One setting of the table.
pub(super) struct Entry {
    pub(super) description: Description,
    /// Stores the text of a variable or an argument.
    pub(super) provide: fn(&mut ProvidedValues, Source, Checked<&str>),
    /// The value in force. It never shows a secret.
    show: fn(&Values) -> (SettingValue, Source),
}

const SERVER: &str = "Server";
const NATS: &str = "NATS";
const CREDENTIALS: &str = "Credentials";
const RECORDING: &str = "Recording";
const BATCHES: &str = "Batches";
const BUFFER: &str = "Buffer";
const SPOOL: &str = "Spool";
const REQUESTS: &str = "Requests";
const TAGS: &str = "Tags";

settings! {
    url: WriteUrl {
        about: "URL of the server, instead of scheme, host and port. A path in it is used as it \
                is. `nats://` and `tls://` are servers of NATS.",
        topic: SERVER,
        variable: "INFLUXDB_URL",
        since: "3.0.0",
        parser: WriteUrl::parse,
    }
    scheme: Scheme {
        about: "`http` or `https`.",
        topic: SERVER,
        variable: "INFLUXDB_SCHEME",
        since: "2.2.1",
        parser: url::SCHEME,
        default_text: "`https`; `http` to a loopback host",
    }
    host: String {
        about: "Host name or IP address of the server.",
        topic: SERVER,
        variable: "INFLUXDB_HOST",
        since: "2.2.1",
        parser: url::HOST,
        default: "localhost".to_owned(),
    }
    port: u16 {
        about: "Port of the server.",
        topic: SERVER,
        variable: "INFLUXDB_PORT",
        since: "2.2.1",
        parser: parse::PORT,
        default: 8086,
    }
    api: Api {
        about: "Write API: `v1` (`/write`), `v2` (`/api/v2/write`) or `v3` \
                (`/api/v3/write_lp`).",
        topic: SERVER,
        variable: "INFLUXDB_API",
        since: "3.0.0",
        parser: enums::API,
        default_text: "`v2` when an org is set; `v3` when only a token is; else `v1`",
    }
    retention_policy: String {
        about: "Retention policy, for v1. Unset: the default policy of the database.",
        topic: SERVER,
        variable: "INFLUXDB_RETENTION_POLICY",
        since: "3.0.0",
        parser: parse::text,
    }
    ca_file: PathBuf {
        about: "PEM file of certificates to trust beside the platform's.",
        topic: SERVER,
        variable: "INFLUXDB_CA_FILE",
        since: "3.0.0",
        parser: parse::path,
    }
    client_cert: PathBuf {
        about: "PEM file of the client's certificate, for servers that demand one.",
        topic: SERVER,
        variable: "INFLUXDB_CLIENT_CERT",
        since: "3.0.0",
        parser: parse::path,
    }
    client_key: PathBuf {
        about: "PEM file of its private key. Unset: in the file of the certificate.",
        topic: SERVER,
        variable: "INFLUXDB_CLIENT_KEY",
        since: "3.0.0",
        parser: parse::path,
    }
    tls_verify: bool {
        about: "Whether the server's certificate is verified. `false`: for tests only.",
        topic: SERVER,
        variable: "INFLUXDB_TLS_VERIFY",
        since: "3.0.0",
        parser: parse::BOOLEAN,
        default: true,
    }
    nats_subject: String {
        about: "Subject of messages to NATS. `{database}` stands for the name of the database.",
        topic: NATS,
        variable: "INFLUXDB_NATS_SUBJECT",
        since: "3.0.0",
        parser: parse::SUBJECT,
        default: "influxdb.{database}".to_owned(),
    }
    nats_stream: String {
        about: "JetStream stream that has to store the messages. Unset: any with the subject.",
        topic: NATS,
        variable: "INFLUXDB_NATS_STREAM",
        since: "3.0.0",
        parser: parse::STREAM,
    }
    nats_creds: PathBuf {
        about: "Credentials file of NATS. It takes precedence over token, user and password.",
        topic: NATS,
        variable: "INFLUXDB_NATS_CREDS",
        since: "3.0.0",
        parser: parse::path,
    }
    user: String {
        about: "User name. It may be part of the URL instead.",
        topic: CREDENTIALS,
        variable: "INFLUXDB_USER",
        since: "2.2.1",
        parser: parse::user,
    }
    password: Secret {
        about: "Password. It may be part of the URL instead.",
        topic: CREDENTIALS,
        variable: "INFLUXDB_PASSWORD",
        since: "2.2.1",
        parser: parse::password,
    }
    token: Secret {
        about: "Token, for v2, v3 and NATS. It takes precedence over user and password.",
        topic: CREDENTIALS,
        variable: "INFLUXDB_TOKEN",
        since: "3.0.0",
        parser: parse::token,
    }
    org: String {
        about: "Organization, for v2. The database of a measurement is the bucket there.",
        topic: CREDENTIALS,
        variable: "INFLUXDB_ORG",
        since: "3.0.0",
        parser: parse::text,
    }
    enabled: bool {
        about: "Whether anything is recorded. `false`: measurements are dropped (`disabled`).",
        topic: RECORDING,
        variable: "INFLUXDB_ENABLED",
        since: "2.2.1",
        parser: parse::BOOLEAN,
        default: true,
    }
    database: String {
        about: "Database of measurements that name none. On v2 it is the bucket. \
                `INFLUXDB_BUCKET` means the same.",
        topic: RECORDING,
        variable: "INFLUXDB_DATABASE",
        alias: "INFLUXDB_BUCKET",
        since: "3.0.0",
        parser: parse::text,
    }
    self_database: String {
        about: "Database for the client's own counters, a point each interval. Unset: none.",
        topic: RECORDING,
        variable: "INFLUXDB_SELF_DATABASE",
        since: "3.0.0",
        parser: parse::text,
    }
    precision: Precision {
        about: "Precision of timestamps on the wire: `ns`, `us`, `ms` or `s`. A coarse one \
                loses points.",
        topic: RECORDING,
        variable: "INFLUXDB_PRECISION",
        since: "3.0.0",
        parser: enums::PRECISION,
        default: Precision::default(),
    }
    sample_probability: f64 {
        about: "Probability, from 0 to 1, that a batch is sent rather than dropped.",
        topic: RECORDING,
        variable: "INFLUXDB_SAMPLE_PROBABILITY",
        since: "2.2.1",
        parser: parse::PROBABILITY,
        default: 1.0,
    }
    submission_interval: Duration {
        about: "How long the first measurement of a batch waits, unless the trigger size is \
                reached.",
        topic: BATCHES,
        variable: "INFLUXDB_INTERVAL",
        unit: "ms",
        since: "2.2.1",
        parser: parse::INTERVAL,
        default: Duration::from_secs(60),
    }
    trigger_size: usize {
        about: "Number of waiting measurements that are sent at once.",
        topic: BATCHES,
        variable: "INFLUXDB_TRIGGER_SIZE",
        unit: "measurements",
        since: "2.2.1",
        parser: parse::SIZE,
        default: 5_000,
    }
    max_batch_size: usize {
        about: "Maximum batch size. A batch is one request.",
        topic: BATCHES,
        variable: "INFLUXDB_MAX_BATCH_SIZE",
        unit: "measurements",
        since: "2.2.1",
        parser: parse::SIZE,
        default: 10_000,
    }
    max_batch_bytes: usize {
        about: "Maximum batch size before compression (4 MiB). Reaching it also triggers a write.",
        topic: BATCHES,
        variable: "INFLUXDB_MAX_BATCH_BYTES",
        unit: "bytes",
        since: "3.0.0",
        parser: parse::SIZE,
        default: 4 << 20,
    }
    max_buffer_size: usize {
        about: "Buffer capacity. When it is full, `INFLUXDB_OVERFLOW` applies.",
        topic: BUFFER,
        variable: "INFLUXDB_MAX_BUFFER_SIZE",
        unit: "measurements",
        since: "2.2.1",
        parser: parse::SIZE,
        default: 25_000,
    }
    max_buffer_bytes: usize {
        about: "Buffer capacity in bytes of line protocol (64 MiB), beside \
                `INFLUXDB_MAX_BUFFER_SIZE`.",
        topic: BUFFER,
        variable: "INFLUXDB_MAX_BUFFER_BYTES",
        unit: "bytes",
        since: "3.0.0",
        parser: parse::SIZE,
        default: 64 << 20,
    }
    overflow: Overflow {
        about: "What happens when the buffer is full: the `newest` or the `oldest` is dropped, or \
                adding waits (`block`).",
        topic: BUFFER,
        variable: "INFLUXDB_OVERFLOW",
        since: "3.0.0",
        parser: enums::OVERFLOW,
        default: Overflow::default(),
    }
    block_timeout: Duration {
        about: "How long `block` waits for room. Then the measurement is dropped.",
        topic: BUFFER,
        variable: "INFLUXDB_BLOCK_TIMEOUT",
        unit: "ms",
        since: "3.0.0",
        parser: parse::WAIT,
        default: Duration::from_secs(5),
    }
    spool: PathBuf {
        about: "Directory of the spool, which keeps measurements on disk. Unset: memory only.",
        topic: SPOOL,
        variable: "INFLUXDB_SPOOL",
        since: "3.0.0",
        parser: parse::path,
    }
    spool_sync: SpoolSync {
        about: "What the spool survives: the end of the `process`, or a loss of power \
                (`interval`, `always`).",
        topic: SPOOL,
        variable: "INFLUXDB_SPOOL_SYNC",
        since: "3.0.0",
        parser: enums::SPOOL_SYNC,
        default: SpoolSync::default(),
    }
    spool_max_bytes: usize {
        about: "Capacity of the spool (1 GiB). With a spool it replaces the capacity of the \
                buffer.",
        topic: SPOOL,
        variable: "INFLUXDB_SPOOL_MAX_BYTES",
        unit: "bytes",
        since: "3.0.0",
        parser: parse::SIZE,
        default: 1 << 30,
    }
    max_clients: usize {
        about: "Maximum number of concurrent requests.",
        topic: REQUESTS,
        unit: "requests",
        since: "2.2.1",
        parser: parse::CLIENTS,
        default: 10,
    }
    gzip: bool {
        about: "Whether request bodies are compressed.",
        topic: REQUESTS,
        variable: "INFLUXDB_GZIP",
        since: "3.0.0",
        parser: parse::BOOLEAN,
        default_text: "`true`; `false` to a loopback host and to NATS",
    }
    timeout: Duration {
        about: "Timeout of one request, from connect to the last byte of the response.",
        topic: REQUESTS,
        variable: "INFLUXDB_TIMEOUT",
        unit: "ms",
        since: "3.0.0",
        parser: parse::TIMEOUT,
        default: Duration::from_secs(10),
    }
    shutdown_timeout: Duration {
        about: "Timeout of a flush or shutdown without a timeout of its own, and of the end of \
                the process.",
        topic: REQUESTS,
        variable: "INFLUXDB_SHUTDOWN_TIMEOUT",
        unit: "ms",
        since: "3.0.0",
        parser: parse::WAIT,
        default: Duration::from_secs(5),
    }
    tag_hostname: bool {
        about: "Whether every measurement gets the tag `hostname`.",
        topic: TAGS,
        variable: "INFLUXDB_TAG_HOSTNAME",
        since: "2.2.1",
        parser: parse::BOOLEAN,
        default: true,
    }
    environment: String {
        about: "Value of the tag `environment` of every measurement. Unset: no such tag.",
        topic: TAGS,
        variable: "ENVIRONMENT",
        since: "2.2.1",
        parser: parse::text,
    }
    base_tags: Tags {
        about: "Tags of every measurement.",
        topic: TAGS,
        since: "2.2.1",
        parser: TagsParser,
        default: Tags::default(),
        default_text: "hostname and environment, where they apply",
    }
}

impl Values {
    /// How advice names a setting: by the variable or the argument that is in force.
    pub(crate) fn name(&self, setting: &'static str) -> SettingName {
        let entry = ENTRIES.iter().find(|entry| entry.description.name == setting);
        let Some(entry) = entry else { return SettingName::argument(setting) };
        let (_, source) = (entry.show)(self);
        match (source.origin, entry.description.variable) {
            (Origin::Default, Some(variable)) => SettingName::variable(variable),
            (Origin::Default, None) => SettingName::argument(setting),
            (Origin::Environment, _) => SettingName::variable(source.name),
            (Origin::Argument, _) => SettingName::argument(source.name),
        }
    }

    /// Every setting with its value in force, secrets masked.
    pub(super) fn table(&self) -> Vec<Setting> {
        let settings = ENTRIES.iter().map(|entry| {
            let (value, source) = (entry.show)(self);
            Setting::new(&entry.description, value, source)
        });
        settings.collect()
    }
}

#[cfg(test)]
mod tests;
