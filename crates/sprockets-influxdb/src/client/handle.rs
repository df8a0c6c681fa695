//! The client as users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::flush::Flush;
use super::losses;
use super::process::Process;
use super::snapshot::Snapshot;
use crate::clock::Clock;
use crate::config::{Config, Setting};
use crate::delivery::Check;
use crate::error::Result;
use crate::line_protocol::RawLine;
use crate::measurement::Measurement;
use crate::stats::{Report, Stats};
use crate::sys;

/// Records measurements and delivers them to InfluxDB. Clones are the same client; any thread may
/// use any of them.
///
/// When the last clone is dropped, the client shuts down within the configured shutdown timeout.
/// In a child made by `fork()` a client starts afresh, with an empty buffer, its own workers and
/// connections, and counters at zero.
///
/// ```no_run
/// use std::time::Duration;
/// use sprockets_influxdb::{Client, Config, Measurement};
///
/// # fn main() -> sprockets_influxdb::Result<()> {
/// let client = Client::new(Config::from_env()?)?;
/// let measurement = Measurement::new("example", "requests").tag("method", "GET");
/// client.add_measurement(&measurement.field("bytes", 512))?;
/// let report = client.shutdown(Duration::from_secs(5));
/// assert!(report.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    process: Arc<Process>,
}

/// The configuration of a client that was in force when this was made.
pub struct InForce(pub(super) Arc<Snapshot>);

impl InForce {
    /// Whether measurements are recorded.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.0.is_enabled
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce").finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Its workers start with the first measurement, so that the process can still
    /// fork while it has a single thread. It connects when there is something to send.
    ///
    /// # Errors
    ///
    /// A setting that cannot be used, or settings that do not fit together. The error names the
    /// setting, its value (never a secret) and what is expected.
    pub fn new(config: Config) -> Result<Self> {
        sys::watch_forks();
        let snapshot = Snapshot::new(config)?;
        snapshot.log_warnings(None);
        let core = Core::new(snapshot, Clock::monotonic());
        Ok(Self { process: Arc::new(Process::new(core)) })
    }

    /// Adds a measurement to the buffer. Takes about a tenth of a microsecond. It never waits for
    /// the network, and without a spool not for the disk. With a spool it creates a file if the
    /// client's thread has prepared none in time. Only with
    /// [`Overflow::Block`](crate::Overflow::Block) it waits for room in a full buffer. The
    /// measurement can be changed and added again.
    ///
    /// `Ok` means that it is counted: [`stats`](Self::stats) tells whether it was buffered or
    /// dropped, for instance because the buffer is full.
    ///
    /// # Errors
    ///
    /// A measurement that can never be stored: without a field, a name or a database, with an
    /// integer that the server's API has no type for, or with a timestamp out of range. It is
    /// counted as dropped ([`DropReason::Invalid`](crate::DropReason::Invalid)).
    #[inline]
    pub fn add_measurement(&self, measurement: &Measurement) -> Result<()> {
        self.core().add_measurement(measurement)
    }

    pub(crate) fn in_force(&self) -> InForce {
        InForce(self.core().snapshot.load_full())
    }

    /// As [`add_measurement`](Self::add_measurement), by this configuration.
    #[inline]
    pub(crate) fn add_as(&self, in_force: &InForce, measurement: &Measurement) -> Result<()> {
        self.core().add_as(&in_force.0, measurement, None).map(drop)
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.core().is_sending()
    }

    pub(crate) fn address(&self) -> String {
        self.core().snapshot.load().settings.server.url.clone()
    }

    pub(crate) fn drop_pending(&self) {
        self.core().buffer.drop_pending();
    }

    /// Adds an existing line of line protocol, such as one of a file, for a database. An empty name
    /// is that of the [default database](Config::database). The line is stored
    /// as it is, without the base tags. A line without a timestamp gets the present time, so that
    /// equal lines do not overwrite each other. Otherwise as
    /// [`add_measurement`](Self::add_measurement).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sprockets_influxdb::{Client, Config, Precision, RawLine};
    /// # let server = sprockets_influxdb::testing::Server::start();
    /// # let client = Client::new(Config::new().url(&server.url()))?;
    /// let line = RawLine::parse(b"cpu,host=a load=0.5 1700000000", Precision::Seconds)?;
    /// client.add_line("example", &line)?;
    /// # assert!(client.flush(Duration::from_secs(30)).is_complete());
    /// # assert_eq!(server.points("example")[0].timestamp, 1_700_000_000_000_000_000);
    /// # Ok::<(), sprockets_influxdb::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No database, and an unsigned integer over the v1 API, which has no type for it.
    /// The line is counted as dropped ([`DropReason::Invalid`](crate::DropReason::Invalid)).
    pub fn add_line(&self, database: &str, line: &RawLine<'_>) -> Result<()> {
        self.core().add_line(database, line)
    }

    /// Asks the server whether it accepts measurements for this database; without a name, for the
    /// [default database](Config::database), or for any if there is none. Stores nothing, and
    /// creates no database. Blocks for three requests, each within [`Config::timeout`]. Changes
    /// neither buffer nor counters.
    pub fn check(&self, database: Option<&str>) -> Check {
        let snapshot = self.core().snapshot.load();
        let database = database.or(snapshot.settings.values.database.value.as_deref());
        Check::make(&snapshot.settings.server, snapshot.precision, database)
    }

