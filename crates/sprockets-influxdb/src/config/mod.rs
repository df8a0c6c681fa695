//! The configuration: what a user provides by setters and environment variables, and the valid
//! [`Settings`] that the rest of the crate runs on. Nothing else reads `INFLUXDB_*` variables of
//! the client.

mod authorities;
mod client_identity;
#[macro_use]
mod declare;
mod enums;
mod mask;
mod names;
mod parse;
mod pem;
mod provide;
mod provided;
mod rejected;
mod resolve;
mod schema;
mod server;
mod setting_name;
mod tags;
mod types;
mod unknown;
mod url;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::authorities::Authorities;
pub use self::enums::{Api, Overflow, Precision, SpoolSync};
#[cfg(test)]
pub(crate) use self::mask::Secret;
pub(crate) use self::mask::secret_values;
pub(crate) use self::names::Names;
use self::parse::Parser;
#[cfg(feature = "nats")]
pub(crate) use self::pem::read_bounded;
use self::rejected::Callback;
pub(crate) use self::rejected::OnRejected;
pub use self::rejected::Rejected;
pub(crate) use self::resolve::Settings;
use self::schema::ProvidedValues;
pub(crate) use self::schema::Values;
pub(crate) use self::server::{Auth, Server};
#[cfg(feature = "nats")]
pub(crate) use self::server::{DATABASE, Nats};
use self::types::Source;
pub use self::types::{Origin, Setting};
pub(crate) use self::url::is_loopback;
pub use self::value::SettingValue;
use crate::error::{Error, Result};

/// Reads a boolean variable that is not a setting of the client. `None` if it is unset or empty.
///
/// # Errors
///
/// A value that is not a boolean. The error names the variable.
pub(crate) fn flag(variable: &'static str) -> Result<Option<bool>> {
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(value) => {
            let read = parse::BOOLEAN.read(&value.to_string_lossy());
            read.map(Some).map_err(|problem| Source::environment(variable).error(problem))
        }
        None => Ok(None),
    }
}

/// How a client finds its server, how much it buffers, and when it sends.
///
/// A setter takes precedence over the environment, the environment over the default. Setters do
/// not fail: [`Client::new`](crate::Client::new) and [`Config::settings`] report the first value
/// that cannot be used, and settings that do not fit together.
///
/// ```
/// use std::time::Duration;
/// use sprockets_influxdb::Config;
///
/// let config = Config::new()
///     .url("http://influx.example.com:8086")
///     .credentials("writer", "secret")
///     .submission_interval(Duration::from_secs(10))
///     .base_tag("region", "eu");
/// assert!(config.settings().is_ok());
///
/// let error = config.max_batch_size(0).settings().unwrap_err();
/// assert!(error.to_string().starts_with("max_batch_size: 0 is not a size: expected "));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a configuration does nothing until a client is made from it"]
pub struct Config {
    provided: ProvidedValues,
    /// The first setting that does not exist.
    unknown: Option<String>,
    /// The value of `INFLUXDB_PORT`, as it is logged, if Kubernetes or Docker set it.
    service_link: Option<String>,
    /// Variables of the environment that may be meant for this client.
    candidates: Vec<String>,
    on_rejected: Option<Callback>,
}

/// Stores the value of a typed setter under the name of its setting.
macro_rules! provide {
    ($config:ident.$name:ident = $value:expr) => {{
        let source = Source::argument(stringify!($name));
        $config.provided.$name.set(source, Ok($value));
        $config
    }};
}

impl Config {
    /// The defaults. Nothing is read from the environment, and measurements are sent to
    /// `http://localhost:8086/write`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The environment variables, and defaults for those that are unset or empty.
    /// [`Config::settings`] lists the variables.
    ///
    /// # Errors
    ///
    /// A value that cannot be used, or values that do not fit together. The error names the
    /// variable, the value (never a secret) and what is expected.
    pub fn from_env() -> Result<Self> {
        let config = Self::new().with_env();
        config.resolve()?;
        Ok(config)
    }

