//! What the fuzz targets check, one module each. `make fuzz` runs them.

pub mod line_protocol;
pub mod measurement;
pub mod reply;
pub mod spool;

mod hostile;
/// Shared with the property tests, so that the rule of repair is written twice and not three times.
#[path = "../../crates/sprockets-influxdb/tests/influxd/model.rs"]
mod model;
