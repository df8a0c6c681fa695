//! The settings that are a choice between a few names.

use std::fmt;
use std::str::FromStr;

use super::parse::ValueParser;
use crate::error::{Error, Result};

/// A write API of InfluxDB. Its text forms are `v1`, `v2` and `v3`, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `/write`: InfluxDB 1.x, and what is compatible with it.
    V1,
    /// `/api/v2/write`: InfluxDB 2.x, and 1.8 and later. The measurement's database is the bucket.
    V2,
    /// `/api/v3/write_lp`: InfluxDB 3.x.
    V3,
}

/// The precision of timestamps on the wire. Its text forms are `ns`, `us`, `ms` and `s`, in any case.
///
/// InfluxDB overwrites a point of the same series and timestamp, so the coarser the precision, the more measurements
/// become one: at 100 a second in one series about 5 % with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Nothing is lost.
    #[default]
    Nanoseconds,
    /// Not for the v1 API of an InfluxDB 2.x or 3.x, which knows no name for it that 1.x reads alike.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// What gives way when the buffer is full. Its text forms are `newest`, `oldest` and `block`, in any case. Whatever is
/// dropped is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The measurement that is added is dropped.
    #[default]
    Newest,
    /// Those that have waited longest are dropped; where all are on their way, the one that is added.
    Oldest,
    /// The caller waits for room, at most for the block timeout; then the measurement that is added is dropped.
    Block,
}

/// What the spool survives. Its text forms are `process`, `interval` and `always`, in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpoolSync {
    /// The end of the process, whichever way it comes, at any moment. A loss of power may cost what the operating
    /// system had not written out, which is mostly the last half minute.
    #[default]
    Process,
    /// A loss of power too, but for what was added in the last second.
    Interval,
    /// As `interval`; and what was added before a call of `flush` or `shutdown` survives in any case once that returned.
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
    pub fn parameter(self, api: Api) -> &'static str {
        match (api, self) {
            (Api::V1 | Api::V2, Self::Nanoseconds) => "ns",
            // Every 1.x reads `u` as microseconds; `us` is an error to 1.8 and later and silently nanoseconds to
            // those before it. A 2.x reads neither on this path, of which the settings warn.
            (Api::V1, Self::Microseconds) => "u",
            (Api::V2, Self::Microseconds) => "us",
            (Api::V1 | Api::V2, Self::Milliseconds) => "ms",
            (Api::V1 | Api::V2, Self::Seconds) => "s",
            // The short names came with 3.9; without one, v3 guesses from the number.
            (Api::V3, Self::Nanoseconds) => "nanosecond",
            (Api::V3, Self::Microseconds) => "microsecond",
            (Api::V3, Self::Milliseconds) => "millisecond",
            (Api::V3, Self::Seconds) => "second",
        }
    }
}

/// Gives a choice its `FromStr`, its `Display` and the kind that reads it from the environment.
macro_rules! choice {
    ($choice:ident, $kind:ident, $noun:literal, $expected:literal, $($name:literal => $variant:ident),+) => {
        pub(super) static $kind: ValueParser<$choice> = ValueParser {
            noun: $noun,
            expected: $expected,
            parse: |text| match text.to_ascii_lowercase().as_str() {
                $($name => Some($choice::$variant),)+
                _ => None,
            },
            valid: |_| true,
        };

        impl FromStr for $choice {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                $kind.read(text).map_err(Error::configuration)
            }
        }

        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

choice!(Api, API, "an API of InfluxDB", "v1, v2 or v3", "v1" => V1, "v2" => V2, "v3" => V3);
choice!(
    Precision, PRECISION, "a precision", "ns, us, ms or s",
    "ns" => Nanoseconds, "us" => Microseconds, "ms" => Milliseconds, "s" => Seconds
);
choice!(
    Overflow, OVERFLOW, "an overflow policy", "newest, oldest or block",
    "newest" => Newest, "oldest" => Oldest, "block" => Block
);

choice!(
    SpoolSync, SPOOL_SYNC, "a durability of the spool", "process, interval or always",
    "process" => Process, "interval" => Interval, "always" => Always
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_reads_back_what_it_shows() {
        for api in [Api::V1, Api::V2, Api::V3] {
            assert_eq!(api.to_string().parse(), Ok(api));
            assert_eq!(api.to_string().to_uppercase().parse(), Ok(api));
        }
        for (name, precision) in [
            ("ns", Precision::Nanoseconds),
            ("us", Precision::Microseconds),
            ("ms", Precision::Milliseconds),
            ("s", Precision::Seconds),
        ] {
            assert_eq!(precision.to_string(), name);
            assert_eq!(name.parse(), Ok(precision));
        }
        for (name, overflow) in
            [("newest", Overflow::Newest), ("oldest", Overflow::Oldest), ("block", Overflow::Block)]
        {
            assert_eq!(overflow.to_string(), name);
            assert_eq!(name.parse(), Ok(overflow));
        }
    }

    #[test]
    fn an_unknown_choice_names_the_value_and_the_choices() {
        let told = |error: Error| {
            assert!(error.is_configuration());
            error.to_string()
        };
        assert_eq!(
            told("v4".parse::<Api>().unwrap_err()),
            r#""v4" is not an API of InfluxDB: expected v1, v2 or v3"#
        );
        assert_eq!(
            told("h".parse::<Precision>().unwrap_err()),
            r#""h" is not a precision: expected ns, us, ms or s"#
        );
        assert_eq!(
            told("".parse::<Overflow>().unwrap_err()),
            r#""" is not an overflow policy: expected newest, oldest or block"#
        );
    }

    #[test]
    fn the_precision_parameter_fits_the_divisor_on_each_api() {
        let rows = [
            (Precision::Nanoseconds, 1, ["ns", "ns", "nanosecond"]),
            (Precision::Microseconds, 1_000, ["u", "us", "microsecond"]),
            (Precision::Milliseconds, 1_000_000, ["ms", "ms", "millisecond"]),
            (Precision::Seconds, 1_000_000_000, ["s", "s", "second"]),
        ];
        for (precision, divisor, parameters) in rows {
            assert_eq!(precision.divisor(), divisor);
            let apis = [Api::V1, Api::V2, Api::V3];
            assert_eq!(apis.map(|api| precision.parameter(api)), parameters);
        }
    }
}