    /// As [`Config::from_env`], but calls `lookup` for the value of each variable.
    ///
    /// ```
    /// use sprockets_influxdb::Config;
    ///
    /// let config = Config::from_lookup(|variable| match variable {
    ///     "INFLUXDB_HOST" => Some("db.example.com".into()),
    ///     _ => None,
    /// })?;
    /// # let _ = config;
    /// # Ok::<(), sprockets_influxdb::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Config::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let config = Self::new().with_lookup(lookup);
        config.resolve()?;
        Ok(config)
    }

    /// Adds the environment variables that are set and not empty. As with setters, values that
    /// cannot be used are reported later. A setter takes precedence, before or after this call.
    ///
    /// A variable with the prefix `INFLUXDB_` that no setting has, and a name that other clients
    /// use, are a warning in the log of the client.
    pub fn with_env(self) -> Self {
        self.with_lookup(|variable| std::env::var_os(variable)).with_names_of_env()
    }

    /// Looks for names in the environment that may be meant for this client.
    pub(crate) fn with_names_of_env(mut self) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()));
        self.candidates = unknown::candidates(variables);
        self
    }

    /// As [`Config::with_env`], but calls `lookup` for the value of each variable.
    pub fn with_lookup(mut self, lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        self.service_link = self.provided.read_variables(lookup);
        self
    }

    /// Sets a setting by its [name](Setting::name), from text as its variable would have it. For
    /// values that come from a file, a command line or another language. A name that no setting
    /// has is reported as a value that cannot be used.
    ///
    /// ```
    /// use sprockets_influxdb::Config;
    ///
    /// let config = Config::new().set("host", "db.example.com").set("max_batch_size", "2000");
    /// assert!(config.settings().is_ok());
    /// assert!(config.set("max_batch_size", "many").settings().is_err());
    /// ```
    pub fn set(mut self, name: &str, value: &str) -> Self {
        if let Err(problem) = self.provided.set(name, value) {
            self.unknown.get_or_insert(problem);
        }
        self
    }

    /// Every setting with its value in force, secrets masked, and where the value came from.
    ///
    /// # Errors
    ///
    /// A setting that cannot be used, or settings that do not fit together.
    pub fn settings(&self) -> Result<Vec<Setting>> {
        Ok(self.resolve()?.table())
    }

    pub(crate) fn resolve(&self) -> Result<Settings> {
        if let Some(problem) = &self.unknown {
            return Err(Error::configuration(problem));
        }
        let on_rejected = self.on_rejected.as_ref().map(|callback| callback.0.clone());
        let mut settings =
            Settings::resolve(&self.provided, self.service_link.as_deref(), on_rejected)?;
        settings.unknown = unknown::warnings(&self.candidates, &settings.table());
        Ok(settings)
    }
}

/// The setters. Each says its default and what it accepts.
impl Config {
    /// URL of the server, `http` or `https`, instead of scheme, host and port; with the feature
    /// `nats` also `nats` or `tls`, with one or more servers: `nats://a:4222,b:4222`. A setter of
    /// scheme, host or port changes that part of a URL from the environment. Without a port in the
    /// URL, it is the scheme's own: 80, 443 or 4222. A path other than `/` is used as it is;
    /// otherwise the path of the API is added. A query is kept. User and password in the URL are
    /// percent-encoded; the setter [`Config::credentials`] takes precedence over them. A URL has no
    /// fragment, and one of NATS no path. Default: none.
    pub fn url(self, url: &str) -> Self {
        self.set("url", url)
    }

    /// Subject of messages to NATS, with `{database}` for the name of the database. Characters that
    /// a subject cannot hold are percent-encoded. Default: `influxdb.{database}`.
    pub fn nats_subject(self, subject: impl AsRef<str>) -> Self {
        self.set("nats_subject", subject.as_ref())
    }

    /// JetStream stream that has to store the messages. Empty: none. Default: none, which is any
    /// stream that has the subject.
    pub fn nats_stream(self, stream: impl AsRef<str>) -> Self {
        self.set("nats_stream", stream.as_ref())
    }

    /// Credentials file of NATS, read at each connection. It takes precedence over token, user and
    /// password. Empty: none. Default: none.
    pub fn nats_creds(mut self, path: impl Into<PathBuf>) -> Self {
        provide!(self.nats_creds = path.into())
    }

    /// `http` or `https`. Default: `https`, so that credentials are not sent in the clear; `http`
    /// to a loopback host, so that a local server is found without configuration.
    pub fn scheme(self, scheme: impl AsRef<str>) -> Self {
        self.set("scheme", scheme.as_ref())
    }

    /// Host name or IP address of the server, IPv6 with or without brackets. Default:
    /// `localhost`.
    pub fn host(self, host: impl AsRef<str>) -> Self {
        self.set("host", host.as_ref())
    }

    /// Port of the server, from 1. Default: 8086, InfluxDB's own.
    pub fn port(mut self, port: u16) -> Self {
        provide!(self.port = port)
    }

