//! A point in time as InfluxDB stores it.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use crate::clock::{unique_stamp, unix_nanoseconds};

/// Nanoseconds since the Unix epoch. Convert to it with `Into` from an `i64` of nanoseconds or
/// from a [`SystemTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The range that InfluxDB 1.x and 2.x store.
    pub(crate) const RANGE: RangeInclusive<i64> = i64::MIN + 2..=i64::MAX - 1;

    /// The current time. It never returns the same timestamp twice in a process. On Linux no other
    /// running process of the host returns it either (up to 256 processes that share a network
    /// namespace). Therefore it may be off by 255 ns, or more in a process that makes more than
    /// 3.9 million timestamps a second.
    pub fn now() -> Self {
        Self(unique_stamp())
    }

    /// Nanoseconds since the Unix epoch.
    pub fn nanoseconds(self) -> i64 {
        self.0
    }
}

impl From<i64> for Timestamp {
    fn from(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(unix_nanoseconds(time))
    }
}
