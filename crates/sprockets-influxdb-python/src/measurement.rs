//! `Measurement`, turned into line protocol when it is added.

use std::cell::Cell;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple};
use sprockets_influxdb as core;

use crate::base_tags::base_tags;
use crate::items::{Items, each_of};
use crate::value::{Plain, with_field, with_text};

/// One row for InfluxDB: database, name, tags, fields and a timestamp.
///
/// :param str database: the database (bucket) to write to
/// :param str name: the measurement's name
///
/// ``tags`` and ``fields`` are dicts of its own, to be changed as you like; what is in them is checked when the
/// measurement is added. ``tags`` starts as a copy of the base tags. ``timestamp`` is in seconds since the epoch:
/// when the measurement was made, unless it is set.
#[pyclass(module = "sprockets_influxdb", subclass, dict, weakref)]
pub(crate) struct Measurement {
    /// The database (bucket) to write to.
    #[pyo3(get, set)]
    database: Py<PyAny>,
    /// The measurement's name.
    #[pyo3(get, set)]
    name: Py<PyAny>,
    tags: Items,
    fields: Items,
    stamp: Stamp,
}

/// When a measurement was made, in nanoseconds since the epoch.
#[derive(Clone, Copy)]
struct Stamp {
    nanoseconds: i64,
    /// Whether it is ours, and so ours to renew when the measurement is added again.
    is_ours: bool,
    is_used: bool,
}

impl Stamp {
    fn now() -> Self {
        let nanoseconds = core::Timestamp::now().nanoseconds();
        Self { nanoseconds, is_ours: true, is_used: false }
    }

    /// The stamp to add the measurement with.
    fn take(&mut self) -> i64 {
        if self.is_ours && self.is_used {
            *self = Self::now();
        }
        self.is_used = true;
        self.nanoseconds
    }
}

#[pymethods]
impl Measurement {
    // A subclass may have another `__init__`: what it takes is not looked at here.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(database, name)")]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        Self {
            database: py.None(),
            name: py.None(),
            tags: Items::of_base_tags(py),
            fields: Items::none(),
            stamp: Stamp::now(),
        }
    }

    fn __init__(&mut self, database: Py<PyAny>, name: Py<PyAny>) {
        self.database = database;
        self.name = name;
    }

    /// Tags by name. A value is written as its ``str()``; ``None`` and empty ones are left out.
    #[getter]
    fn tags<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.tags.dict(py)
    }

    #[setter(tags)]
    fn assign_tags(&mut self, tags: &Bound<'_, PyAny>) -> PyResult<()> {
        self.tags = Items::assigned("tags", tags)?;
        Ok(())
    }

    /// Fields by name: ``int``, ``float``, ``bool`` and ``str``.
    #[getter]
    fn fields<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.fields.dict(py)
    }

    #[setter(fields)]
    fn assign_fields(&mut self, fields: &Bound<'_, PyAny>) -> PyResult<()> {
        self.fields = Items::assigned("fields", fields)?;
        Ok(())
    }

    /// Seconds since the epoch, when the measurement was made.
    #[getter]
    fn timestamp(&self) -> f64 {
        seconds(self.stamp.nanoseconds)
    }

    #[setter(timestamp)]
    fn assign_timestamp(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_timestamp(value)
    }

    /// Sets the time of the measurement, in seconds since the epoch.
    ///
    /// :raises ValueError: for a value that is not a number, or out of range
    fn set_timestamp(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.stamp = Stamp { nanoseconds: nanoseconds(value)?, is_ours: false, is_used: false };
        Ok(())
    }

    /// Sets a tag; its value is written as its ``str()``. ``None`` and the empty string leave it out.
    fn set_tag(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.tags.set(name, value)
    }

    /// Sets several tags, given as a dict.
    fn set_tags(&mut self, py: Python<'_>, tags: &Bound<'_, PyAny>) -> PyResult<()> {
        self.tags.dict(py)?.call_method1("update", (tags,)).map(drop)
    }

    /// Sets a field to an ``int``, ``float``, ``bool`` or ``str``, or to what a NumPy scalar stands for.
    ///
    /// :raises ValueError: for a value of another type, and for an ``int`` beyond 64 bits
    fn set_field(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        with_field(name, value, |_| ())?;
        self.fields.set(name, value)
    }

    /// A context manager that records in a field how long its block took, in seconds, also when it raises.
    fn duration(this: Bound<'_, Self>, name: Py<PyAny>) -> Duration {
        Duration { measurement: this.unbind(), name, started: None }
    }

    /// The name of :meth:`duration` in old documents.
    fn timer(this: Bound<'_, Self>, name: Py<PyAny>) -> Duration {
        Self::duration(this, name)
    }

    /// The measurement in line protocol, as it would be sent with nanosecond precision.
    ///
    /// :raises ValueError: for a field that can never be stored
    fn marshall(this: &Bound<'_, Self>) -> PyResult<String> {
        let mut line = core::Measurement::new("", "");
        Self::write(this, |stamp| stamp.nanoseconds, |_| (), &mut line)?;
        Ok(line.marshall())
    }

    fn __repr__(this: &Bound<'_, Self>) -> PyResult<String> {
        let Parts { database, name, tags, fields } = Parts::of(this)?;
        let [database, name] = [database.repr()?, name.repr()?];
        Ok(format!(
            "<Measurement {database} {name} tags={} fields={}>",
            tags.repr()?,
            fields.repr()?
        ))
    }

    fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let Parts { database, name, tags, fields } = Parts::of(this)?;
        let Stamp { nanoseconds, is_ours, .. } = this.borrow().stamp;
        let attributes = this.getattr("__dict__")?;
        let state = (database, name, tags, fields, nanoseconds, is_ours, attributes);
        // What pickle and copy call a class's `__new__` by.
        let new_object = py.import("copyreg")?.getattr("__newobj__")?;
        let reduced = (new_object, (this.get_type(),), state);
        Ok(reduced.into_pyobject(py)?.into_any())
    }

    fn __setstate__(this: &Bound<'_, Self>, state: State<'_>) -> PyResult<()> {
        let (database, name, tags, fields, nanoseconds, is_ours, attributes) = state;
        {
            let mut this = this.borrow_mut();
            (this.database, this.name) = (database, name);
            (this.tags, this.fields) = (Items::Dict(tags), Items::Dict(fields));
            // The copy would be the same point as the original: it gets a stamp of its own when it is added.
            this.stamp = Stamp { nanoseconds, is_ours, is_used: true };
        }
        this.getattr("__dict__")?.cast::<PyDict>()?.update(attributes.as_mapping())
    }
}