    /// User name and password, sent as Basic authentication. The user name must not have a colon
    /// in it. An empty user name means no credentials. Default: none.
    pub fn credentials(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.set("user", user.as_ref()).set("password", password.as_ref())
    }

    /// Write API. Default: [`Api::V2`] if an org is set, [`Api::V3`] if a token without an org is,
    /// else [`Api::V1`]. v2 needs an org and a token.
    pub fn api(mut self, api: Api) -> Self {
        provide!(self.api = api)
    }

    /// API token, printable ASCII. It takes precedence over user and password. Empty: none.
    /// Default: none.
    pub fn token(self, token: impl AsRef<str>) -> Self {
        self.set("token", token.as_ref())
    }

    /// Organization, by name or id. Only v2 uses it. Empty: none. Default: none.
    pub fn org(self, org: impl AsRef<str>) -> Self {
        self.set("org", org.as_ref())
    }

    /// Retention policy to write into. Only v1 uses it. Empty: none. Default: none, which is the
    /// default policy of the database.
    pub fn retention_policy(self, name: impl AsRef<str>) -> Self {
        self.set("retention_policy", name.as_ref())
    }

    /// Database, on v2 the bucket, of measurements that name none, such as those of
    /// [`Measurement::named`](crate::Measurement::named). Empty: none. Default: none, and adding
    /// such a measurement is an error.
    pub fn database(self, name: impl AsRef<str>) -> Self {
        self.set("database", name.as_ref())
    }

    /// Database, on v2 the bucket, for the client's own counters: a point of the measurement
    /// `sprockets_influxdb` each submission interval, and one at the end, with the tag `hostname`.
    /// Its fields are those of [`Stats`](crate::Stats), a `dropped_…` for each
    /// [`DropReason`](crate::DropReason), and `pid`. The points are not counted themselves. Empty:
    /// none. Default: none.
    pub fn self_database(self, name: impl AsRef<str>) -> Self {
        self.set("self_database", name.as_ref())
    }

    /// Precision of timestamps on the wire. A point with the series and the timestamp of another
    /// overwrites it, so a coarse precision loses measurements that are close in time. Default:
    /// [`Precision::Nanoseconds`].
    pub fn precision(mut self, precision: Precision) -> Self {
        provide!(self.precision = precision)
    }

    /// Whether anything is recorded. Default: true.
    pub fn enabled(mut self, enabled: bool) -> Self {
        provide!(self.enabled = enabled)
    }

    /// How long the first measurement of a batch waits while there are fewer than the trigger
    /// size. More than zero, at most 365 days. Default: 60 s.
    pub fn submission_interval(mut self, interval: Duration) -> Self {
        provide!(self.submission_interval = interval)
    }

    /// Maximum number of measurements in one batch, which is one request. At least 1. Default:
    /// 10,000; a local server takes no more lines a second in larger batches.
    pub fn max_batch_size(mut self, measurements: usize) -> Self {
        provide!(self.max_batch_size = measurements)
    }

