//! Timestamps: many types in Python, nanoseconds in the core.

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyInt, PyString, PyType};
use sprockets_influxdb as core;

use crate::conversion::is_numpy_scalar;
use crate::iso8601;
use crate::value::{repr, text};

const SECOND: i128 = 1_000_000_000;

/// What is wrong with a time that nanoseconds of 64 bits cannot hold.
pub(crate) const OUT_OF_RANGE: &str = "its time is not between 1677-09-21 and 2262-04-11";

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
    #[inline]
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

    /// Whether it is ours, and no measurement was added with it.
    pub(crate) fn is_unused(self) -> bool {
        self.is_ours && !self.is_used
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

/// The time of a call that takes `timestamp=` and `timestamp_ns=`: at most one of them. Without
/// both it is now.
#[inline]
pub(crate) fn given(
    timestamp: Option<&Bound<'_, PyAny>>,
    timestamp_ns: Option<&Bound<'_, PyAny>>,
) -> PyResult<i64> {
    match (timestamp, timestamp_ns) {
        (None, None) => Ok(now()),
        (Some(timestamp), None) => nanoseconds(timestamp),
        (None, Some(timestamp)) => integer(timestamp),
        (Some(_), Some(_)) => {
            Err(PyValueError::new_err("timestamp and timestamp_ns are both given: give one"))
        }
    }
}

/// Converts an `int` of nanoseconds.
pub(crate) fn integer(nanoseconds: &Bound<'_, PyAny>) -> PyResult<i64> {
    let is_integer = nanoseconds.is_instance_of::<PyInt>() || is_numpy_scalar(nanoseconds)?;
    let integer = is_integer.then(|| nanoseconds.extract().ok()).flatten();
    integer.ok_or_else(|| {
        PyValueError::new_err(format!(
            "timestamp_ns is {}: expected an int of nanoseconds since the epoch, of 64 bits",
            repr(nanoseconds)
        ))
    })
}

/// Converts a time of any type that stands for one to nanoseconds since the epoch.
pub(crate) fn nanoseconds(time: &Bound<'_, PyAny>) -> PyResult<i64> {
    let nanoseconds = if let Ok(seconds) = time.cast::<PyInt>() {
        Some(seconds.extract::<i64>().map_or(i128::MAX, |seconds| i128::from(seconds) * SECOND))
    } else if let Ok(seconds) = time.cast::<PyFloat>() {
        decimal_nanoseconds(seconds.value())
    } else {
        other(time)?
    };
    match nanoseconds.map(i64::try_from) {
        Some(Ok(nanoseconds)) => Ok(nanoseconds),
        Some(Err(_)) => Err(refused(time, &out_of_range(time))),
        None => Err(refused(time, no_time(time))),
    }
}

/// What is wrong with a time that is out of range. A number may be in another unit.
#[cold]
fn out_of_range(time: &Bound<'_, PyAny>) -> String {
    // From the year 2001 to the year 2100.
    let is_recent = |seconds: f64| (1e9..4.1e9).contains(&seconds);
    let number = time.extract::<f64>().unwrap_or_default();
    let unit = [
        (1e3, "milliseconds: divide them by 1000"),
        (1e6, "microseconds: divide them by 1000000"),
        (1e9, "nanoseconds: pass an int as timestamp_ns"),
    ];
    let unit = unit.into_iter().find(|(divisor, _)| is_recent(number / divisor));
    unit.map_or(OUT_OF_RANGE.to_owned(), |(_, unit)| format!("{OUT_OF_RANGE}; are these {unit}?"))
}

/// What is wrong with an object that is no time.
#[cold]
fn no_time(time: &Bound<'_, PyAny>) -> &'static str {
    let kind = time.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    let is_missing = time.ne(time).unwrap_or_default();
    match kind.as_str() {
        "date" => "a date has no time of day: make it a datetime with a time zone",
        "Period" => "call its to_timestamp(), and add a time zone",
        "NoneType" | "NAType" => "there is no time",
        _ if is_missing => "there is no time",
        _ => "this is no time",
    }
}

/// Converts a time that is no number of seconds. `None` if it is not known.
#[cold]
fn other(time: &Bound<'_, PyAny>) -> PyResult<Option<i128>> {
    static DATETIME: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = time.py();
    if let Ok(string) = time.cast::<PyString>() {
        let parsed = iso8601::nanoseconds(&text(string)?);
        return parsed.map(Some).map_err(|wrong| refused(time, wrong));
    }
    let nanoseconds = if time.is_instance(DATETIME.import(py, "datetime", "datetime")?)? {
        if time.call_method0("utcoffset").is_ok_and(|offset| offset.is_none()) {
            let wrong = "add a time zone, as in datetime.now(timezone.utc) or .astimezone()";
            return Err(refused(time, wrong));
        }
        of_datetime(time)
    } else if is_numpy_scalar(time)? {
        of_numpy(time)
    } else {
        of_number(time)
    };
    match nanoseconds {
        // Whatever the arithmetic of a foreign type raises: it is no time.
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        nanoseconds => nanoseconds,
    }
}

/// `datetime` and its subclasses, such as `pandas.Timestamp`, whose differences have nanoseconds.
fn of_datetime(time: &Bound<'_, PyAny>) -> PyResult<Option<i128>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = time.py();
    let epoch = EPOCH.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        let epoch = datetime.getattr("datetime")?.call_method1("fromtimestamp", (0, utc))?;
        PyResult::Ok(epoch.unbind())
    })?;
    let since = time.sub(epoch)?;
    let part = |name| since.getattr(name)?.extract::<i64>().map(i128::from);
    let seconds = part("days")? * 86_400 + part("seconds")?;
    let nanoseconds = if since.hasattr("nanoseconds")? { part("nanoseconds")? } else { 0 };
    Ok(Some(seconds * SECOND + part("microseconds")? * 1000 + nanoseconds))
}

