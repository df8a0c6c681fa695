//! What a client consists of in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::disk_work;
use super::snapshot::Snapshot;
use crate::buffer::{Buffer, Entry, EntryFlags, PushOutcome, RoomWait};
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Sender, Workers};
use crate::error::{Error, Result};
use crate::line_protocol::RawLine;
use crate::measurement::{Line, Measurement, Timestamp};
use crate::spool::Spool;
use crate::stats::{DropReason, Report};
use crate::sync::{Mutex, lock};

/// How often an interruptible flush asks whether it is interrupted.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(100);

/// How long a shutdown waits for the disk after its own timeout.
const PERSIST_TIMEOUT: Duration = Duration::from_millis(800);

/// How long a shutdown waits at most for the client's own counters to be written.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Core {
    pub(super) snapshot: ArcSwap<Snapshot>,
    /// Held while the configuration changes.
    changes: Mutex<()>,
    pub(super) buffer: Arc<Buffer>,
    sender: Arc<Sender>,
    pub(super) workers: Arc<Workers>,
    is_shut_down: AtomicBool,
    pub(super) clock: Clock,
}

/// What became of a measurement that waited for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It waits to be sent.
    Pending,
    /// The client does not record: it is disabled, or shut down.
    Dropped,
    /// There was no room in time. It is dropped.
    Full,
}

/// A flush that has begun.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    flush: u64,
    /// When it ends, done or not.
    until: Duration,
    /// Whether nothing is added after it.
    is_shutdown: bool,
    /// What was added after an earlier shutdown, and so dropped.
    closed: u64,
}

impl Core {
    pub(super) fn new(snapshot: Snapshot, clock: Clock) -> Self {
        let spool = snapshot.settings.spool().filter(|_| snapshot.is_enabled);
        let spool = spool.map(|spool| Arc::new(Spool::new(&spool.directory, spool.sync)));
        let buffer = Buffer::new(snapshot.limits(), snapshot.intake(), spool, clock.clone());
        let buffer = Arc::new(buffer);
        let sender = Arc::new(Sender::new(buffer.clone(), snapshot.route(), clock.clone()));
        let max_clients = snapshot.settings.values.max_clients.value;
        let workers = Workers::new(sender.clone(), buffer.clone(), clock.clone(), max_clients);
        let snapshot = ArcSwap::from_pointee(snapshot);
        let (changes, is_shut_down) = (Mutex::new(()), AtomicBool::new(false));
        Self { snapshot, changes, buffer, sender, workers, is_shut_down, clock }
    }

    /// The same client for a forked process, with an empty buffer. Takes no lock of this one.
    pub(super) fn after_fork(&self) -> Self {
        let snapshot = self.snapshot.load();
        let (config, settings) = (snapshot.config.clone(), snapshot.settings.clone());
        let transport = snapshot.transport.after_fork();
        Self::new(Snapshot::with_transport(config, settings, transport), Clock::monotonic())
    }

    #[inline]
    pub(super) fn add_measurement(&self, measurement: &Measurement) -> Result<()> {
        self.add_within(measurement, None).map(drop)
    }

    /// Adds a measurement, and waits for room in a full buffer.
    pub(super) fn add_or_wait(&self, measurement: &Measurement, room: RoomWait) -> Result<Added> {
        let is_dropped = self.add_within(measurement, Some(room))?.is_dropped();
        Ok(match is_dropped {
            _ if self.is_shut_down() || !self.snapshot.load().is_enabled => Added::Dropped,
            true => Added::Full,
            false => Added::Pending,
        })
    }

    /// With `room`, waits for room in a full buffer.
    #[inline(always)]
    fn add_within(&self, measurement: &Measurement, room: Option<RoomWait>) -> Result<PushOutcome> {
        self.add_as(&self.snapshot.load(), measurement, room)
    }

