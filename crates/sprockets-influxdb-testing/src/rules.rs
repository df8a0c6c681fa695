//! What a request says about all of its lines: the unit of timestamps, and which values exist.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last timestamp that can be stored, and, negated, the first.
pub(crate) const LAST_TIME: i64 = i64::MAX - 1;

/// The server's clock in nanoseconds.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).unwrap_or(LAST_TIME)
}

/// The unit of timestamps on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Nanosecond,
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    /// By magnitude: what 3.x does when the request does not say.
    Auto,
}

impl Precision {
    /// The length of one unit; the timestamp matters only where it tells the unit.
    pub(crate) fn nanoseconds(self, timestamp: i64) -> i64 {
        match self {
            Precision::Nanosecond => 1,
            Precision::Microsecond => 1_000,
            Precision::Millisecond => 1_000_000,
            Precision::Second => 1_000_000_000,
            Precision::Minute => 60_000_000_000,
            Precision::Hour => 3_600_000_000_000,
            Precision::Auto => match timestamp.unsigned_abs() {
                ..5_000_000_000 => 1_000_000_000,
                5_000_000_000..5_000_000_000_000 => 1_000_000,
                5_000_000_000_000..5_000_000_000_000_000 => 1_000,
                _ => 1,
            },
        }
    }
}

/// What a request says about all of its lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) precision: Precision,
    /// Given to lines without a timestamp, cut to the precision.
    pub(crate) now: i64,
    /// Whether `1u` is a value.
    pub(crate) unsigned: bool,
}