/// NumPy's `datetime64`, which is in UTC, and its numbers. A part of a nanosecond is cut off.
fn of_numpy(time: &Bound<'_, PyAny>) -> PyResult<Option<i128>> {
    let dtype = time.getattr("dtype")?;
    if dtype.getattr("kind")?.extract::<String>()? != "M" {
        return of_number(time);
    }
    let numpy = time.py().import("numpy")?;
    let unit_of = |dtype| numpy.call_method1("datetime_data", (dtype,))?.extract::<(String, i64)>();
    let (mut time, mut unit) = (time.clone(), unit_of(dtype)?);
    if matches!(unit.0.as_str(), "Y" | "M") {
        time = time.call_method1("astype", ("datetime64[D]",))?;
        unit = unit_of(time.getattr("dtype")?)?;
    }
    let count = time.call_method1("astype", ("int64",))?.extract::<i64>()?;
    let count = i128::from(count) * i128::from(unit.1);
    let is_nat = time.ne(&time)?;
    let nanoseconds = match unit.0.as_str() {
        _ if is_nat => return Ok(None),
        "W" => count * SECOND * 604_800,
        "D" => count * SECOND * 86_400,
        "h" => count * SECOND * 3600,
        "m" => count * SECOND * 60,
        "s" => count * SECOND,
        "ms" => count * 1_000_000,
        "us" => count * 1000,
        "ns" => count,
        "ps" => count.div_euclid(1000),
        "fs" => count.div_euclid(1_000_000),
        "as" => count.div_euclid(1_000_000_000),
        _ => return Ok(None),
    };
    Ok(Some(nanoseconds))
}

/// Numbers of other types in seconds: `Decimal`, `Fraction` and NumPy's, all exact.
fn of_number(time: &Bound<'_, PyAny>) -> PyResult<Option<i128>> {
    let py = time.py();
    let fraction = py.import("fractions")?.getattr("Fraction")?;
    let is_rational = |of: &str, class| time.is_instance(&py.import(of)?.getattr(class)?);
    if is_rational("decimal", "Decimal")? || is_rational("numbers", "Rational")? {
        let nanoseconds = fraction.call1((time,))?.mul(1_000_000_000)?;
        return Ok(Some(nanoseconds.call_method0("__floor__")?.extract().unwrap_or(i128::MAX)));
    }
    Ok(decimal_nanoseconds(time.extract::<f64>()?))
}

fn refused(time: &Bound<'_, PyAny>, wrong: &str) -> PyErr {
    PyValueError::new_err(format!(
        "timestamp is {}: expected seconds since the epoch, a datetime with a time zone, or an \
         ISO 8601 str; {wrong}",
        repr(time)
    ))
}

/// The nanoseconds of the shortest decimal number that the float stands for: the one that was
/// meant.
///
/// As a binary number, 1700000000.123 is a little less, and truncation would change the
/// millisecond.
fn decimal_nanoseconds(seconds: f64) -> Option<i128> {
    if !seconds.is_finite() {
        return None;
    }
    let text = seconds.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let whole = i128::from(whole.parse::<i64>().ok()?) * SECOND;
    let fraction: i128 = digits.parse().ok()?;
    Some(if seconds.is_sign_negative() { whole - fraction } else { whole + fraction })
}

/// The float nearest to these nanoseconds: reading a timestamp returns what was set.
pub(crate) fn seconds(nanoseconds: i64) -> f64 {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    let text = format!("{sign}{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    text.parse().unwrap_or_default()
}