    /// Sends what is buffered, and waits until everything that was added before the call is
    /// decided (delivered, rejected or dropped), at most for `timeout`. A backoff after a failure
    /// is cut short, unless the server asked for it.
    pub fn flush(&self, timeout: Duration) -> Report {
        let core = self.core();
        core.end(core.begin_flush(timeout))
    }

    pub(crate) fn flush_unless(
        &self,
        timeout: Duration,
        is_interrupted: impl FnMut() -> bool,
    ) -> Report {
        let core = self.core();
        core.end_unless(core.begin_flush(timeout), is_interrupted)
    }

    /// As [`flush`](Self::flush), as a future for any executor, with the configured shutdown
    /// timeout.
    pub fn flush_async(&self) -> Flush {
        let core = self.core();
        Flush::start(&self.process, core.begin_flush(core.shutdown_timeout()))
    }

    /// Accepts no more measurements, and flushes. Later additions are counted as dropped
    /// ([`DropReason::Closed`](crate::DropReason::Closed)). What is not decided in time stays
    /// pending: the client tries to deliver it while the process and a clone of the client live.
    /// Dropping the last clone after this does not wait again.
    pub fn shutdown(&self, timeout: Duration) -> Report {
        let core = self.core();
        core.end(core.begin_shutdown(timeout))
    }

    pub(crate) fn begin_shutdown(&self) {
        let core = self.core();
        core.begin_shutdown(core.shutdown_timeout());
    }

    pub(crate) fn shutdown_unless(
        &self,
        timeout: Duration,
        is_interrupted: impl FnMut() -> bool,
    ) -> Report {
        let core = self.core();
        core.end_unless(core.begin_shutdown(timeout), is_interrupted)
    }

    /// As [`shutdown`](Self::shutdown), as a future for any executor, with the configured shutdown
    /// timeout.
    pub fn shutdown_async(&self) -> Flush {
        let core = self.core();
        Flush::start(&self.process, core.begin_shutdown(core.shutdown_timeout()))
    }

    /// Takes over what dead processes left in the spool. Without this call, the first measurement
    /// starts that. Waits until all of it is counted ([`Stats::recovered`]), though not until it is
    /// delivered, at most for `timeout`. Returns whether it is; true without a spool.
    pub fn recover(&self, timeout: Duration) -> bool {
        let core = self.core();
        let Some(spool) = core.buffer.spool() else { return true };
        core.workers.ensure_leader();
        spool.recovery.await_complete(&core.clock, timeout)
    }

    pub(crate) fn recover_from_any_user(&self) {
        if let Some(spool) = self.core().buffer.spool() {
            spool.allow_any_user();
        }
    }

    /// The counters, taken at one moment: they always balance.
    pub fn stats(&self) -> Stats {
        self.core().buffer.stats()
    }

    /// Every setting with its value in force, secrets masked, and where the value came from.
    pub fn settings(&self) -> Vec<Setting> {
        self.core().snapshot.load().settings.table()
    }

    /// The database of measurements that name none (`INFLUXDB_DATABASE`), if there is one.
    pub fn default_database(&self) -> Option<String> {
        self.core().snapshot.load().settings.values.database.value.clone()
    }

    /// Whether measurements are recorded (`INFLUXDB_ENABLED`). Cheap, for callers that would have
    /// work to do for a measurement.
    pub fn is_enabled(&self) -> bool {
        self.core().snapshot.load().is_enabled
    }

    /// The timeout of a flush or shutdown that is given none (`INFLUXDB_SHUTDOWN_TIMEOUT`).
    pub fn shutdown_timeout(&self) -> Duration {
        self.core().shutdown_timeout()
    }

    /// The tags of every measurement, by name and value: hostname, environment and the base tags.
    pub fn base_tags(&self) -> Vec<(String, String)> {
        let snapshot = self.core().snapshot.load();
        snapshot.settings.values.base_tags.value.iter().cloned().collect()
    }

    /// Changes the configuration, from any thread, effective at once. What waits is kept and is
    /// sent by the new configuration.
    ///
    /// ```no_run
    /// # fn main() -> sprockets_influxdb::Result<()> {
    /// # let client = sprockets_influxdb::Client::new(sprockets_influxdb::Config::new())?;
    /// client.reconfigure(|config| config.max_batch_size(2_000).trigger_size(500))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and another spool. Then everything stays as it was.
    pub fn reconfigure(&self, change: impl FnOnce(Config) -> Config) -> Result<()> {
        self.core().reconfigure(change)
    }

    /// Logs what is in the spool and what was lost, at the end of a process that does not drop its
    /// clients.
    pub(crate) fn log_end<'a>(clients: impl IntoIterator<Item = &'a Self>) {
        losses::log(clients.into_iter().map(Self::core));
    }

    /// The core of this process.
    #[inline]
    pub(super) fn core(&self) -> &Core {
        self.process.core()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.address())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
