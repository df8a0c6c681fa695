//! Writes Python's values to the core's measurement.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{PreparedKey, set_prepared_field, set_prepared_tag};

use crate::base_tags::{base_tags, is_in_force};
use crate::conversion::{with_field, with_tag};
use crate::items::{List, each_of};
use crate::prepared_keys::PreparedKeys;
use crate::value::with_text;
use crate::warning::ValueErrors;

/// The largest measurement to keep, in bytes. A larger one is not worth its memory.
const MAX_SPARE_BYTES: usize = 64 * 1024;

/// The measurement that a thread records with, again and again, so that none is allocated.
pub(crate) struct Line {
    pub(crate) core: core::Measurement,
    /// What becomes of a value that cannot be stored.
    pub(crate) errors: ValueErrors,
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
            errors: ValueErrors::default(),
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
        line.errors = ValueErrors::default();
        if core::internal::memory(&line.core) > MAX_SPARE_BYTES {
            line.core = core::Measurement::new("", "");
        }
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
        let write = |line: &mut Self| {
            let mut removes = false;
            for (name, value) in &tags.items {
                removes |= line.tag(name.bind(py), value.bind(py))?;
            }
            Ok(removes)
        };
        match &tags.base {
            Some(tags) if base == BaseTags::Client && is_in_force(tags) => {
                self.beside_base_tags(head, write)
            }
            tags => {
                self.base_tags(tags.as_ref().map(|tags| tags.bind(py)))?;
                write(self).map(drop)
            }
        }
    }

    /// Writes tags, and maybe fields, to an empty line, to which the client adds the base tags.
    /// `write` returns whether it removed a tag. The client does not know of that. The line is then
    /// written again, after its base tags.
    #[inline]
    pub(crate) fn beside_base_tags(
        &mut self,
        head: &Head<'_, '_>,
        mut write: impl FnMut(&mut Self) -> PyResult<bool>,
    ) -> PyResult<()> {
        if write(self)? {
            self.restart(head)?;
            let py = head.name.py();
            self.base_tags(base_tags(py).as_ref().map(|tags| tags.bind(py)))?;
            write(self)?;
        }
        Ok(())
    }

    /// Writes base tags, so that the client adds none.
    fn base_tags(&mut self, tags: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        self.core.omit_base_tags();
        tags.map_or(Ok(()), |tags| each_of(tags, |name, value| self.tag(name, value).map(drop)))
    }

    /// Writes the tags of an empty line. They include the base tags.
    pub(crate) fn dict_of_tags(&mut self, tags: &Bound<'_, PyDict>) -> PyResult<()> {
        self.core.omit_base_tags();
        each_of(tags, |name, value| self.tag(name, value).map(drop))
    }

    /// Writes the tags of an empty line without the base tags among them, which the client adds.
    /// There they give way to fields of the same name.
    #[cold]
    pub(crate) fn tags_beside_base_tags(&mut self, tags: &Bound<'_, PyDict>) -> PyResult<()> {
        let base = base_tags(tags.py());
        let base = base.as_ref().map(|base| base.bind(tags.py()));
        let is_base = |name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| match base {
            Some(base) => Ok(base.get_item(name)?.is_some_and(|base| base.is(value))),
            None => Ok::<_, PyErr>(false),
        };
        let mut found = 0;
        for (name, value) in tags {
            found += usize::from(is_base(&name, &value)?);
        }
        if found != base.map_or(0, |base| base.len()) {
            // The client would write one that was removed.
            return self.dict_of_tags(tags);
        }
        each_of(tags, |name, value| match is_base(name, value)? {
            true => Ok(()),
            false => self.tag(name, value).map(drop),
        })
    }

    pub(crate) fn dict_of_fields(&mut self, fields: &Bound<'_, PyDict>) -> PyResult<()> {
        each_of(fields, |name, value| self.field(name, value))
    }

    /// Sets a tag. A value that is left out and the empty string remove it. Returns whether it was
    /// removed.
    #[inline]
    pub(crate) fn tag(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        match self.set_tag(name, value) {
            Ok(removed) => Ok(removed),
            Err(error) => self.errors.check(name.py(), Err(error)).map(|()| false),
        }
    }

    #[inline]
    fn set_tag(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Self { core, tag_keys, .. } = self;
        let Some(key) = tag_keys.find(name)? else { return self.unprepared_tag(name, value) };
        with_tag(name, value, |value| {
            set_prepared_tag(core, key, value);
            value.is_empty()
        })
    }

    #[cold]
    fn unprepared_tag(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        with_tag(name, value, |value| {
            with_text(name, |name| _ = self.core.set_tag(name, value))?;
            Ok(value.is_empty())
        })?
    }

    #[inline]
    pub(crate) fn field(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let set = self.set_field(name, value);
        self.errors.check(name.py(), set)
    }

    #[inline]
    fn set_field(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Self { core, field_keys, .. } = self;
        match field_keys.find(name)? {
            Some(key) => with_field(name, value, |field| set_prepared_field(core, key, &field)),
            None => with_text(name, |text| {
                with_field(name, value, |field| _ = core.set_field(text, field))
            })?,
        }
        .map(drop)
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
        if let Some(tags) = tags {
            line.beside_base_tags(head, |line| {
                let mut removes = false;
                each_of(tags, |name, value| {
                    removes |= line.tag(name, value)?;
                    Ok(())
                })?;
                Ok(removes)
            })?;
        }
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
