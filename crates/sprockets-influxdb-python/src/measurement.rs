//! `Measurement`: it becomes line protocol when it is added.

use std::mem::replace;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use sprockets_influxdb as core;
use sprockets_influxdb::internal::remove_tags_of_fields;

use crate::capi::cell::{GilCell, Owned};
use crate::capi::class::{Native, native};
use crate::conversion::{check_tag, with_field};
use crate::done::Done;
use crate::items::{Dict, Items};
use crate::line::{BaseTags, Head, Line};
use crate::place::{Argument, Place};
use crate::state::{Kind, State};
use crate::target::Target;
use crate::timestamp::{self, Stamp};
use crate::value::Plain;
use crate::warning::{ValueErrors, warn_of_kind};

/// One row for InfluxDB: database, name, tags, fields and a timestamp.
///
/// :param str database: the database (bucket) to write to; leave it out for the default one
/// :param str name: the measurement's name
///
/// ``tags`` and ``fields`` are dicts that you can change. Their items are checked when the
/// measurement is added. ``timestamp`` is in seconds since the epoch, by default the time when the
/// measurement was made.
///
/// A client adds its base tags when the measurement is added. What you set takes precedence. Once a
/// client is installed, ``tags`` shows its base tags, and those that you delete there are left out.
/// A dict that you assign to ``tags`` replaces all tags, the base tags too.
#[pyclass(module = "sprockets_influxdb", subclass, frozen)]
pub(crate) struct Measurement(());

impl Native for Measurement {
    type State = GilCell<State>;
}

