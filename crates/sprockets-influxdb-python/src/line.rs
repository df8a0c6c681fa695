//! Writes Python's values to the core's measurement.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{
    PreparedKey, may_repeat_a_name, set_prepared_field, set_prepared_tag,
};

use crate::conversion::{with_field, with_tag};
use crate::handle::base_tags;
use crate::items::{Dict, Items, each_of};
use crate::prepared_keys::PreparedKeys;
use crate::prepared_tags::PreparedTags;
use crate::target::Target;
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
    known_tags: PreparedTags,
    field_keys: PreparedKeys,
}

/// Where a line belongs: database, name, and nanoseconds since the epoch. `None` is the default
/// database.
pub(crate) struct Head<'a, 'py> {
    pub(crate) database: &'a Bound<'py, PyAny>,
    pub(crate) name: &'a Bound<'py, PyAny>,
    pub(crate) nanoseconds: i64,
}

/// Which base tags a line has.
#[derive(Clone, Copy)]
pub(crate) enum BaseTags<'a> {
    /// Those of the client that it is for. The client adds them, unless some were removed.
    /// Measurements of requests are an exception: they copy them (`request/recorder.rs`), without
    /// those that have the name of an attribute.
    Of(&'a Target),
    /// Those that measurements show. They are a part of the line.
    Shown,
}

impl BaseTags<'_> {
    fn dict(self, py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
        match self {
            Self::Of(target) => target.base_tags(py),
            Self::Shown => Ok(base_tags(py)),
        }
    }
}

impl Line {
    fn new() -> Self {
        Self {
            core: core::Measurement::new("", ""),
            errors: ValueErrors::default(),
            tag_keys: PreparedKeys::new(PreparedKey::of_tag),
            known_tags: PreparedTags::new(),
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

    /// The line, the names of tags, and whole tags.
    #[inline]
    pub(crate) fn tags(
        &mut self,
    ) -> (&mut core::Measurement, &mut PreparedKeys, &mut PreparedTags) {
        (&mut self.core, &mut self.tag_keys, &mut self.known_tags)
    }

    /// The line, and the names of fields.
    #[inline]
    pub(crate) fn fields(&mut self) -> (&mut core::Measurement, &mut PreparedKeys) {
        (&mut self.core, &mut self.field_keys)
    }

    /// Whether a name may be a tag and a field. `false` is certain.
    #[inline]
    pub(crate) fn may_repeat_a_name(&self) -> bool {
        may_repeat_a_name(&self.core)
    }

    /// Makes this an empty line.
    pub(crate) fn restart(&mut self, head: &Head<'_, '_>) -> PyResult<()> {
        if head.database.is_none() {
            // The client uses the default one.
            return with_text(head.name, |name| self.core.restart_at("", name, head.nanoseconds));
        }
        with_text(head.database, |database| {
            with_text(head.name, |name| self.core.restart_at(database, name, head.nanoseconds))
        })?
    }

    /// Writes the tags of an empty line. Runs no Python code.
    #[inline]
    pub(crate) fn list_of_tags(
        &mut self,
        head: &Head<'_, '_>,
        tags: &Items,
        base: BaseTags<'_>,
    ) -> PyResult<()> {
        let py = head.name.py();
        let write = |line: &mut Self| {
            let mut removes = false;
            for (name, value) in tags.as_list().into_iter().flatten() {
                removes |= line.tag(name.bind(py), value.bind(py))?;
            }
            Ok(removes)
        };
        match base {
            BaseTags::Of(target) if tags.has_base() => self.beside_base_tags(head, target, write),
            BaseTags::Shown if tags.has_base() => {
                self.base_tags(base_tags(py).as_ref())?;
                write(self).map(drop)
            }
            _ => {
                self.core.omit_base_tags();
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
        target: &Target,
        mut write: impl FnMut(&mut Self) -> PyResult<bool>,
    ) -> PyResult<()> {
        if write(self)? {
            self.restart(head)?;
            let py = head.name.py();
            self.base_tags(target.base_tags(py)?.as_ref())?;
            write(self)?;
        }
        Ok(())
    }

    /// Writes base tags, so that the client adds none.
    fn base_tags(&mut self, tags: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        self.core.omit_base_tags();
        tags.map_or(Ok(()), |tags| each_of(tags, |name, value| self.tag(name, value).map(drop)))
    }

    /// Writes the tags of an empty line.
    pub(crate) fn dict_of_tags(
        &mut self,
        py: Python<'_>,
        tags: &Dict,
        base: BaseTags<'_>,
    ) -> PyResult<()> {
        let is_complete = match &tags.base {
            Some(copied) => base.dict(py)?.is_some_and(|tags| tags.is(copied)),
            None => true,
        };
        if is_complete {
            self.core.omit_base_tags();
            let write = |name: &Bound<'_, _>, value: &Bound<'_, _>| self.tag(name, value).map(drop);
            return each_of(tags.items.bind(py), write);
        }
        self.own_tags(py, tags, base)
    }

    /// Writes the tags of an empty line, without copies of base tags, and the base tags of the
    /// client. If the client adds them, they give way to fields of their names.
    #[cold]
    pub(crate) fn own_tags<'py>(
        &mut self,
        py: Python<'py>,
        tags: &Dict,
        base: BaseTags<'_>,
    ) -> PyResult<()> {
        let items = tags.items.bind(py);
        let copied = tags.base.as_ref().map(|copied| copied.bind(py));
        let copy_of = |name: &Bound<'py, PyAny>| match copied {
            Some(copied) => copied.get_item(name),
            None => Ok(None),
        };
        let mut has_removed = false;
        for name in copied.iter().flat_map(|copied| copied.keys()) {
            has_removed |= !items.contains(name)?;
        }
        let is_added = matches!(base, BaseTags::Of(_)) && copied.is_some() && !has_removed;
        if !is_added {
            self.core.omit_base_tags();
            let current = if copied.is_some() { base.dict(py)? } else { None };
            for (name, value) in current.into_iter().flatten() {
                if items.contains(&name)? || copy_of(&name)?.is_none() {
                    self.tag(&name, &value)?;
                }
            }
        }
        each_of(items, |name, value| match copy_of(name)? {
            Some(copy) if copy.is(value) => Ok(()),
            _ => self.tag(name, value).map(drop),
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

/// Adds a line made of these parts and the base tags, without a Python object.
pub(crate) fn record(
    head: &Head<'_, '_>,
    tags: Option<&Bound<'_, PyDict>>,
    fields: Option<&Bound<'_, PyDict>>,
    target: &Target,
) -> PyResult<()> {
    Line::with(|line| {
        line.restart(head)?;
        if let Some(tags) = tags {
            line.beside_base_tags(head, target, |line| {
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
        target.add(head.name.py(), &line.core)
    })
}
