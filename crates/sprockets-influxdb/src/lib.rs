//! Records **measurements** in running applications and gets them into InfluxDB: buffered, batched, retried, accounted
//! for, without slowing the application down.

mod buffer;
mod client;
mod config;
mod delivery;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod measurement;
mod stats;
mod sync;
mod sys;
#[cfg(feature = "testing")]
pub mod testing;

pub use client::{Client, Flush, add_measurement, flush, install, installed, shutdown};
pub use config::{Api, Config, Origin, Overflow, Precision, Rejected, Setting};
pub use error::{Error, ErrorKind, Result};
pub use measurement::{DurationGuard, FieldValue, Measurement, Timestamp};
pub use stats::{DropReason, Dropped, Report, Stats};
