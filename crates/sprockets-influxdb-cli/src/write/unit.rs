//! The units of timestamps in files: those of InfluxDB 1.x, by their names there and elsewhere.

use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit(pub(crate) Duration);

impl FromStr for Unit {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self(match name {
            "ns" | "n" => Duration::from_nanos(1),
            "us" | "u" | "µs" => Duration::from_micros(1),
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err("expected ns (or n), us (or u), ms, s, m (minutes) or h (hours)"),
        }))
    }
}
