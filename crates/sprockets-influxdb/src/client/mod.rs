//! The client: the only place where measurements, buffer and delivery are put together.

mod active;
mod flush;
mod global;

pub use flush::Flush;
pub use global::{add_measurement, flush, install, installed, shutdown};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use once_cell::race::OnceBox;

use crate::buffer::{Buffer, Incoming, Notes};
use crate::config::{Config, Setting};
use crate::delivery::{Check, Sender, Threads};
use crate::error::{Error, Result};
use crate::line_protocol::RawLine;
use crate::measurement::{Clock, Line, Measurement, Timestamp};
use crate::spool::Spool;
use crate::stats::{DropReason, Report, Stats};
use crate::sync::{Mutex, lock};
use crate::sys;
use active::Active;

/// Records measurements and gets them to InfluxDB. Clones are the same client; any thread may use any of them.
///
/// When the last clone is dropped, the client shuts down within the configured shutdown timeout. In a child made by
/// `fork()` a client starts afresh: with an empty buffer, its own threads and connections, and books at zero.
///
/// ```no_run
/// use std::time::Duration;
/// use sprockets_influxdb::{Client, Config, Measurement};
///
/// # fn main() -> sprockets_influxdb::Result<()> {
/// let client = Client::new(Config::from_env()?)?;
/// client.add_measurement(&Measurement::new("example", "requests").tag("method", "GET").field("bytes", 512))?;
/// let report = client.shutdown(Duration::from_secs(5));
/// assert!(report.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    process: Arc<Process>,
}

/// A client as one process sees it.
struct Process {
    generation: u64,
    core: Core,
    /// The client of a process forked from this one. Made without a lock: another thread may have held any lock at the
    /// moment of the fork.
    child: OnceBox<Process>,
}

struct Core {
    active: ArcSwap<Active>,
    /// One change of the configuration at a time.
    changes: Mutex<()>,
    buffer: Arc<Buffer>,
    sender: Arc<Sender>,
    threads: Arc<Threads>,
    is_shut_down: AtomicBool,
    clock: Clock,
}

impl Client {
    /// A client by that configuration. Its threads start with the first measurement, so that a process may still fork as
    /// one that has a single thread; it connects when there is something to send.
    ///
    /// # Errors
    ///
    /// Settings that do not fit together, and a CA file that cannot be used: the error names the setting.
    pub fn new(config: Config) -> Result<Self> {
        sys::watch_forks();
        let active = Active::new(config)?;
        active.warn();
        let core = Core::new(active, Clock::monotonic());
        Ok(Self { process: Arc::new(Process::new(core)) })
    }

    /// Adds a measurement to the buffer: about a tenth of a microsecond; never the network, the disk, or a wait (other
    /// than with [`Overflow::Block`](crate::Overflow::Block) on a full buffer). The measurement can be changed and added
    /// again.
    ///
    /// `Ok` means that it is in the books: [`stats`](Self::stats) tells whether it was buffered or, for instance as
    /// the buffer is full, dropped.
    ///
    /// # Errors
    ///
    /// A measurement that can never be stored: without a field, without a name, with an integer that the server's API
    /// has no type for, or with a timestamp out of range. It is counted as dropped ([`DropReason::Invalid`]).
    #[inline]
    pub fn add_measurement(&self, measurement: &Measurement) -> Result<()> {
        self.core().add_measurement(measurement)
    }

    /// Adds a line that is there already, such as one of a file, for a database. It is stored as it stands, without the
    /// base tags; one without a timestamp is stamped now, so that equal lines do not overwrite each other. Otherwise as
    /// [`add_measurement`](Self::add_measurement).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sprockets_influxdb::{Client, Config, Precision, RawLine};
    /// # let server = sprockets_influxdb::testing::Server::start();
    /// # let client = Client::new(Config::new().url(&server.url())?)?;
    /// let line = RawLine::parse(b"cpu,host=a load=0.5 1700000000", Precision::Seconds)?;
    /// client.add_line("example", &line)?;
    /// # assert!(client.flush(Duration::from_secs(30)).is_complete());
    /// # assert_eq!(server.points("example")[0].timestamp, 1_700_000_000_000_000_000);
    /// # Ok::<(), sprockets_influxdb::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An empty name of a database, and an unsigned integer over the v1 API, which has no type for it. The line is
    /// counted as dropped ([`DropReason::Invalid`]).
    pub fn add_line(&self, database: &str, line: &RawLine<'_>) -> Result<()> {
        self.core().add_line(database, line)
    }

    /// Asks the server whether it would take measurements for that database, or for any: one request, by the way that
    /// deliveries take, that stores nothing. Blocks for [`Config::timeout`] at most, and touches neither buffer nor books.
    pub fn check(&self, database: Option<&str>) -> Check {
        let active = self.core().active.load();
        Check::make(&active.settings.server, active.settings.precision, database)
    }

