//! The checks of the fuzz targets, one module each. `make fuzz` runs them.

pub mod line_protocol;
pub mod measurement;
pub mod reply;
pub mod spool;

mod hostile;
