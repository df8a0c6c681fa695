//! The client: the only place where measurements, buffer and delivery are put together.

mod core;
mod disk_work;
mod flush;
mod global;
mod handle;
mod losses;
mod process;
mod record;
mod series;
mod snapshot;
mod tracked_flush;

pub use core::Added;
pub use flush::Flush;
pub use global::{add_measurement, flush, install, installed, shutdown};
pub use handle::{Client, InForce};
pub(crate) use record::{AddedRecord, PreparedRecord};
pub use series::Series;
pub use tracked_flush::TrackedFlush;

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
