//! The settings that are a choice between a few names.

use std::fmt;
use std::str::FromStr;

use super::parse::{Parser, ValueParser};
use crate::error::{Error, Result};

/// A write API of InfluxDB. Its text forms are `v1`, `v2` and `v3`, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `/write`: InfluxDB 1.x and compatible servers.
    V1,
    /// `/api/v2/write`: InfluxDB 2.x, and 1.8 and later. The measurement's database is the bucket.
    V2,
    /// `/api/v3/write_lp`: InfluxDB 3.x.
    V3,
}

/// The precision of timestamps on the wire. Its text forms are `ns`, `us`, `ms` and `s`, in any
/// case.
///
/// A point with the series and the timestamp of another overwrites it. So a coarse precision loses
/// measurements: of 100 a second in one series, milliseconds lose about 5 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Nothing is lost.
    #[default]
    Nanoseconds,
    /// Not for the v1 API of InfluxDB 2.x or 3.x: it has no name for microseconds that 1.x reads
    /// alike.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// What happens when the buffer is full. Its text forms are `newest`, `oldest` and `block`, in any
/// case. Whatever is dropped is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The measurement that is being added is dropped.
    #[default]
    Newest,
    /// The measurements that have waited longest are dropped. If all of them are being sent, the
    /// one that is being added is dropped.
    Oldest,
    /// The caller waits for room, at most for the block timeout. Then the measurement that is
    /// being added is dropped.
    Block,
}

/// What the spool survives. Its text forms are `process`, `interval` and `always`, in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpoolSync {
    /// Any end of the process, at any moment. A loss of power may lose what the operating system
    /// had not written yet, mostly the last half minute.
    #[default]
    Process,
    /// Also a loss of power, except for what was added in the last second.
    Interval,
    /// As `interval`. In addition, what was added before a call of `flush` or `shutdown` survives
    /// once the call has returned.
    Always,
}

impl Api {
    /// The path of its write endpoint.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::V1 => "/write",
            Self::V2 => "/api/v2/write",
            Self::V3 => "/api/v3/write_lp",
        }
    }
}

impl Precision {
    /// The nanoseconds in one unit: 1, 1,000, 1,000,000 or 1,000,000,000.
    pub fn divisor(self) -> i64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
        }
    }

    /// The value of the request's `precision` parameter.
    pub(crate) fn parameter(self, api: Api) -> &'static str {
        match (api, self) {
            (Api::V1 | Api::V2, Self::Nanoseconds) => "ns",
            // Every 1.x reads `u`. To 1.8 and later `us` is an error; earlier releases read it as
            // nanoseconds. 2.x reads neither on this path: the configuration warns of it.
            (Api::V1, Self::Microseconds) => "u",
            (Api::V2, Self::Microseconds) => "us",
            (Api::V1 | Api::V2, Self::Milliseconds) => "ms",
            (Api::V1 | Api::V2, Self::Seconds) => "s",
            // The short names came with 3.9. Without a precision, v3 guesses it from the number.
            (Api::V3, Self::Nanoseconds) => "nanosecond",
            (Api::V3, Self::Microseconds) => "microsecond",
            (Api::V3, Self::Milliseconds) => "millisecond",
            (Api::V3, Self::Seconds) => "second",
        }
    }
}

/// Implements the text forms of an enum: `FromStr`, `Display`, and the parser of its setting.
macro_rules! text_forms {
    (
        $enum:ident, $parser:ident, $noun:literal, $expected:literal,
        $($name:literal => $variant:ident),+
    ) => {
        pub(super) static $parser: ValueParser<$enum> = ValueParser {
            noun: $noun,
            expected: $expected,
            parse: |text| match text.to_ascii_lowercase().as_str() {
                $($name => Some($enum::$variant),)+
                _ => None,
            },
            valid: |_| true,
        };

        impl FromStr for $enum {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                $parser.read(text).map_err(Error::configuration)
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

text_forms!(Api, API, "an API of InfluxDB", "v1, v2 or v3", "v1" => V1, "v2" => V2, "v3" => V3);
text_forms!(
    Precision, PRECISION, "a precision", "ns, us, ms or s",
    "ns" => Nanoseconds, "us" => Microseconds, "ms" => Milliseconds, "s" => Seconds
);
text_forms!(
    Overflow, OVERFLOW, "an overflow policy", "newest, oldest or block",
    "newest" => Newest, "oldest" => Oldest, "block" => Block
);
text_forms!(
    SpoolSync, SPOOL_SYNC, "a durability of the spool", "process, interval or always",
    "process" => Process, "interval" => Interval, "always" => Always
);

#[cfg(test)]
mod tests;
