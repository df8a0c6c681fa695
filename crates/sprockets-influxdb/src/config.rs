//! What a user asks for: setters and environment variables. Every setting is optional until [`Config::resolve`] makes
//! the valid [`Settings`] that the rest of the crate runs on; nothing else reads the environment.

mod choice;
mod rejected;
mod rows;
mod secret;
mod server;
mod setting;
mod settings;
mod table;
mod url;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::choice::{Api, Overflow, Precision, SpoolSync};
use self::rejected::Hook;
pub use self::rejected::Rejected;
pub(crate) use self::secret::Secret;
pub(crate) use self::server::{Auth, Server};
pub use self::setting::{Origin, Setting};
pub(crate) use self::settings::Settings;
use self::url::{Scheme, WriteUrl};
pub(crate) use self::url::{is_loopback, secret_values};
use self::value::{Asked, Source};
use crate::error::Result;

/// A variable that is set or not, and no setting of a client. An empty one counts as unset.
///
/// # Errors
///
/// A value that is not a boolean: the error names the variable.
pub(crate) fn flag(variable: &'static str) -> Result<bool> {
    let source = Source::environment(variable);
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(value) => {
            let read = value::BOOLEAN.read(&value.to_string_lossy());
            read.map_err(|problem| source.error(problem))
        }
        None => Ok(false),
    }
}

/// How a client finds its server, how much it buffers, and when it submits.
///
/// An argument (a call of a setter) wins over the environment, the environment over the default. What a setter cannot
/// judge alone is judged when a client is made from the whole.
///
/// ```
/// use std::time::Duration;
/// use sprockets_influxdb::Config;
///
/// let config = Config::new()
///     .url("http://influx.example.com:8086")?
///     .credentials("writer", "secret")
///     .submission_interval(Duration::from_secs(10))
///     .base_tag("region", "eu");
/// # let _ = config;
/// # Ok::<(), sprockets_influxdb::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    url: Asked<WriteUrl>,
    scheme: Asked<Scheme>,
    host: Asked<String>,
    port: Asked<u16>,
    user: Asked<String>,
    password: Asked<Secret>,
    api: Asked<Api>,
    token: Asked<Secret>,
    org: Asked<String>,
    retention_policy: Asked<String>,
    precision: Asked<Precision>,
    enabled: Asked<bool>,
    submission_interval: Asked<Duration>,
    max_batch_size: Asked<usize>,
    max_batch_bytes: Asked<usize>,
    max_buffer_size: Asked<usize>,
    max_buffer_bytes: Asked<usize>,
    trigger_size: Asked<usize>,
    max_clients: Asked<usize>,
    sample_probability: Asked<f64>,
    overflow: Asked<Overflow>,
    block_timeout: Asked<Duration>,
    gzip: Asked<bool>,
    timeout: Asked<Duration>,
    shutdown_timeout: Asked<Duration>,
    ca_file: Asked<PathBuf>,
    spool: Asked<PathBuf>,
    spool_sync: Asked<SpoolSync>,
    spool_max_bytes: Asked<usize>,
    tag_hostname: Asked<bool>,
    environment: Asked<String>,
    base_tags: Vec<(String, String)>,
    on_rejected: Option<Hook>,
}