    /// Submits what is buffered, and waits until everything that was added before the call has been decided
    /// (delivered, rejected or dropped), but at most for `timeout`. A wait for better times, as after a failure, is cut
    /// short for it, unless the server asked for it.
    pub fn flush(&self, timeout: Duration) -> Report {
        self.core().flush(timeout)
    }

    /// [`flush`](Self::flush), for a caller who may be interrupted meanwhile, as by a signal: asked ten times a second.
    pub fn flush_unless(&self, timeout: Duration, is_interrupted: impl FnMut() -> bool) -> Report {
        let core = self.core();
        core.end_unless(core.begin_flush(), timeout, is_interrupted)
    }

    /// [`flush`](Self::flush) as a future, for any executor, with the configured shutdown timeout.
    pub fn flush_async(&self) -> Flush {
        Flush::start(self, self.core().begin_flush())
    }

    /// Takes no more measurements, and flushes. What comes later is counted as dropped ([`DropReason::Closed`]). What
    /// could not be decided in time stays pending; while the process and a clone of the client live, it is still tried
    /// to deliver it. The last clone dropped after this does not wait again.
    pub fn shutdown(&self, timeout: Duration) -> Report {
        self.core().shutdown(timeout)
    }

    /// [`shutdown`](Self::shutdown), for a caller who may be interrupted meanwhile: see
    /// [`flush_unless`](Self::flush_unless).
    pub fn shutdown_unless(
        &self,
        timeout: Duration,
        is_interrupted: impl FnMut() -> bool,
    ) -> Report {
        let core = self.core();
        core.end_unless(core.begin_shutdown(), timeout, is_interrupted)
    }

    /// [`shutdown`](Self::shutdown) as a future, for any executor, with the configured shutdown timeout.
    pub fn shutdown_async(&self) -> Flush {
        Flush::start(self, self.core().begin_shutdown())
    }

    /// Takes over what processes that are no more have left in the spool: otherwise the first measurement begins with that.
    /// Waits until all of it is in the books ([`Stats::recovered`]), though not until it is delivered, at most for `timeout`.
    /// Returns whether it is; without a spool there is nothing to wait for.
    pub fn recover(&self, timeout: Duration) -> bool {
        let core = self.core();
        let Some(spool) = core.buffer.spool() else { return true };
        core.threads.ensure_listener();
        spool.await_search(&core.clock, timeout)
    }

    /// The books, in one piece: they balance at every moment.
    pub fn stats(&self) -> Stats {
        self.core().buffer.stats()
    }

    /// The configuration in force, with where each value came from. Secrets are masked.
    pub fn settings(&self) -> Vec<Setting> {
        self.core().active.load().settings.table().to_vec()
    }

    /// Whether measurements are recorded (`INFLUXDB_ENABLED`). Cheap, for who would have to go to some length to make one.
    pub fn is_enabled(&self) -> bool {
        self.core().active.load().settings.enabled
    }

    /// The tags that measurements get from the configuration: the base tags, `hostname` and `environment`.
    pub fn base_tags(&self) -> Vec<(String, String)> {
        self.core().active.load().settings.base_tags.clone()
    }

    /// Changes the configuration, from any thread, effective at once. What waits is kept, and is sent by the new
    /// configuration.
    ///
    /// ```no_run
    /// # fn main() -> sprockets_influxdb::Result<()> {
    /// # let client = sprockets_influxdb::Client::new(sprockets_influxdb::Config::new())?;
    /// client.reconfigure(|config| config.max_batch_size(2_000)?.trigger_size(500))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `change`, and of [`new`](Self::new); then everything stays as it was.
    pub fn reconfigure(&self, change: impl FnOnce(Config) -> Result<Config>) -> Result<()> {
        self.core().reconfigure(change)
    }

