//! Records **measurements** in running applications and delivers them to InfluxDB: buffered,
//! batched, retried and accounted for, without slowing the application down.
//!
//! # Record and deliver
//!
//! ```no_run
//! use std::time::Duration;
//! use sprockets_influxdb::{Client, Config, Measurement};
//!
//! # fn main() -> sprockets_influxdb::Result<()> {
//! let client = Client::new(Config::from_env()?)?;
//! let measurement = Measurement::new("example", "measurement-name").tag("foo", "bar");
//! client.add_measurement(&measurement.field("baz", 1.05))?;
//! let report = client.shutdown(Duration::from_secs(5));
//! assert!(report.is_complete(), "{:?}", client.stats().last_error);
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::add_measurement`] copies a line of line protocol into memory. Threads of the client
//! send what waits once there are [`Config::trigger_size`] measurements, or once the first of them
//! has waited for [`Config::submission_interval`]. They retry what fails, and keep it until the
//! server has decided. A [`Client`] is cheap to clone, and any thread may use any clone.
//!
//! A process that needs only one client can [`install`] it, and call [`add_measurement`],
//! [`flush`] and [`shutdown`] from anywhere.
//!
//! # Configure
//!
//! Use the environment ([`Config::from_env`]), setters, or both: a setter takes precedence.
//! Setters do not fail; [`Client::new`] reports a value that cannot be used.
//! [`Client::settings`] shows what is in force, and [`Client::reconfigure`] changes it.
//!
//! ```
//! use std::time::Duration;
//! use sprockets_influxdb::{Config, Overflow};
//!
//! let config = Config::new()
//!     .url("https://influx.example.com:8086")
//!     .credentials("writer", "secret")
//!     .base_tag("region", "eu")
//!     .submission_interval(Duration::from_secs(10))
//!     .overflow(Overflow::Oldest);
//! for setting in config.settings()? {
//!     let (name, value, origin) = (setting.name(), setting.value(), setting.origin());
//!     println!("{name} = {value} ({origin:?}): {}", setting.about());
//! }
//! # Ok::<(), sprockets_influxdb::Error>(())
//! ```
//!
//! # Several databases
//!
//! Each measurement names its database: on InfluxDB 1.x and 3.x a database, on 2.x a bucket. One
//! client serves them all. A database that is missing, or not allowed, does not hold up the
//! others.
//!
//! ```
//! # use std::time::Duration;
//! # use sprockets_influxdb::{Client, Config, Measurement};
//! # let server = sprockets_influxdb::testing::Server::start();
//! # let client = Client::new(Config::new().url(&server.url()))?;
//! let request = Measurement::new("web", "requests").tag("method", "GET").field("bytes", 512);
//! client.add_measurement(&request)?;
//! client.add_measurement(&Measurement::new("billing", "invoices").field("amount", 9.5))?;
//! # assert!(client.flush(Duration::from_secs(30)).is_complete());
//! # assert_eq!(server.databases(), ["billing", "web"]);
//! # Ok::<(), sprockets_influxdb::Error>(())
//! ```
//!
//! # Durations
//!
//! [`Measurement::duration`] returns a guard that records the seconds until it is dropped. The
//! guard can be used as the measurement meanwhile.
//!
//! ```
//! # use sprockets_influxdb::Measurement;
//! # fn fetch() -> usize { 3 }
//! let mut measurement = Measurement::new("example", "job").tag("kind", "nightly");
//! {
//!     let mut timed = measurement.duration("duration");
//!     let rows = fetch();
//!     timed.set_field("rows", rows);
//! }
//! assert!(measurement.marshall().contains(" rows=3i,duration="));
//! ```
//!
//! # The counters
//!
//! No measurement is lost without a trace: [`Client::stats`] counts each in exactly one way, and
//! [`Stats::last_error`] says what to change. [`Config::on_rejected`] gets each line that the
//! server rejected. The rest is in the log, through the `tracing` crate.
//!
//! ```
//! # use std::time::Duration;
//! use sprockets_influxdb::{Client, Config, DropReason, Measurement};
//!
//! # let server = sprockets_influxdb::testing::Server::start();
//! # let config = Config::new().url(&server.url());
//! let client = Client::new(config)?;
//! client.add_measurement(&Measurement::new("example", "ratio").field("value", 0.5))?;
//! client.add_measurement(&Measurement::new("example", "ratio").field("value", f64::NAN))?;
//! client.flush(Duration::from_secs(5));
//!
//! let stats = client.stats();
//! assert_eq!((stats.added, stats.delivered, stats.pending), (2, 1, 0));
//! assert_eq!(stats.dropped.count(DropReason::NonFinite), 1);
//! assert!(stats.is_balanced());
//! # Ok::<(), sprockets_influxdb::Error>(())
//! ```
//!
//! # Requests of web services
//!
//! The features `tower`, `axum` and `actix` have middleware that records one measurement for each
//! request. [`middleware`] says what is recorded, and has the parts to build another.
//!
//! # Existing line protocol
//!
//! [`LineReader`] splits files into lines, [`RawLine`] says what is wrong with one, and
//! [`Client::add_line`] adds it as a measurement is added. [`Client::check`] tells beforehand,
//! without a write, whether the server would accept it.
//!
//! # Flush and shutdown
//!
//! [`Client::flush`] and [`Client::shutdown`] block until everything that was added before is
//! decided, at most for the given time; their [`Report`] says what became of it. Asynchronous code
//! has them as futures that need no particular executor. Dropping the last clone shuts the client
//! down within [`Config::shutdown_timeout`].
//!
//! ```
//! # use sprockets_influxdb::Client;
//! async fn on_shutdown(client: Client) {
//!     let report = client.shutdown_async().await;
//!     if !report.is_complete() {
//!         eprintln!("{} measurements were not delivered", report.pending);
//!     }
//! }
//! ```
//!
//! In a child made by `fork()` every client starts afresh, with an empty buffer; the parent's
//! continues.
//!
//! # Tests
//!
//! The feature `testing` has [a scripted InfluxDB](testing/index.html) in the process:
//!
//! ```
//! use std::time::Duration;
//! use sprockets_influxdb::testing::{Fault, Server};
//! use sprockets_influxdb::{Client, Config, Measurement};
//!
//! let server = Server::start();
//! server.inject(Fault::error(503, "overloaded"));
//! let client = Client::new(Config::new().url(&server.url()))?;
//! client.add_measurement(&Measurement::new("example", "job").field("rows", 3))?;
//! assert!(client.flush(Duration::from_secs(30)).is_complete());
//! assert_eq!(server.points("example")[0].field("rows"), Some(&3i64.into()));
//! assert_eq!(client.stats().retries, 1);
//! # Ok::<(), sprockets_influxdb::Error>(())
//! ```
//!
//! # Errors
//!
//! A measurement that no server could store is an [`Error`]: one without a field, a name or a
//! database, with an integer that has no type there, or with a time out of range. Names and tags
//! that cannot be written as they are get repaired by a rule that [`Measurement`] states;
//! [`FieldValue`] says what becomes of each type.
//!
//! ```
//! # use sprockets_influxdb::{Client, Config, Measurement};
//! # let client = Client::new(Config::new())?;
//! let error = client.add_measurement(&Measurement::new("example", "empty")).unwrap_err();
//! assert_eq!(error.to_string(), r#"measurement "empty" has no field: set at least one"#);
//! # Ok::<(), sprockets_influxdb::Error>(())
//! ```

mod buffer;
mod client;
mod clock;
mod config;
mod delivery;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod internal;
mod interruption;
mod line_protocol;
mod measurement;
pub mod middleware;
mod printable;
mod record;
mod rfc3339;
mod spare;
/// Spool directories, for operators: [`Directory`](spool::Directory).
pub mod spool;
mod stats;
pub mod status;
mod sync;
mod sys;

pub use client::{Client, Flush, Series, add_measurement, flush, install, installed, shutdown};
pub use config::{
    Api, Config, Origin, Overflow, Precision, Rejected, Setting, SettingValue, SpoolSync,
};
pub use delivery::{Check, Finding};
pub use error::{Error, ErrorKind, Result};
pub use line_protocol::{LineReader, RawLine, SourceLine};
pub use measurement::{DurationGuard, FieldValue, Measurement, Timestamp};
#[cfg(feature = "testing")]
#[doc(inline)]
pub use sprockets_influxdb_testing as testing;
pub use stats::{DropReason, Dropped, Report, Stats};