#[pymethods]
impl Measurement {
    #[pyo3(signature = (database=Argument::Omitted, name=Argument::Omitted))]
    fn __init__<'py>(
        this: &Bound<'py, Self>,
        database: Argument<'_, 'py>,
        name: Argument<'_, 'py>,
    ) -> PyResult<()> {
        let Place { database, name } = Place::new(this.py(), database, name)?;
        Self::assign_database(this, &database)?;
        Self::assign_name(this, &name)
    }

    /// The database (bucket) to write to. ``None`` is the default one.
    #[getter]
    fn database<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        Ok(State::object(py, &native(this).borrow(py)?.database))
    }

    #[setter(database)]
    fn assign_database(this: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        let before = own.database.replace(Owned::new(value));
        drop(own);
        drop(before);
        Ok(())
    }

    /// The measurement's name.
    #[getter]
    fn name<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        Ok(State::object(py, &native(this).borrow(py)?.name))
    }

    #[setter(name)]
    fn assign_name(this: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        let before = own.name.replace(Owned::new(value));
        drop(own);
        drop(before);
        Ok(())
    }

    /// Tags by name. Values are those of :meth:`set_tag`.
    #[getter]
    fn tags<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        native(this).borrow_mut(this.py())?.tags.dict(this.py())
    }

    #[setter(tags)]
    fn assign_tags(this: &Bound<'_, Self>, tags: &Bound<'_, PyAny>) -> PyResult<()> {
        let assigned = Items::assigned("tags", tags);
        Self::set(this, |own| assigned.map(|tags| own.tags = tags))
    }

    /// Fields by name. Values are those of :meth:`set_field`.
    #[getter]
    fn fields<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        native(this).borrow_mut(this.py())?.fields.dict(this.py())
    }

    #[setter(fields)]
    fn assign_fields(this: &Bound<'_, Self>, fields: &Bound<'_, PyAny>) -> PyResult<()> {
        let assigned = Items::assigned("fields", fields);
        Self::set(this, |own| assigned.map(|fields| own.fields = fields))
    }

    /// The time of the measurement, in seconds since the epoch. It takes what
    /// :meth:`set_timestamp` takes.
    #[getter]
    fn timestamp(this: &Bound<'_, Self>) -> PyResult<f64> {
        Self::timestamp_ns(this).map(timestamp::seconds)
    }

    #[setter(timestamp)]
    fn assign_timestamp(this: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::set_timestamp(this, value)
    }

    /// The time of the measurement, in nanoseconds since the epoch.
    #[getter]
    fn timestamp_ns(this: &Bound<'_, Self>) -> PyResult<i64> {
        Ok(native(this).borrow(this.py())?.stamp.nanoseconds)
    }

    #[setter(timestamp_ns)]
    fn assign_timestamp_ns(this: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::set_timestamp_ns(this, value)
    }

    /// Whether what is set here is recorded. False for the measurement of a request that is not
    /// recorded, or was recorded already, and after ``discard()``. Such a measurement takes any
    /// value and is dropped.
    #[getter]
    pub(crate) fn is_recording(this: &Bound<'_, Self>) -> PyResult<bool> {
        let py = this.py();
        let own = native(this).borrow(py)?;
        match own.kind {
            Kind::Own | Kind::OfBlock => Ok(true),
            Kind::OfRequest => {
                let database = State::object(py, &own.database);
                drop(own);
                database.is_truthy()
            }
            Kind::Inert => Ok(false),
        }
    }

    /// Leaves this measurement out: it is not recorded, and what is set is dropped. For the handler
    /// of requests that nobody wants to see, such as polls.
    fn discard(this: &Bound<'_, Self>) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.kind = Kind::Inert;
        Ok(())
    }

    /// Sets the time of the measurement: seconds since the epoch as any number, a ``datetime`` with
    /// a time zone, a ``pandas.Timestamp``, a ``numpy.datetime64``, which is in UTC, or an ISO 8601
    /// ``str`` with an offset. All are exact to the nanosecond.
    ///
    /// :raises ValueError: for a value that is no time, has no time zone, or is out of range
    fn set_timestamp(this: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let stamp = timestamp::nanoseconds(value).map(Stamp::of_user);
        Self::set(this, |own| stamp.map(|stamp| own.stamp = stamp))
    }

    /// Sets the time of the measurement, in nanoseconds since the epoch, as an ``int``.
    ///
    /// :raises ValueError: for a value that is no ``int``, or out of range
    fn set_timestamp_ns(this: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let stamp = timestamp::integer(value).map(Stamp::of_user);
        Self::set(this, |own| stamp.map(|stamp| own.stamp = stamp))
    }

    /// Sets a tag. Its value is written as its ``str()``; of an ``Enum`` that is its value, and
    /// ``bytes`` are decoded. ``None``, ``pandas.NA``, ``NaT`` and the empty string remove it.
    ///
    /// :raises ValueError: for ``bytes`` that are not UTF-8
    fn set_tag(
        this: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::set(this, |own| {
            if own.kind != Kind::Inert {
                check_tag(name, value)?;
            }
            own.tags.set(name, value)
        })
    }

    /// Sets several tags from a dict, as :meth:`set_tag` does.
    fn set_tags(this: &Bound<'_, Self>, tags: &Bound<'_, PyAny>) -> PyResult<()> {
        let own = native(this).borrow_mut(this.py())?.tags.dict(this.py())?;
        let updated = own.call_method1("update", (tags,)).map(drop);
        Self::set(this, |_| updated)
    }

    /// Sets a field to an ``int``, ``float``, ``bool``, ``str``, NumPy scalar, ``Decimal`` or
    /// ``Fraction`` (stored as a float), or an ``Enum`` (its value). ``None``, ``pandas.NA`` and
    /// ``NaT`` leave it out, also if it was set before.
    ///
    /// :raises ValueError: for a value of another type, and for an ``int`` beyond 64 bits; in the
    ///     measurement of a request this is a warning
    fn set_field(
        this: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let is_checked = native(this).borrow(this.py())?.kind != Kind::Inert;
        let checked = if is_checked { with_field(name, value, |_| ()) } else { Ok(None) };
        Self::set(this, |own| {
            checked?;
            if value.is_none() {
                // The list cannot take back a field that was set before.
                own.fields.dict(value.py())?;
            }
            own.fields.set(name, value)
        })
    }

    /// A value that cannot be stored is a warning from now on.
    fn _forgive(this: &Bound<'_, Self>) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.kind = Kind::OfBlock;
        Ok(())
    }

    /// Records a duration in a field, in seconds, also when an exception is raised: that of a block
    /// by ``with`` or ``async with``, or that of each call of a function or a coroutine function as
    /// its decorator.
    fn duration(this: Bound<'_, Self>, name: Py<PyAny>) -> Duration {
        Duration { measurement: this.unbind(), name, started: None }
    }

    /// An alias of :meth:`duration`, by its name in the documentation of release 2.2.1.
    fn timer(this: Bound<'_, Self>, name: Py<PyAny>) -> Duration {
        Self::duration(this, name)
    }

    /// Returns the measurement in line protocol with nanosecond precision.
    ///
    /// :raises ValueError: for a field that cannot be stored
    fn marshall(this: &Bound<'_, Self>) -> PyResult<String> {
        Line::with(|line| {
            line.errors = ValueErrors::new(native(this).borrow(this.py())?.kind != Kind::Own);
            Self::write(this, |stamp| stamp.nanoseconds, line, BaseTags::Shown)?;
            Ok(line.core.marshall())
        })
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
        let (tags_of, stamp) = {
            let own = native(this).borrow(py)?;
            (own.tags.as_dict().map(|tags| tags.clone_ref(py)), own.stamp)
        };
        let removed = tags_of.map_or(Ok(None), |tags| tags.removed(py))?;
        let Stamp { nanoseconds, is_ours, .. } = stamp;
        let attributes = this.getattr("__dict__")?;
        let state = (database, name, tags, removed, fields, nanoseconds, is_ours, attributes);
        // pickle and copy call `__new__` of the class by this function.
        let new_object = py.import("copyreg")?.getattr("__newobj__")?;
        let reduced = (new_object, (this.get_type(),), state);
        Ok(reduced.into_pyobject(py)?.into_any())
    }

    fn __setstate__(this: &Bound<'_, Self>, state: Pickled<'_>) -> PyResult<()> {
        let (database, name, tags, removed, fields, nanoseconds, is_ours, attributes) = state;
        Self::assign_database(this, &database)?;
        Self::assign_name(this, &name)?;
        let tags = Items::of_dict(Dict { items: tags, base: removed });
        let fields = Items::of_dict(Dict { items: fields, base: None });
        let mut own = native(this).borrow_mut(this.py())?;
        let before = (replace(&mut own.tags, tags), replace(&mut own.fields, fields));
        own.stamp = Stamp::of_copy(nanoseconds, is_ours);
        drop(own);
        drop(before);
        this.getattr("__dict__")?.cast::<PyDict>()?.update(attributes.as_mapping())
    }
}