    /// This process's own core.
    #[inline]
    fn core(&self) -> &Core {
        let process = &*self.process;
        if process.generation == sys::generation() { &process.core } else { process.in_child() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.core().active.load().settings.server.url)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Process {
    fn new(core: Core) -> Self {
        Self { generation: sys::generation(), core, child: OnceBox::new() }
    }

    /// The core of the forked process that we are in, made on first use.
    #[cold]
    fn in_child(&self) -> &Core {
        let mut process = self;
        while process.generation != sys::generation() {
            process = process.child.get_or_init(|| Box::new(Self::new(process.core.afresh())));
        }
        &process.core
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A forked process owns nothing of its parent's.
        if self.generation == sys::generation() {
            // Whoever shut it down has waited for as long as they would.
            let has_waited = self.core.is_shut_down.load(Ordering::Relaxed);
            let timeout = if has_waited { Duration::ZERO } else { self.core.shutdown_timeout() };
            let report = self.core.shutdown(timeout);
            self.core.threads.stop();
            self.core.buffer.stow();
            let spooled = self.core.buffer.stats().spooled;
            if spooled > 0 {
                tracing::warn!("{spooled} measurements wait in the spool for the next process");
            } else if !report.is_complete() {
                let pending = report.pending;
                tracing::error!(
                    "{pending} measurements are lost: not delivered when the client ended"
                );
            }
        }
    }
}

impl Core {
    fn new(active: Active, clock: Clock) -> Self {
        let spool = active.settings.spool.as_ref().filter(|_| active.settings.enabled);
        let spool = spool.map(|spool| Arc::new(Spool::new(&spool.directory, spool.sync)));
        let buffer = Buffer::new(active.limits(), active.door(), spool, clock.clone());
        let buffer = Arc::new(buffer);
        let sender = Arc::new(Sender::new(buffer.clone(), active.route(), clock.clone()));
        let most = active.settings.max_clients;
        let threads = Threads::new(sender.clone(), buffer.clone(), clock.clone(), most);
        let active = ArcSwap::from_pointee(active);
        let (changes, is_shut_down) = (Mutex::new(()), AtomicBool::new(false));
        Self { active, changes, buffer, sender, threads, is_shut_down, clock }
    }

    /// The same client with nothing in it. Takes no lock of this one.
    fn afresh(&self) -> Self {
        let active = self.active.load();
        let (config, settings) = (active.config.clone(), active.settings.clone());
        let transport = active.transport.afresh();
        let active = Active::with_transport(config, settings, transport);
        Self::new(active, Clock::monotonic())
    }

    #[inline]
    fn add_measurement(&self, measurement: &Measurement) -> Result<()> {
        let active = self.active.load();
        if !active.settings.enabled {
            self.drop_added(DropReason::Disabled, Notes::default());
            return Ok(());
        }
        let notes =
            Notes { non_finite: measurement.non_finite(), repaired: measurement.is_repaired() };
        if let Err(error) = measurement.check(active.has_unsigned) {
            self.drop_added(DropReason::Invalid, notes);
            return Err(error);
        }
        if measurement.is_empty() {
            self.drop_added(DropReason::NonFinite, notes);
            return Ok(());
        }
        let line = measurement.line(&active.base_tags, active.divisor);
        self.push(&active, measurement.database_bytes(), &line, notes);
        Ok(())
    }

    fn add_line(&self, database: &str, line: &RawLine<'_>) -> Result<()> {
        let active = self.active.load();
        let problem = if !active.settings.enabled {
            self.drop_added(DropReason::Disabled, Notes::default());
            return Ok(());
        } else if database.is_empty() {
            "the line has no database: name one"
        } else if line.has_unsigned() && !active.has_unsigned {
            "it has an unsigned integer, which the v1 API does not know: write 1i"
        } else {
            let timestamp = line.timestamp().unwrap_or_else(Timestamp::now).nanoseconds();
            let timestamp = timestamp.div_euclid(active.divisor);
            let line = Line::of_text(line.text().as_bytes(), timestamp);
            self.push(&active, database.as_bytes(), &line, Notes::default());
            return Ok(());
        };
        self.drop_added(DropReason::Invalid, Notes::default());
        Err(Error::measurement(problem))
    }

    #[inline]
    fn push(&self, active: &Active, database: &[u8], line: &Line<'_>, notes: Notes) {
        let incoming = Incoming {
            database,
            precision: active.settings.precision,
            len: line.len(),
            write: |bytes: &mut Vec<u8>| line.write_to(bytes),
        };
        if self.buffer.push(incoming, notes) || self.threads.is_retry_due() {
            self.threads.ensure_listener();
        }
    }

    #[cold]
    fn drop_added(&self, reason: DropReason, notes: Notes) {
        if self.buffer.drop_added(reason, notes) {
            self.threads.ensure_listener();
        }
    }

    fn shutdown_timeout(&self) -> Duration {
        self.active.load().settings.shutdown_timeout
    }

    fn reconfigure(&self, change: impl FnOnce(Config) -> Result<Config>) -> Result<()> {
        let _one_at_a_time = lock(&self.changes);
        let new = self.active.load().changed(change)?;
        new.warn();
        let (limits, door, route) = (new.limits(), new.door(), new.route());
        let most = new.settings.max_clients;
        self.active.store(Arc::new(new));
        self.buffer.set_limits(limits, door);
        self.sender.set_route(route);
        self.threads.set_most(most);
        Ok(())
    }
}

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