/// What a copy is made of.
type State<'py> = (Py<PyAny>, Py<PyAny>, Py<PyDict>, Py<PyDict>, i64, bool, Bound<'py, PyDict>);

struct Parts<'py> {
    database: Bound<'py, PyAny>,
    name: Bound<'py, PyAny>,
    tags: Bound<'py, PyDict>,
    fields: Bound<'py, PyDict>,
}

impl<'py> Parts<'py> {
    fn of(measurement: &Bound<'py, Measurement>) -> PyResult<Self> {
        let py = measurement.py();
        let mut this = measurement.borrow_mut();
        Ok(Self {
            database: this.database.bind(py).clone(),
            name: this.name.bind(py).clone(),
            tags: this.tags.dict(py)?,
            fields: this.fields.dict(py)?,
        })
    }
}

impl Measurement {
    /// A measurement stamped now, with the base tags whose names are free.
    pub(crate) fn of_request(
        py: Python<'_>,
        database: &Py<PyString>,
        name: &Py<PyString>,
        is_free: impl Fn(&str) -> bool,
    ) -> Self {
        Self {
            database: database.clone_ref(py).into_any(),
            name: name.clone_ref(py).into_any(),
            tags: Items::of_base_tags_where(py, is_free),
            fields: Items::List(Vec::new()),
            stamp: Stamp::now(),
        }
    }

    /// Calls `add` with the measurement as the core has it, stamped to be added.
    pub(crate) fn with_line<T>(
        this: &Bound<'_, Self>,
        add: impl FnOnce(&core::Measurement) -> PyResult<T>,
    ) -> PyResult<T> {
        Self::with_line_on(this, |_| (), add)
    }

    /// As [`with_line`](Self::with_line), with what `ground` sets and the measurement does not.
    pub(crate) fn with_line_on<T>(
        this: &Bound<'_, Self>,
        ground: impl FnOnce(&mut core::Measurement),
        add: impl FnOnce(&core::Measurement) -> PyResult<T>,
    ) -> PyResult<T> {
        with_spare(|line| {
            Self::write(this, Stamp::take, ground, line)?;
            add(line)
        })
    }

    fn write(
        this: &Bound<'_, Self>,
        stamp: impl FnOnce(&mut Stamp) -> i64,
        ground: impl FnOnce(&mut core::Measurement),
        line: &mut core::Measurement,
    ) -> PyResult<()> {
        let py = this.py();
        let mut own = this.borrow_mut();
        let nanoseconds = stamp(&mut own.stamp);
        let Self { database, name, tags: Items::List(tags), fields: Items::List(fields), .. } =
            &*own
        else {
            drop(own);
            return Self::write_parts(this, nanoseconds, ground, line);
        };
        let (database, name) = (database.bind(py), name.bind(py));
        if Plain::of(database).is_none() || Plain::of(name).is_none() {
            drop(own);
            return Self::write_parts(this, nanoseconds, ground, line);
        }
        restart(line, database, name, nanoseconds)?;
        ground(line);
        for (name, value) in tags {
            write_tag(line, name.bind(py), value.bind(py))?;
        }
        for (name, value) in fields {
            write_field(line, name.bind(py), value.bind(py))?;
        }
        Ok(())
    }

