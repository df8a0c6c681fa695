//! For the Python package and the command only: unstable, and not part of the public interface.

use std::ffi::OsString;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes as SpanAttributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::client::Client;
use crate::config::{Config, Precision, Rejected, SpoolSync};
use crate::error::Result;
use crate::measurement::{FieldValue, Measurement};
use crate::spool::Spool;
use crate::stats::Report;

pub use crate::client::{Added, InForce, TrackedFlush};
pub use crate::clock::{Moment, unique_stamp_before};
pub use crate::interruption::interrupt_blocked_adds_if;
pub use crate::measurement::{PreparedKey, PreparedTag};
pub use crate::middleware::attributes::Attributes;
pub use crate::middleware::options::{attributes, header_names, options_from_env};
pub use crate::middleware::outcome::Outcome;
pub use crate::middleware::plain::{PlainRequest, record_plain};
pub use crate::middleware::sink::AttributeSink;
pub use crate::printable::{is_printable, one_line, shown};
pub use crate::rfc3339::parse as parse_rfc3339;
pub use crate::sys::generation;
#[cfg(unix)]
pub use crate::sys::{await_sigterm, before_sigterm};

/// What the command needs of the transport to NATS.
#[cfg(feature = "nats")]
pub mod nats {
    pub use crate::delivery::nats::api::{ApiError, code, request};
    pub use crate::delivery::nats::cluster::Cluster;
    pub use crate::delivery::nats::message::{
        DATABASE_HEADER, ENCODING_HEADER, PRECISION_HEADER, decoded,
    };
}

/// Keeps rejected lines in the quarantine of a spool, for a client that has no spool.
#[derive(Debug)]
pub struct Quarantine(Spool);

impl Quarantine {
    /// The quarantine of the spool in this directory. It is created with the first line.
    pub fn new(directory: &Path) -> Self {
        Self(Spool::new(directory, SpoolSync::default()))
    }

    /// Keeps a line with its reason.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn keep(&self, rejected: &Rejected<'_>) -> io::Result<()> {
        let line = [(rejected.line().as_bytes(), rejected.reason())];
        self.0.quarantine.keep(rejected.database(), Precision::default(), line.into_iter())
    }
}

/// [`Client::flush`] for a caller who may be interrupted, as by a signal: it asks ten times a
/// second.
pub fn flush_unless(
    client: &Client,
    timeout: Duration,
    is_interrupted: impl FnMut() -> bool,
) -> Report {
    client.flush_unless(timeout, is_interrupted)
}

/// Lets [`Client::recover`] take over what processes of any user left, not only of this one. Call
/// it first.
pub fn recover_from_any_user(client: &Client) {
    client.recover_from_any_user();
}

/// [`Client::shutdown`] for a caller who may be interrupted; see [`flush_unless`].
pub fn shutdown_unless(
    client: &Client,
    timeout: Duration,
    is_interrupted: impl FnMut() -> bool,
) -> Report {
    client.shutdown_unless(timeout, is_interrupted)
}

/// The configuration of a client, for a caller who knows when it changes.
pub fn in_force(client: &Client) -> InForce {
    client.in_force()
}

/// [`Client::add_measurement`] by this configuration, which need not be looked up.
///
/// # Errors
///
/// Those of [`Client::add_measurement`].
#[inline]
pub fn add_as(client: &Client, in_force: &InForce, measurement: &Measurement) -> Result<()> {
    client.add_as(in_force, measurement)
}

/// Whether the name or a tag of the measurement was repaired.
pub fn is_repaired(measurement: &Measurement) -> bool {
    measurement.is_repaired()
}

/// Whether a request of the client is under way, or its outcome is not counted yet.
pub fn is_sending(client: &Client) -> bool {
    client.is_sending()
}

/// Where the client writes to: a URL, without credentials.
pub fn address(client: &Client) -> String {
    client.address()
}

/// Drops everything that is pending, and counts it as [`DropReason::Disabled`]. A request that is
/// under way goes on.
///
/// [`DropReason::Disabled`]: crate::DropReason::Disabled
pub fn drop_pending(client: &Client) {
    client.drop_pending();
}

/// Logs, at the end of a process, what is in the spool and what its clients lost since their start,
/// as one sum.
pub fn log_end<'a>(clients: impl IntoIterator<Item = &'a Client>) {
    Client::log_end(clients);
}

/// The status page. It shows the JSON that the same URL has with `?format=json`.
pub const STATUS_PAGE: &str = crate::status::PAGE;

/// The header `Content-Security-Policy` of the status page.
pub fn status_policy() -> String {
    crate::status::content_security_policy()
}

/// Files, bytes and processes of a spool, as JSON for the status page. Reads its directory.
pub fn spool_summary(directory: &str) -> String {
    crate::status::summary(directory).to_string()
}

/// Begins a [`Client::shutdown`] without a wait.
pub fn begin_shutdown(client: &Client) {
    client.begin_shutdown();
}

/// As [`Config::with_lookup`], and warns of variables of the environment that nothing reads.
pub fn with_environment(config: Config, lookup: impl Fn(&str) -> Option<OsString>) -> Config {
    config.with_lookup(lookup).with_names_of_env()
}

/// [`Measurement::set_tag`] with a name that was escaped before.
#[inline]
pub fn set_prepared_tag(measurement: &mut Measurement, name: &PreparedKey, value: &str) {
    measurement.set_prepared_tag(name, value);
}

/// Appends a tag that was escaped before, unless there may be one of that name. Returns whether it
/// did.
#[inline]
pub fn push_prepared_tag(measurement: &mut Measurement, tag: &PreparedTag) -> bool {
    measurement.push_prepared_tag(tag)
}

/// [`Measurement::set_field`] with a name that was escaped before.
#[inline]
pub fn set_prepared_field(
    measurement: &mut Measurement,
    name: &PreparedKey,
    value: &FieldValue<'_>,
) {
    measurement.set_prepared_field(name, value);
}

/// Makes this a new measurement with the database, name and tags of another one, at a time in
/// nanoseconds since the epoch. Keeps its memory.
#[inline]
pub fn restart_as(measurement: &mut Measurement, other: &Measurement, timestamp: i64) {
    measurement.restart_as_at(other, timestamp);
}

/// Whether a name may be a tag and a field. `false` is certain.
#[inline]
pub fn may_repeat_a_name(measurement: &Measurement) -> bool {
    measurement.may_repeat_a_name()
}

/// Bytes of memory that the texts of a measurement take.
pub fn memory(measurement: &Measurement) -> usize {
    measurement.memory()
}

/// Removes the tags of a measurement that have the name of a field, so that it can be added.
/// Returns the first such name.
pub fn remove_tags_of_fields(measurement: &mut Measurement) -> Option<String> {
    measurement.remove_tags_of_fields()
}

/// Passes the log messages of this crate to a function, where there is no other subscriber.
#[derive(Debug)]
pub struct LogSubscriber<F>(pub F);

impl<F: Fn(Level, String) + 'static> Subscriber for LogSubscriber<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("sprockets_influxdb")
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0(*event.metadata().level(), message.0);
    }

    // This crate has no spans.
    fn new_span(&self, _: &SpanAttributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
