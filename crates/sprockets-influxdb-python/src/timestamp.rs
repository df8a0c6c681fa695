//! Timestamps: seconds in Python, nanoseconds in the core.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use sprockets_influxdb as core;

/// The current time in nanoseconds since the epoch. No two calls return the same.
pub(crate) fn now() -> i64 {
    core::Timestamp::now().nanoseconds()
}

/// The time of a measurement, in nanoseconds since the epoch.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) nanoseconds: i64,
    /// The time was not set by the user: it is renewed when the measurement is added again.
    pub(crate) is_ours: bool,
    is_used: bool,
}

impl Stamp {
    pub(crate) fn now() -> Self {
        Self::at(now())
    }

    /// A time that [`now`] returned.
    pub(crate) fn at(nanoseconds: i64) -> Self {
        Self { nanoseconds, is_ours: true, is_used: false }
    }

    /// A time that the user set.
    pub(crate) fn of_user(nanoseconds: i64) -> Self {
        Self { nanoseconds, is_ours: false, is_used: false }
    }

    /// The time of a copy. If it is ours, adding the copy renews it: the original is the same
    /// point.
    pub(crate) fn of_copy(nanoseconds: i64, is_ours: bool) -> Self {
        Self { nanoseconds, is_ours, is_used: true }
    }

    /// Returns the time to add the measurement with.
    pub(crate) fn take(&mut self) -> i64 {
        if self.is_ours && self.is_used {
            *self = Self::now();
        }
        self.is_used = true;
        self.nanoseconds
    }
}

/// Converts seconds since the epoch to nanoseconds.
pub(crate) fn nanoseconds(seconds: &Bound<'_, PyAny>) -> PyResult<i64> {
    let nanoseconds = match seconds.cast::<PyInt>() {
        Ok(seconds) => {
            seconds.extract::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000_000_000))
        }
        Err(_) => seconds.extract::<f64>().ok().and_then(decimal_nanoseconds),
    };
    match nanoseconds {
        Some(nanoseconds) => Ok(nanoseconds),
        None => Err(PyValueError::new_err(format!(
            "timestamp is {}: expected seconds since the epoch, in the years 1678 to 2262",
            seconds.repr()?
        ))),
    }
}

/// The nanoseconds of the shortest decimal number that the float stands for: the one that was
/// meant.
///
/// As a binary number, 1700000000.123 is a little less, and truncation would change the
/// millisecond.
fn decimal_nanoseconds(seconds: f64) -> Option<i64> {
    if !seconds.is_finite() {
        return None;
    }
    let text = seconds.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let whole: i64 = whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?;
    let fraction: i64 = digits.parse().ok()?;
    if seconds.is_sign_negative() {
        whole.checked_sub(fraction)
    } else {
        whole.checked_add(fraction)
    }
}

/// The float nearest to these nanoseconds: reading a timestamp returns what was set.
pub(crate) fn seconds(nanoseconds: i64) -> f64 {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    let text = format!("{sign}{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    text.parse().unwrap_or_default()
}
