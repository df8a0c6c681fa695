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

pub use flush::Flush;
pub use global::{add_measurement, flush, install, installed, shutdown};
pub use handle::{Client, InForce};
pub(crate) use record::{AddedRecord, PreparedRecord};
pub use series::Series;

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