    /// As [`add_within`](Self::add_within), by this configuration.
    #[inline(always)]
    pub(super) fn add_as(
        &self,
        snapshot: &Snapshot,
        measurement: &Measurement,
        room: Option<RoomWait>,
    ) -> Result<PushOutcome> {
        if !snapshot.is_enabled {
            self.drop_added(DropReason::Disabled, EntryFlags::default());
            return Ok(PushOutcome::Accepted);
        }
        let flags = EntryFlags {
            non_finite: measurement.non_finite(),
            repaired: measurement.is_repaired(),
        };
        let database = snapshot.database(measurement.database_bytes());
        if let Err(error) = measurement.check(!database.is_empty(), snapshot.has_unsigned) {
            self.drop_added(DropReason::Invalid, flags);
            return Err(error);
        }
        if measurement.is_empty() {
            self.drop_added(DropReason::NonFinite, flags);
            return Ok(PushOutcome::Accepted);
        }
        let line = measurement.line(&snapshot.base_tags, snapshot.divisor);
        Ok(self.push(snapshot, database, &line, flags, room))
    }

    pub(super) fn add_line(&self, database: &str, line: &RawLine<'_>) -> Result<()> {
        let snapshot = self.snapshot.load();
        let database = snapshot.database(database.as_bytes());
        let problem = if !snapshot.is_enabled {
            self.drop_added(DropReason::Disabled, EntryFlags::default());
            return Ok(());
        } else if database.is_empty() {
            "the line has no database: name one, or set INFLUXDB_DATABASE (database)"
        } else if line.has_unsigned() && !snapshot.has_unsigned {
            "it has an unsigned integer, which the v1 API does not know: write 1i"
        } else {
            let timestamp = line.timestamp().unwrap_or_else(Timestamp::now).nanoseconds();
            let timestamp = timestamp.div_euclid(snapshot.divisor);
            let line = Line::of_text(line.text().as_bytes(), timestamp);
            self.push(&snapshot, database, &line, EntryFlags::default(), None);
            return Ok(());
        };
        self.drop_added(DropReason::Invalid, EntryFlags::default());
        Err(Error::measurement(problem))
    }

    #[inline]
    pub(super) fn push(
        &self,
        snapshot: &Snapshot,
        database: &[u8],
        line: &Line<'_>,
        flags: EntryFlags,
        room: Option<RoomWait>,
    ) -> PushOutcome {
        let outcome = self.buffer.push(entry(snapshot, database, line), flags, room);
        if outcome.needs_sender() || self.workers.is_retry_due() {
            self.workers.ensure_leader();
            if outcome == PushOutcome::Blocked {
                return self.push_again(snapshot, database, line, room);
            }
        }
        outcome
    }

    /// Pushes a line that waits for room, which a sender makes.
    #[cold]
    fn push_again(
        &self,
        snapshot: &Snapshot,
        database: &[u8],
        line: &Line<'_>,
        room: Option<RoomWait>,
    ) -> PushOutcome {
        loop {
            let entry = entry(snapshot, database, line);
            let outcome = self.buffer.push(entry, EntryFlags::default(), room);
            if outcome.needs_sender() {
                self.workers.ensure_leader();
            }
            if outcome != PushOutcome::Blocked {
                return outcome;
            }
        }
    }

    #[cold]
    fn drop_added(&self, reason: DropReason, flags: EntryFlags) {
        if self.buffer.drop_added(reason, flags).needs_sender() {
            self.workers.ensure_leader();
        }
    }

    pub(super) fn reconfigure(&self, change: impl FnOnce(Config) -> Config) -> Result<()> {
        let _one_at_a_time = lock(&self.changes);
        let new = self.snapshot.load().changed(change)?;
        new.log_warnings(Some(&self.snapshot.load()));
        let (limits, intake, route) = (new.limits(), new.intake(), new.route());
        let max_clients = new.settings.values.max_clients.value;
        let has_moved = !Arc::ptr_eq(&new.transport, &self.snapshot.load().transport);
        self.snapshot.store(Arc::new(new));
        self.buffer.set_limits(limits, intake);
        self.sender.set_route(route);
        if has_moved {
            self.buffer.restart();
        }
        self.workers.set_limit(max_clients);
        Ok(())
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sender.is_busy()
    }

    /// Logs what was dropped and is not in the log yet.
    pub(super) fn log_drops(&self) {
        self.sender.log_drops_now();
    }

    pub(super) fn shutdown_timeout(&self) -> Duration {
        self.snapshot.load().settings.values.shutdown_timeout.value
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(Ordering::Relaxed)
    }
}

/// Flush and shutdown: they begin at once, and end after a wait.
impl Core {
    pub(super) fn begin_flush(&self, timeout: Duration) -> Begun {
        let closed = self.closed();
        let now = self.clock.now();
        let until = now.saturating_add(timeout);
        let flush = self.buffer.begin_flush(until);
        self.ensure_sent(flush, now);
        Begun { flush, until, is_shutdown: false, closed }
    }