/// The state of a pickle or a copy.
type Pickled<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Py<PyDict>,
    Option<Py<PyDict>>,
    Py<PyDict>,
    i64,
    bool,
    Bound<'py, PyDict>,
);

struct Parts<'py> {
    database: Bound<'py, PyAny>,
    name: Bound<'py, PyAny>,
    tags: Bound<'py, PyDict>,
    fields: Bound<'py, PyDict>,
}

impl<'py> Parts<'py> {
    fn of(measurement: &Bound<'py, Measurement>) -> PyResult<Self> {
        let py = measurement.py();
        let mut own = native(measurement).borrow_mut(py)?;
        Ok(Self {
            database: State::object(py, &own.database),
            name: State::object(py, &own.name),
            tags: own.tags.dict(py)?,
            fields: own.fields.dict(py)?,
        })
    }
}

impl Measurement {
    /// Whether it is of a request, or of the program, and was not recorded.
    pub(crate) fn is_open(this: &Bound<'_, Self>) -> bool {
        native(this).borrow(this.py()).is_ok_and(|own| own.kind != Kind::Inert)
    }

    /// The time of a request's measurement, if its handler has set nothing and changed nothing.
    #[inline]
    pub(crate) fn untouched(
        this: &Bound<'_, Self>,
        database: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
    ) -> Option<i64> {
        native(this).borrow(this.py()).ok()?.untouched(this.py(), database, name)
    }

