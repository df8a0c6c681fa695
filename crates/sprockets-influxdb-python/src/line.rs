//! Writes Python's values to the core's measurement.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{PreparedKey, set_prepared_field, set_prepared_tag};

use crate::base_tags::{base_tags, is_in_force};
use crate::items::{List, each_of};
use crate::prepared_keys::PreparedKeys;
use crate::value::{text, with_field, with_text};

/// The measurement that a thread records with, again and again, so that none is allocated.
pub(crate) struct Line {
    pub(crate) core: core::Measurement,
    tag_keys: PreparedKeys,
    field_keys: PreparedKeys,
}

/// Where a line belongs: database, name, and nanoseconds since the epoch.
pub(crate) struct Head<'a, 'py> {
    pub(crate) database: &'a Bound<'py, PyAny>,
    pub(crate) name: &'a Bound<'py, PyAny>,
    pub(crate) nanoseconds: i64,
}

/// Who writes the base tags of a measurement to its line.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum BaseTags {
    /// The client, if they are those in force. It has them escaped.
    Client,
    Line,
}

impl Line {
    fn new() -> Self {
        Self {
            core: core::Measurement::new("", ""),
            tag_keys: PreparedKeys::new(PreparedKey::of_tag),
            field_keys: PreparedKeys::new(PreparedKey::of_field),
        }
    }

    /// Calls `use_it` with the line of the thread. Python code that runs meanwhile and records as
    /// well gets another one.
    #[inline]
    pub(crate) fn with<T>(use_it: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static SPARE: Cell<Option<Box<Line>>> = const { Cell::new(None) };
        }
        let mut line = SPARE.take().unwrap_or_else(|| Box::new(Self::new()));
        let result = use_it(&mut line);
        SPARE.set(Some(line));
        result
    }

    /// Makes this an empty line.
    pub(crate) fn restart(&mut self, head: &Head<'_, '_>) -> PyResult<()> {
        with_text(head.database, |database| {
            with_text(head.name, |name| self.core.restart_at(database, name, head.nanoseconds))
        })?
    }

    /// Writes the tags of an empty line. Runs no Python code.
    #[inline]
    pub(crate) fn list_of_tags(
        &mut self,
        head: &Head<'_, '_>,
        tags: &List,
        base: BaseTags,
    ) -> PyResult<()> {
        let py = head.name.py();
        let is_by_client = match &tags.base {
            Some(tags) => base == BaseTags::Client && is_in_force(tags),
            None => false,
        };
        if is_by_client {
            let mut removes = false;
            for (name, value) in &tags.items {
                removes |= self.tag(name.bind(py), value.bind(py))?;
            }
            if !removes {
                return Ok(());
            }
            // The client would write a base tag that was removed.
            self.restart(head)?;
        }
        self.core.omit_base_tags();
        if let Some(base) = &tags.base {
            for (name, value) in base.bind(py) {
                self.tag(&name, &value)?;
            }
        }
        for (name, value) in &tags.items {
            self.tag(name.bind(py), value.bind(py))?;
        }
        Ok(())
    }

    /// Writes the tags of an empty line. They include the base tags.
    pub(crate) fn dict_of_tags(&mut self, tags: &Bound<'_, PyDict>) -> PyResult<()> {
        self.core.omit_base_tags();
        each_of(tags, |name, value| self.tag(name, value).map(drop))
    }

    /// Writes tags that are set beside the base tags.
    #[inline]
    pub(crate) fn more_tags(
        &mut self,
        head: &Head<'_, '_>,
        tags: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let Some(tags) = tags else { return Ok(()) };
        let mut removes = false;
        each_of(tags, |name, value| {
            removes |= self.tag(name, value)?;
            Ok(())
        })?;
        if !removes {
            return Ok(());
        }
        // The client would write a base tag that was removed.
        self.restart(head)?;
        self.core.omit_base_tags();
        let base = base_tags(head.name.py());
        let base = base.as_ref().map(|base| base.bind(head.name.py()));
        for tags in [base, Some(tags)].into_iter().flatten() {
            each_of(tags, |name, value| self.tag(name, value).map(drop))?;
        }
        Ok(())
    }

    pub(crate) fn dict_of_fields(&mut self, fields: &Bound<'_, PyDict>) -> PyResult<()> {
        each_of(fields, |name, value| self.field(name, value))
    }

    /// Sets a tag. `None` and the empty string remove it. Returns whether it was removed.
    #[inline]
    fn tag(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Self { core, tag_keys, .. } = self;
        let Some(key) = tag_keys.find(name)? else { return self.unprepared_tag(name, value) };
        let mut set = |value: &str| {
            set_prepared_tag(core, key, value);
            value.is_empty()
        };
        match value.cast_exact::<PyString>() {
            Ok(value) => Ok(set(&text(value)?)),
            Err(_) if value.is_none() => Ok(set("")),
            Err(_) => with_text(value, set),
        }
    }

    #[cold]
    fn unprepared_tag(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let mut set = |value: &str| {
            with_text(name, |name| _ = self.core.set_tag(name, value))?;
            Ok(value.is_empty())
        };
        if value.is_none() { set("") } else { with_text(value, set)? }
    }

    #[inline]
    pub(crate) fn field(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let Self { core, field_keys, .. } = self;
        match field_keys.find(name)? {
            Some(key) => with_field(name, value, |field| set_prepared_field(core, key, &field)),
            None => with_text(name, |text| {
                with_field(name, value, |field| _ = core.set_field(text, field))
            })?,
        }
    }
}

/// Calls `add` with a line made of these parts and the base tags, without a Python object.
pub(crate) fn with_recorded<T>(
    head: &Head<'_, '_>,
    tags: Option<&Bound<'_, PyDict>>,
    fields: Option<&Bound<'_, PyDict>>,
    add: impl FnOnce(&core::Measurement) -> PyResult<T>,
) -> PyResult<T> {
    Line::with(|line| {
        line.restart(head)?;
        line.more_tags(head, tags)?;
        if let Some(fields) = fields {
            line.dict_of_fields(fields)?;
        }
        add(&line.core)
    })
}

/// Calls `use_it` with an empty line of this time. The client adds its base tags to it.
pub(crate) fn with_new_line<T>(
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    nanoseconds: i64,
    use_it: impl FnOnce(&mut core::Measurement) -> PyResult<T>,
) -> PyResult<T> {
    Line::with(|line| {
        line.restart(&Head { database, name, nanoseconds })?;
        use_it(&mut line.core)
    })
}
