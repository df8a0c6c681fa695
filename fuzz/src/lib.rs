//! The checks of the fuzz targets, one module for each. `make fuzz` runs them.

pub mod line_protocol;
pub mod measurement;
pub mod reply;
pub mod spool;

mod hostile;
/// Shared with the property tests, to write the rules of repair only once outside of the library.
#[path = "../../crates/sprockets-influxdb/tests/influxd/model.rs"]
mod model;
