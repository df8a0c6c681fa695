//! Access to internals for the fuzz targets in `fuzz/`. In no other build.

pub use crate::delivery::fuzzing::refused;
pub use crate::spool::fuzzing::{spool_file, spooled};

use crate::Measurement;
use crate::measurement::BaseTags;

/// The line as a client with these base tags adds it. `None` for a measurement that the client
/// refuses, or that has no field.
pub fn line(measurement: &Measurement, base_tags: &[(String, String)]) -> Option<Vec<u8>> {
    if measurement.check(!measurement.database().is_empty(), true).is_err()
        || measurement.is_empty()
    {
        return None;
    }
    let base_tags = base_tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let base_tags = BaseTags::new(base_tags);
    let line = measurement.line(&base_tags, 1);
    let mut bytes = Vec::new();
    line.write_to(&mut bytes);
    assert_eq!(bytes.len(), line.len());
    Some(bytes)
}

/// The lines of a batch with these bytes.
pub fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    crate::line_protocol::split::lines(bytes).collect()
}