    /// Maximum size of one batch in bytes of line protocol, before compression. At least 1. A
    /// longer line is a batch of its own. Default: 4 MiB, well below the smallest limit of a
    /// server (10 MiB, InfluxDB 3).
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        provide!(self.max_batch_bytes = bytes)
    }

    /// Capacity of the buffer in measurements. At least 1. When it is full, the overflow policy
    /// applies. Default: 25,000.
    pub fn max_buffer_size(mut self, measurements: usize) -> Self {
        provide!(self.max_buffer_size = measurements)
    }

    /// Capacity of the buffer in bytes of line protocol. At least 1. When it is full, the overflow
    /// policy applies. Default: 64 MiB, several times what 25,000 usual lines need.
    pub fn max_buffer_bytes(mut self, bytes: usize) -> Self {
        provide!(self.max_buffer_bytes = bytes)
    }

    /// Number of waiting measurements that are sent at once. At least 1. More than the capacity of
    /// the buffer is lowered to it, with a warning. Default: 5,000, the batch size that InfluxDB
    /// recommends, with four times as much room left in the buffer.
    pub fn trigger_size(mut self, measurements: usize) -> Self {
        provide!(self.trigger_size = measurements)
    }

    /// Maximum number of concurrent requests, from 1 to 1,024. Each has a thread and a connection
    /// of its own, which exist only while batches wait for them. Default: 10.
    pub fn max_clients(mut self, clients: usize) -> Self {
        provide!(self.max_clients = clients)
    }

    /// Probability, from 0 to 1, that a batch is sent rather than dropped. Default: 1, everything.
    pub fn sample_probability(mut self, probability: f64) -> Self {
        provide!(self.sample_probability = probability)
    }

    /// What happens when the buffer is full. Default: [`Overflow::Newest`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        provide!(self.overflow = overflow)
    }

    /// How long [`Overflow::Block`] waits for room before the measurement is dropped. At most 365
    /// days; zero does not wait. Default: 5 s, long enough for a server to restart.
    pub fn block_timeout(mut self, timeout: Duration) -> Self {
        provide!(self.block_timeout = timeout)
    }

    /// Whether request bodies are compressed. Default: true, to about a seventh of the size; false
    /// to a loopback host, where it would only cost time.
    pub fn gzip(mut self, gzip: bool) -> Self {
        provide!(self.gzip = gzip)
    }

    /// Timeout of one request, from connect to the last byte of the response. Connecting may take
    /// 5 s of it. More than zero, at most 365 days. Default: 10 s, a server's usual limit for a
    /// write.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        provide!(self.timeout = timeout)
    }

    /// Timeout of a flush or shutdown that is given none, and of dropping the last client. At most
    /// 365 days; zero does not wait. Default: 5 s, less than supervisors give a service to end.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        provide!(self.shutdown_timeout = timeout)
    }

    /// PEM file of certificates to trust beside the platform's roots, at most 16 MiB. It is read
    /// when a client is made or reconfigured, unless the client is disabled. Default: none.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        provide!(self.ca_file = path.into())
    }

    /// PEM file of the certificate that the client shows to a server that demands one (mTLS), and
    /// of its issuers after it. It is read as [`Config::ca_file`] is. Default: none.
    pub fn client_cert(mut self, path: impl Into<PathBuf>) -> Self {
        provide!(self.client_cert = path.into())
    }

    /// PEM file of the certificate's private key, not encrypted. Default: the file of the
    /// certificate.
    pub fn client_key(mut self, path: impl Into<PathBuf>) -> Self {
        provide!(self.client_key = path.into())
    }

    /// Whether the server's certificate is verified. `false` is for tests only: anyone on the
    /// network can then read and change what is sent, credentials included. The log warns of it.
    /// Default: true.
    pub fn tls_verify(mut self, verify: bool) -> Self {
        provide!(self.tls_verify = verify)
    }

    /// Directory of the spool, which keeps measurements on disk: what waits there survives the
    /// process. It is created if it does not exist; several processes may share it. It cannot be
    /// changed while the client lives. Empty: none. Default: none, memory only.
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        provide!(self.spool = directory.into())
    }

    /// What the spool survives. It cannot be changed while the client lives. Default:
    /// [`SpoolSync::Process`].
    pub fn spool_sync(mut self, sync: SpoolSync) -> Self {
        provide!(self.spool_sync = sync)
    }

    /// Capacity of the spool in bytes. At least 1 MiB. With a spool it replaces the capacity of the
    /// buffer; when it is full, the overflow policy applies. It holds for all processes of a user
    /// together, and for the whole directory, quarantine and damaged files included. Default:
    /// 1 GiB.
    pub fn spool_max_bytes(mut self, bytes: usize) -> Self {
        provide!(self.spool_max_bytes = bytes)
    }

    /// Adds a tag to every measurement. The name must not be empty. A name that was added before
    /// keeps its place and gets the new value, also `hostname` and `environment`, which come first.
    /// Default: only those two, where they apply.
    pub fn base_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let source = Source::argument("base_tags");
        self.provided.base_tags.edit(source, |tags| tags.put(name.into(), value.into()));
        self
    }

    /// Adds several base tags, in order; see [`Config::base_tag`].
    pub fn base_tags<I, N, V>(self, tags: I) -> Self
    where
        I: IntoIterator<Item = (N, V)>,
        N: Into<String>,
        V: Into<String>,
    {
        tags.into_iter().fold(self, |config, (name, value)| config.base_tag(name, value))
    }

    /// Whether the name of this machine is the base tag `hostname`. Default: true, so that equal
    /// measurements of two machines stay apart.
    pub fn tag_hostname(mut self, tag: bool) -> Self {
        provide!(self.tag_hostname = tag)
    }

    /// Calls `callback`, on a sender thread, with each line that the server rejected. Default:
    /// none; such lines are counted and logged in any case.
    pub fn on_rejected(mut self, callback: impl Fn(&Rejected<'_>) + Send + Sync + 'static) -> Self {
        self.on_rejected = Some(Callback(Arc::new(callback) as OnRejected));
        self
    }
}

#[cfg(test)]
mod tests;