    /// The request is recorded. Afterwards nothing that is set is recorded.
    #[inline]
    pub(crate) fn end(this: &Bound<'_, Self>) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        if own.kind == Kind::OfRequest {
            own.kind = Kind::Inert;
        }
        Ok(())
    }

    /// Sets something. Returns the error of a value, or warns of it.
    #[inline]
    fn set(this: &Bound<'_, Self>, set: impl FnOnce(&mut State) -> PyResult<()>) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        let (result, kind) = (set(&mut own), own.kind);
        drop(own);
        if kind == Kind::Own || result.is_ok() {
            return result;
        }
        let mut errors = ValueErrors::new(true);
        errors.check(this.py(), result)?;
        if kind != Kind::Inert {
            errors.warn(this.py(), || None);
        }
        Ok(())
    }

    /// Adds the measurement to a client, if it is recording.
    pub(crate) fn add(this: &Bound<'_, Self>, target: &Target) -> PyResult<()> {
        if !Self::is_recording(this)? {
            return Ok(());
        }
        let is_of_block = native(this).borrow(this.py())?.kind == Kind::OfBlock;
        Line::with(|line| {
            line.errors = ValueErrors::new(is_of_block);
            Self::write(this, Stamp::take, line, BaseTags::Of(target))?;
            if is_of_block {
                std::mem::take(&mut line.errors).warn(this.py(), || None);
            }
            target.add(this.py(), &line.core)
        })
    }

    /// Adds the measurement at the end of a request, as [`add`](Self::add) does. A value that
    /// cannot be stored is a warning. `complete` adds the attributes, and returns the name of one
    /// that changed its kind. Afterwards nothing that is set is recorded.
    pub(crate) fn finish<'py>(
        this: &Bound<'py, Self>,
        target: &Target,
        endpoint: impl Fn() -> Bound<'py, PyAny>,
        complete: impl FnOnce(&mut core::Measurement) -> PyResult<Option<&'static str>>,
    ) -> PyResult<()> {
        let py = this.py();
        if !Self::is_open(this) {
            return Ok(());
        }
        Line::with(|line| {
            line.errors = ValueErrors::new(true);
            // Base tags become a part of the line, to find a field that has the name of one.
            let base = match native(this).borrow(py)?.is_list_of_request() {
                true => BaseTags::Shown,
                false => BaseTags::Of(target),
            };
            Self::write(this, Stamp::take, line, base)?;
            let clash = remove_tags_of_fields(&mut line.core);
            let changed = complete(&mut line.core)?;
            Self::end(this)?;
            std::mem::take(&mut line.errors).warn(py, || Some(endpoint()));
            if let Some(name) = clash.as_deref().or(changed) {
                warn_of_kind(py, name, &endpoint());
            }
            target.add(py, &line.core)
        })
    }

    /// Writes the measurement to a line, with this time. Items of a dict may run Python code, which
    /// may change the measurement.
    fn write(
        this: &Bound<'_, Self>,
        stamp: impl FnOnce(&mut Stamp) -> i64,
        line: &mut Line,
        base: BaseTags<'_>,
    ) -> PyResult<()> {
        let py = this.py();
        let mut own = native(this).borrow_mut(py)?;
        let nanoseconds = stamp(&mut own.stamp);
        let (database, name) = (State::object(py, &own.database), State::object(py, &own.name));
        let head = Head { database: &database, name: &name, nanoseconds };
        if Plain::of(&database).is_none() || Plain::of(&name).is_none() {
            drop(own);
            line.restart(&head)?;
            own = native(this).borrow_mut(py)?;
        } else {
            line.restart(&head)?;
        }
        let Some(tags) = own.tags.as_dict().map(|tags| tags.clone_ref(py)) else {
            line.list_of_tags(&head, &own.tags, base)?;
            drop(own);
            return Self::write_fields(this, line);
        };
        drop(own);
        line.dict_of_tags(py, &tags, base)?;
        Self::write_fields(this, line)?;
        if matches!(base, BaseTags::Of(_)) && line.may_repeat_a_name() {
            line.restart(&head)?;
            line.own_tags(py, &tags, base)?;
            Self::write_fields(this, line)?;
        }
        Ok(())
    }

    fn write_fields(this: &Bound<'_, Self>, line: &mut Line) -> PyResult<()> {
        let py = this.py();
        let own = native(this).borrow(py)?;
        if let Some(fields) = own.fields.as_dict() {
            let fields = fields.items.bind(py).clone();
            drop(own);
            return line.dict_of_fields(&fields);
        }
        for (name, value) in own.fields.as_list().into_iter().flatten() {
            line.field(name.bind(py), value.bind(py))?;
        }
        Ok(())
    }
}

/// Records a duration in a field. Made by [`Measurement::duration`].
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
        let measurement = self.measurement.bind(py);
        native(measurement).borrow_mut(py)?.fields.set(self.name.bind(py), &seconds)
    }

    fn __aenter__(&mut self) -> Done {
        self.__enter__();
        Done
    }

    #[pyo3(signature = (*exception))]
    fn __aexit__(&mut self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<Done> {
        self.__exit__(py, exception).map(|()| Done)
    }

    fn __call__<'py>(
        &self,
        py: Python<'py>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let duration = self.measurement.getattr(py, "duration")?;
        let timing = py.import("sprockets_influxdb._timing")?;
        timing.call_method1("decorated", (function, duration, &self.name))
    }
}