    pub(super) fn begin_shutdown(&self, timeout: Duration) -> Begun {
        let closed = self.closed();
        self.is_shut_down.store(true, Ordering::Relaxed);
        let now = self.clock.now();
        let until = now.saturating_add(timeout);
        let flush = self.buffer.begin_shutdown(until);
        self.ensure_sent(flush, now);
        Begun { flush, until, is_shutdown: true, closed }
    }

    /// Has a flush sent that began at a time.
    fn ensure_sent(&self, flush: u64, begun: Duration) {
        if !self.buffer.is_flushed(flush) {
            self.sender.retry_now(begun);
            self.workers.ensure_leader();
        }
    }

    fn closed(&self) -> u64 {
        if self.is_shut_down() { self.buffer.stats().dropped.count(DropReason::Closed) } else { 0 }
    }

    /// Whether there is nothing to wait for: no line, no disk, and no last point of the own
    /// counters.
    pub(super) fn is_over(&self, begun: Begun) -> bool {
        !self.buffer.has_spool()
            && self.buffer.is_flushed(begun.flush)
            && !(begun.is_shutdown && self.sender.has_end_to_report())
    }

    pub(super) fn end(&self, begun: Begun) -> Report {
        self.sync(begun.until);
        self.buffer.await_flush(begun.flush, begun.until);
        self.ended(begun)
    }

    pub(super) fn end_unless(&self, begun: Begun, is_interrupted: impl FnMut() -> bool) -> Report {
        self.await_unless(begun.flush, begun.until, is_interrupted);
        self.ended(begun)
    }

    fn await_unless(&self, flush: u64, until: Duration, mut is_interrupted: impl FnMut() -> bool) {
        self.sync(until);
        loop {
            let now = self.clock.now();
            let next = until.min(now + INTERRUPT_INTERVAL);
            if self.buffer.await_flush(flush, next) || now >= until || is_interrupted() {
                return;
            }
        }
    }

    fn ended(&self, begun: Begun) -> Report {
        let until = begun.until;
        let report = self.buffer.end_flush(begun.flush);
        if begun.is_shutdown {
            let left = until.saturating_sub(self.clock.now());
            self.sender.report_end(left.min(REPORT_TIMEOUT));
            self.persist_pending(until);
        }
        Report { closed: begun.closed, ..report }
    }

    pub(super) fn begin_tracked_flush(&self, database: &str) -> u64 {
        let snapshot = self.snapshot.load();
        let database = String::from_utf8_lossy(snapshot.database(database.as_bytes()));
        let now = self.clock.now();
        let flush = self.buffer.begin_tracked_flush(&database, now);
        // What waits for its backoff may be in the way of what is added.
        self.sender.retry_now(now);
        flush
    }

    pub(super) fn end_tracked_flush(
        &self,
        flush: u64,
        timeout: Duration,
        is_interrupted: impl FnMut() -> bool,
    ) -> (Report, Option<String>) {
        let now = self.clock.now();
        let until = now.saturating_add(timeout);
        self.buffer.end_additions(flush, now, until);
        self.ensure_sent(flush, now);
        self.await_unless(flush, until, is_interrupted);
        self.buffer.end_tracked_flush(flush)
    }

    fn sync(&self, until: Duration) {
        if self.buffer.syncs_at_flush() {
            disk_work::run(&self.buffer, &self.clock, until, Buffer::sync);
        }
    }

    /// Writes everything that is pending to disk. Takes [`PERSIST_TIMEOUT`] at least, if the disk
    /// needs it.
    pub(super) fn persist_pending(&self, until: Duration) {
        let until = until.max(self.clock.now().saturating_add(PERSIST_TIMEOUT));
        disk_work::run(&self.buffer, &self.clock, until, Buffer::persist_pending);
    }
}

#[inline]
fn entry<'a>(
    snapshot: &Snapshot,
    database: &'a [u8],
    line: &'a Line<'_>,
) -> Entry<'a, impl Fn(&mut Vec<u8>)> {
    Entry {
        database,
        precision: snapshot.precision,
        len: line.len(),
        write: |bytes: &mut Vec<u8>| line.write_to(bytes),
    }
}