    /// As [`write`](Self::write), where that runs Python code, which may change the measurement.
    fn write_parts(
        this: &Bound<'_, Self>,
        nanoseconds: i64,
        ground: impl FnOnce(&mut core::Measurement),
        line: &mut core::Measurement,
    ) -> PyResult<()> {
        let Parts { database, name, tags, fields } = Parts::of(this)?;
        restart(line, &database, &name, nanoseconds)?;
        ground(line);
        each_of(&tags, |name, value| write_tag(line, name, value))?;
        each_of(&fields, |name, value| write_field(line, name, value))
    }
}

/// Makes a measurement without an object of it; the tags are the base tags and these.
pub(crate) fn with_recorded<T>(
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    tags: Option<&Bound<'_, PyDict>>,
    fields: Option<&Bound<'_, PyDict>>,
    nanoseconds: i64,
    add: impl FnOnce(&core::Measurement) -> PyResult<T>,
) -> PyResult<T> {
    with_spare(|line| {
        restart(line, database, name, nanoseconds)?;
        for tags in [base_tags(database.py()).as_ref(), tags].into_iter().flatten() {
            each_of(tags, |name, value| write_tag(line, name, value))?;
        }
        if let Some(fields) = fields {
            each_of(fields, |name, value| write_field(line, name, value))?;
        }
        add(line)
    })
}

/// Lends the thread's one measurement of the core, so that none has to be made. Python code that runs meanwhile and
/// records as well gets another.
fn with_spare<T>(use_it: impl FnOnce(&mut core::Measurement) -> T) -> T {
    thread_local! {
        static SPARE: Cell<Option<Box<core::Measurement>>> = const { Cell::new(None) };
    }
    let mut line = SPARE.take().unwrap_or_else(|| Box::new(core::Measurement::new("", "")));
    let result = use_it(&mut line);
    SPARE.set(Some(line));
    result
}

fn restart(
    line: &mut core::Measurement,
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    nanoseconds: i64,
) -> PyResult<()> {
    with_text(database, |database| {
        with_text(name, |name| line.restart_at(database, name, nanoseconds))
    })??;
    line.omit_base_tags();
    Ok(())
}

fn write_tag(
    line: &mut core::Measurement,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    if value.is_none() {
        return Ok(());
    }
    with_text(name, |name| with_text(value, |value| _ = line.set_tag(name, value)))?
}

fn write_field(
    line: &mut core::Measurement,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    with_text(name, |text| with_field(name, value, |field| _ = line.set_field(text, field)))?
}

/// Seconds since the epoch, as nanoseconds.
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

/// The nanoseconds of the shortest decimal number that stands for these seconds, which is the one that was meant:
/// 1700000000.123 is a little less as a binary number, and would be another millisecond.
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

/// The float that is nearest to these nanoseconds: what was set is what is read.
fn seconds(nanoseconds: i64) -> f64 {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    let text = format!("{sign}{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    text.parse().unwrap_or_default()
}

/// The time of a measurement that is made later, if at all: nanoseconds since the epoch, never the same twice.
pub(crate) fn stamp() -> i64 {
    core::Timestamp::now().nanoseconds()
}

/// A measurement that was made at that time, by [`stamp`].
#[pyfunction]
pub(crate) fn measurement_at(
    py: Python<'_>,
    nanoseconds: i64,
    database: Py<PyAny>,
    name: Py<PyAny>,
) -> Measurement {
    let stamp = Stamp { nanoseconds, is_ours: true, is_used: false };
    Measurement { database, name, tags: Items::of_base_tags(py), fields: Items::none(), stamp }
}

/// Records how long its block took. Made by [`Measurement::duration`].
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct Duration {
    measurement: Py<Measurement>,
    name: Py<PyAny>,
    started: Option<Instant>,
}

#[pymethods]
impl Duration {
    fn __enter__(&mut self) {
        self.started = Some(Instant::now());
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&mut self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let Some(started) = self.started.take() else { return Ok(()) };
        let seconds = started.elapsed().as_secs_f64().into_pyobject(py)?;
        self.measurement.borrow_mut(py).fields.set(self.name.bind(py), &seconds)
    }
}