impl Config {
    /// The defaults: nothing is read from the environment. Measurements go to `http://localhost:8086/write`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The defaults, changed by what the environment sets; [`Config::settings`] lists the variables. An empty variable
    /// counts as unset.
    ///
    /// # Errors
    ///
    /// A value that cannot be read, or values that do not go together: the error names the variable, the value (never
    /// a secret) and what is expected.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|variable| std::env::var_os(variable))
    }

    /// As [`Config::from_env`], from variables that are not the process's own: `lookup` is asked for each by its name.
    ///
    /// ```
    /// use sprockets_influxdb::Config;
    ///
    /// let config = Config::from_lookup(|variable| (variable == "INFLUXDB_HOST").then(|| "db.example.com".into()))?;
    /// # let _ = config;
    /// # Ok::<(), sprockets_influxdb::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Config::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let config = Self::new().with_lookup(lookup)?;
        config.resolve()?;
        Ok(config)
    }

    /// Takes every variable that is set, as [`Config::from_env`] does, but leaves it to [`Client::new`](crate::Client::new)
    /// to see whether the settings go together: for those who will set more.
    ///
    /// # Errors
    ///
    /// A value that cannot be read: the error names the variable, the value (never a secret) and what is expected.
    pub fn with_env(self) -> Result<Self> {
        self.with_lookup(|variable| std::env::var_os(variable))
    }

    /// [`with_env`](Self::with_env), from variables that are not the process's own.
    ///
    /// # Errors
    ///
    /// Those of [`with_env`](Self::with_env).
    pub fn with_lookup(mut self, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        table::read(&mut self, lookup)?;
        Ok(self)
    }

    /// A setting by its [name](Setting::name), from text as its variable would have it: for values that come from a
    /// file, a command line, or another language.
    ///
    /// ```
    /// use sprockets_influxdb::Config;
    ///
    /// let config = Config::new().set("host", "db.example.com")?.set("max_batch_size", "2000")?;
    /// assert!(config.set("max_batch_size", "many").is_err());
    /// # Ok::<(), sprockets_influxdb::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A name that no setting has, and a value that cannot be read.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self> {
        table::set(&mut self, name, value)?;
        Ok(self)
    }

    /// Every setting with its value in force, secrets masked, and where the value came from.
    ///
    /// # Errors
    ///
    /// Settings that cannot be used, or that do not go together.
    pub fn settings(&self) -> Result<Vec<Setting>> {
        Ok(self.resolve()?.into_table())
    }

    /// The server's URL, instead of scheme, host and port, over which it wins; only an argument for one of those
    /// changes its part of a URL from the environment. Without a port it is the scheme's own, 80 or 443. A path other
    /// than `/` is used as it stands, otherwise the API's own path is added; a query is kept. User and password in the
    /// URL (percent-encoded) are credentials; those given apart win over them.
    ///
    /// # Errors
    ///
    /// A text that is no `http` or `https` URL with a host, or that has a fragment.
    pub fn url(mut self, url: &str) -> Result<Self> {
        self.url.set(Source::argument("url"), WriteUrl::parse(url))?;
        Ok(self)
    }

    /// `http` or `https`; anything else is an error when the client is made. Default: `https`, so that credentials are
    /// not sent in the clear; `http` to a loopback host, so that a local server is found without configuration.
    pub fn scheme(mut self, scheme: impl AsRef<str>) -> Self {
        self.scheme.put(Source::argument("scheme"), value::SCHEME.read(scheme.as_ref()));
        self
    }

    /// The server's host name or IP address (IPv6 with or without brackets); anything else is an error when the client
    /// is made. Default: `localhost`.
    pub fn host(mut self, host: impl AsRef<str>) -> Self {
        self.host.put(Source::argument("host"), value::HOST.read(host.as_ref()));
        self
    }

    /// The server's port; 0 is an error when the client is made. Default: 8086, InfluxDB's own.
    pub fn port(mut self, port: u16) -> Self {
        self.port.put(Source::argument("port"), value::PORT.check(port));
        self
    }

    /// User name and password, sent as Basic authentication, which knows no colon in a user name: one is an error when
    /// the client is made. An empty user name: none. Default: none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user.put(Source::argument("user"), value::user(user.into()));
        self.password.put(Source::argument("password"), Ok(Secret::new(password)));
        self
    }

    /// The write API to speak. Default: [`Api::V2`] when an org is set, [`Api::V3`] when a token without an org is,
    /// else [`Api::V1`], which 1.x servers know and the original client spoke. v2 needs an org and a token.
    pub fn api(mut self, api: Api) -> Self {
        self.api.put(Source::argument("api"), Ok(api));
        self
    }

    /// The API token; it wins over user and password. Characters that cannot stand in an HTTP header are an error when
    /// the client is made. Empty: none. Default: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token.put(Source::argument("token"), value::token(Secret::new(token)));
        self
    }

    /// The organisation, by name or id; only v2 uses it. Empty: none. Default: none.
    pub fn org(mut self, org: impl Into<String>) -> Self {
        self.org.put(Source::argument("org"), Ok(org.into()));
        self
    }

    /// The retention policy to write into; only v1 uses it. Empty: none. Default: none, which is the database's own
    /// default policy.
    pub fn retention_policy(mut self, name: impl Into<String>) -> Self {
        self.retention_policy.put(Source::argument("retention_policy"), Ok(name.into()));
        self
    }

    /// The precision of timestamps on the wire. Default: [`Precision::Nanoseconds`]. Two points of one series with the
    /// same timestamp become one, so anything coarser loses measurements that are close in time.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision.put(Source::argument("precision"), Ok(precision));
        self
    }

    /// Whether the client records anything at all. Default: true. While it is false, a missing org, token or CA file
    /// is no error.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled.put(Source::argument("enabled"), Ok(enabled));
        self
    }

    /// How long the first measurement of a batch may wait while there are fewer than the trigger size. Default: 60 s,
    /// as in the original client. Zero, or more than 365 days, is an error when the client is made: to submit each
    /// measurement at once, set the trigger size to 1.
    pub fn submission_interval(mut self, interval: Duration) -> Self {
        self.submission_interval
            .put(Source::argument("submission_interval"), value::INTERVAL.check(interval));
        self
    }

    /// The most measurements in one batch, which is one request. Default: 10,000; a local server takes no more lines a
    /// second in larger ones.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn max_batch_size(mut self, measurements: usize) -> Result<Self> {
        let source = Source::argument("max_batch_size");
        self.max_batch_size.set(source, value::SIZE.check(measurements))?;
        Ok(self)
    }

    /// The most bytes of line protocol in one batch, before compression; a single longer line is a batch of its own.
    /// Default: 4 MiB, well under the smallest limit of a server (10 MiB, InfluxDB 3).
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn max_batch_bytes(mut self, bytes: usize) -> Result<Self> {
        let source = Source::argument("max_batch_bytes");
        self.max_batch_bytes.set(source, value::SIZE.check(bytes))?;
        Ok(self)
    }

    /// The most measurements in the buffer; beyond it the overflow policy decides. Default: 25,000, as in the original
    /// client.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn max_buffer_size(mut self, measurements: usize) -> Result<Self> {
        let source = Source::argument("max_buffer_size");
        self.max_buffer_size.set(source, value::SIZE.check(measurements))?;
        Ok(self)
    }

    /// The most bytes of line protocol in the buffer; beyond it the overflow policy decides. Default: 64 MiB, several
    /// times what 25,000 usual lines need: a bound for unusual ones.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn max_buffer_bytes(mut self, bytes: usize) -> Result<Self> {
        let source = Source::argument("max_buffer_bytes");
        self.max_buffer_bytes.set(source, value::SIZE.check(bytes))?;
        Ok(self)
    }

    /// How many measurements in the buffer trigger a submission. Default: 5,000, the batch that InfluxDB advises, with
    /// four times as much room left in the buffer. More than the buffer's limit is lowered to it, with a warning.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn trigger_size(mut self, measurements: usize) -> Result<Self> {
        let source = Source::argument("trigger_size");
        self.trigger_size.set(source, value::SIZE.check(measurements))?;
        Ok(self)
    }

    /// The most requests at a time, each on a thread and a connection of its own, which exist only while batches wait
    /// for them. Default: 10, as in the original client.
    ///
    /// # Errors
    ///
    /// Zero, or more than 1,024.
    pub fn max_clients(mut self, clients: usize) -> Result<Self> {
        let source = Source::argument("max_clients");
        self.max_clients.set(source, value::CLIENTS.check(clients))?;
        Ok(self)
    }

    /// The probability, from 0 to 1, that a batch is submitted rather than dropped. Default: 1, everything.
    ///
    /// # Errors
    ///
    /// A number outside 0..=1, or NaN.
    pub fn sample_probability(mut self, probability: f64) -> Result<Self> {
        let source = Source::argument("sample_probability");
        self.sample_probability.set(source, value::PROBABILITY.check(probability))?;
        Ok(self)
    }

    /// What gives way when the buffer is full. Default: [`Overflow::Newest`], as in the original client.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow.put(Source::argument("overflow"), Ok(overflow));
        self
    }

    /// How long [`Overflow::Block`] may hold the caller up before the measurement is dropped after all. Default: 5 s,
    /// long enough for a server's restart, short enough that no caller hangs. Zero does not wait; more than 365 days
    /// is an error when the client is made.
    pub fn block_timeout(mut self, timeout: Duration) -> Self {
        self.block_timeout.put(Source::argument("block_timeout"), value::WAIT.check(timeout));
        self
    }

    /// Whether bodies are compressed. Default: true, to about a seventh of the size; false to a loopback host, where it
    /// would only cost time.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip.put(Source::argument("gzip"), Ok(gzip));
        self
    }

    /// How long one request may take, from connect to the last byte of the reply; of that, 5 s at most to connect.
    /// Default: 10 s, a server's own usual limit for a write.
    ///
    /// # Errors
    ///
    /// Zero, or more than 365 days.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self> {
        let source = Source::argument("timeout");
        self.timeout.set(source, value::TIMEOUT.check(timeout))?;
        Ok(self)
    }

    /// How long flush and shutdown may take when they are not told, and the end of the process. Default: 5 s, within
    /// the time that supervisors give a service to end. Zero does not wait; more than 365 days is an error when the
    /// client is made.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout.put(Source::argument("shutdown_timeout"), value::WAIT.check(timeout));
        self
    }

    /// A PEM file of certificates to trust beside the platform's own roots. Default: none.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that holds no PEM certificate.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let checked = value::ca_file(&path).map(|()| path);
        self.ca_file.set(Source::argument("ca_file"), checked)?;
        Ok(self)
    }

    /// The directory of the spool, which is made if it is not there: what waits is on disk, and outlives the process.
    /// Several processes may have the same one. Empty: none. It cannot be changed while the client lives. Default: none,
    /// what waits is in memory only.
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool.put(Source::argument("spool"), Ok(directory.into()));
        self
    }

    /// What the spool survives. It cannot be changed while the client lives. Default: [`SpoolSync::Process`].
    pub fn spool_sync(mut self, sync: SpoolSync) -> Self {
        self.spool_sync.put(Source::argument("spool_sync"), Ok(sync));
        self
    }

    /// The most bytes in the spool's directory; with a spool this, and not the two limits of the buffer, bounds what
    /// waits; beyond it the overflow policy decides. What other processes write counts as well, as of the last look, which
    /// is a few seconds ago. Default: 1 GiB.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn spool_max_bytes(mut self, bytes: usize) -> Result<Self> {
        let source = Source::argument("spool_max_bytes");
        self.spool_max_bytes.set(source, value::SIZE.check(bytes))?;
        Ok(self)
    }

    /// A tag for every measurement. The same name again replaces the value, in its place; that holds for `hostname`
    /// and `environment` too, which come first. An empty name is an error when the client is made. Default: only those
    /// two, where they apply.
    pub fn base_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        value::put_tag(&mut self.base_tags, name.into(), value.into());
        self
    }

    /// Several base tags, in their order; see [`Config::base_tag`].
    pub fn base_tags<I, N, V>(self, tags: I) -> Self
    where
        I: IntoIterator<Item = (N, V)>,
        N: Into<String>,
        V: Into<String>,
    {
        tags.into_iter().fold(self, |config, (name, value)| config.base_tag(name, value))
    }

    /// Whether this machine's host name is the base tag `hostname`. Default: true, so that equal measurements of two
    /// machines stay apart.
    pub fn tag_hostname(mut self, tag: bool) -> Self {
        self.tag_hostname.put(Source::argument("tag_hostname"), Ok(tag));
        self
    }

    /// Is called, on a sender thread, with each line that the server refused for good. Default: none; they are counted
    /// and logged in any case.
    pub fn on_rejected(mut self, hook: impl Fn(&Rejected<'_>) + Send + Sync + 'static) -> Self {
        self.on_rejected = Some(Hook(Arc::new(hook)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// A configuration from these variables and no others.
    pub(super) fn environment(variables: &[(&str, &str)]) -> Result<Config> {
        Config::from_lookup(|asked| {
            let variable = variables.iter().find(|(variable, _)| *variable == asked);
            variable.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn an_argument_wins_over_the_environment_and_that_over_the_default() {
        let size = |config: &Config| config.resolve().unwrap().max_batch_size;
        assert_eq!(size(&Config::new()), 10_000);
        let config = environment(&[("INFLUXDB_MAX_BATCH_SIZE", "7")]).unwrap();
        assert_eq!(size(&config), 7);
        assert_eq!(size(&config.max_batch_size(8).unwrap()), 8);
    }

    #[test]
    fn a_setter_refuses_what_cannot_be_used() {
        let rows: [(Result<Config>, &str); 14] = [
            (Config::new().url("db:8086"), r#"url: "db:8086" has no scheme: expected a URL like "#),
            (
                Config::new().max_batch_size(0),
                "max_batch_size: 0 is not a size: expected a whole number from 1 ",
            ),
            (Config::new().max_batch_bytes(0), "max_batch_bytes: 0 is not a size: "),
            (Config::new().max_buffer_size(0), "max_buffer_size: 0 is not a size: "),
            (Config::new().max_buffer_bytes(0), "max_buffer_bytes: 0 is not a size: "),
            (Config::new().max_buffer_bytes(usize::MAX), "max_buffer_bytes: "),
            (Config::new().trigger_size(0), "trigger_size: 0 is not a size: "),
            (Config::new().max_clients(0), "max_clients: 0 is not a number of clients: "),
            (Config::new().max_clients(1025), "max_clients: 1025 is not a number of clients: "),
            (
                Config::new().sample_probability(1.5),
                "sample_probability: 1.5 is not a probability: ",
            ),
            (
                Config::new().sample_probability(f64::NAN),
                "sample_probability: NaN is not a probability: ",
            ),
            (Config::new().timeout(Duration::ZERO), "timeout: 0ns is not a timeout: "),
            (Config::new().timeout(Duration::MAX), "timeout: "),
            (
                Config::new().ca_file("/nowhere/ca.pem"),
                r#"ca_file: "/nowhere/ca.pem" cannot be read ("#,
            ),
        ];
        for (refused, told) in rows {
            let error: Error = refused.expect_err(told);
            assert!(error.is_configuration());
            assert!(error.to_string().starts_with(told), "{error}");
        }
    }

    #[test]
    fn every_setter_reaches_its_setting() {
        let settings = Config::new()
            .url("http://db:1/")
            .unwrap()
            .credentials("u", "p")
            .api(Api::V1)
            .retention_policy("year")
            .precision(Precision::Seconds)
            .enabled(false)
            .submission_interval(Duration::from_millis(1))
            .max_batch_size(2)
            .unwrap()
            .max_batch_bytes(3)
            .unwrap()
            .max_buffer_size(4)
            .unwrap()
            .max_buffer_bytes(5)
            .unwrap()
            .trigger_size(1)
            .unwrap()
            .max_clients(6)
            .unwrap()
            .sample_probability(0.5)
            .unwrap()
            .overflow(Overflow::Block)
            .block_timeout(Duration::from_millis(7))
            .gzip(false)
            .timeout(Duration::from_millis(8))
            .unwrap()
            .shutdown_timeout(Duration::from_millis(9))
            .tag_hostname(false)
            .base_tag("a", "b")
            .resolve()
            .unwrap();
        assert_eq!(
            settings.server,
            Server {
                url: "http://db:1/write".into(),
                has_url: true,
                query: None,
                api: Api::V1,
                auth: Auth::Basic { user: "u".into(), password: Secret::new("p") },
                org: None,
                retention_policy: Some("year".into()),
                gzip: false,
                timeout: Duration::from_millis(8),
                ca_file: None,
            }
        );
        assert!(!settings.enabled);
        assert_eq!(settings.precision, Precision::Seconds);
        assert_eq!(settings.submission_interval, Duration::from_millis(1));
        assert_eq!((settings.max_batch_size, settings.max_batch_bytes), (2, 3));
        assert_eq!((settings.max_buffer_size, settings.max_buffer_bytes), (4, 5));
        assert_eq!((settings.trigger_size, settings.max_clients), (1, 6));
        assert_eq!(settings.sample_probability, 0.5);
        assert_eq!(settings.overflow, Overflow::Block);
        assert_eq!(settings.block_timeout, Duration::from_millis(7));
        assert_eq!(settings.shutdown_timeout, Duration::from_millis(9));
        assert_eq!(settings.base_tags, [("a".to_owned(), "b".to_owned())]);
        assert!(settings.warnings.is_empty());
    }

    #[test]
    fn a_ca_file_is_checked_again_when_a_client_is_made() {
        let path =
            std::env::temp_dir().join(format!("sprockets-influxdb-{}.pem", std::process::id()));
        let pem = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, pem).unwrap();
        let config = Config::new().ca_file(&path).unwrap();
        let variable = environment(&[("INFLUXDB_CA_FILE", path.to_str().unwrap())]).unwrap();
        for config in [&config, &variable] {
            assert_eq!(config.resolve().unwrap().server.ca_file.as_ref(), Some(&path));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(config.resolve().unwrap_err().to_string().starts_with("ca_file: "));
        assert!(variable.resolve().unwrap_err().to_string().starts_with("INFLUXDB_CA_FILE: "));
        assert!(variable.enabled(false).resolve().is_ok());
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let config = Config::new()
            .url("http://me:hunter2@db/?p=hunter2")
            .unwrap()
            .credentials("you", "hunter2")
            .token("hunter2");
        let settings = config.resolve().unwrap();
        let shown = format!(
            "{config:?} {config:#?} {settings:?} {:?} {:?} {:?}",
            settings.server,
            settings.table(),
            settings.warnings,
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("***"));

        let url = "http://me:hunter2@db";
        let misplaced = Config::new().scheme(url).host(url).credentials("me:hunter2", "");
        let shown = format!("{misplaced:?} {:?}", misplaced.resolve().unwrap_err());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
