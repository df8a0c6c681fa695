//! What a measurement consists of.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::capi::cell::Owned;
use crate::handle::base_tags;
use crate::items::Items;
use crate::timestamp::Stamp;

/// What a measurement consists of.
pub(crate) struct State {
    /// `None` is Python's.
    pub(crate) database: Option<Owned>,
    pub(crate) name: Option<Owned>,
    pub(crate) tags: Items,
    pub(crate) fields: Items,
    pub(crate) stamp: Stamp,
    pub(crate) kind: Kind,
}

/// Who adds a measurement.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// The program. A value that cannot be stored is an error.
    Own,
    /// A middleware, at the end of a request. A value that cannot be stored is a warning.
    OfRequest,
    /// `timed()`, at the end of a block. A value that cannot be stored is a warning.
    OfBlock,
    /// Nobody: the request is not recorded, or was recorded. Any value can be set.
    Inert,
}

impl State {
    /// The time, if it is of a request whose handler has set nothing and changed nothing.
    #[inline]
    pub(crate) fn untouched(
        &self,
        py: Python<'_>,
        database: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
    ) -> Option<i64> {
        let is = |object: &Option<Owned>, text: &Bound<'_, PyString>| {
            object.as_ref().is_some_and(|object| object.bind(py).is(text))
        };
        let is_unset = |items: &Items| items.as_list().is_some_and(|list| list.is_empty());
        let is_untouched = self.kind == Kind::OfRequest
            && is_unset(&self.tags)
            && is_unset(&self.fields)
            && self.stamp.is_unused()
            && is(&self.database, database)
            && is(&self.name, name);
        is_untouched.then_some(self.stamp.nanoseconds)
    }

    /// Whether it is of a request, and nobody has the dict of its tags.
    pub(crate) fn is_list_of_request(&self) -> bool {
        self.kind == Kind::OfRequest && self.tags.as_list().is_some()
    }

    /// A measurement of the program's, without a time.
    pub(crate) fn empty() -> Self {
        Self {
            database: None,
            name: None,
            tags: Items::of_base_tags(),
            fields: Items::none(),
            stamp: Stamp::at(0),
            kind: Kind::Own,
        }
    }

    /// Makes this the measurement of a request.
    #[inline]
    pub(crate) fn begin_request(&mut self, database: Owned, name: Owned, stamp: Stamp) {
        (self.database, self.name) = (Some(database), Some(name));
        (self.stamp, self.kind) = (stamp, Kind::OfRequest);
    }

    /// Makes this the measurement of a request that is not recorded.
    pub(crate) fn begin_unrecorded(&mut self, py: Python<'_>) {
        self.tags = Items::of_base_tags_where(base_tags(py).as_ref(), |_| true);
        (self.stamp, self.kind) = (Stamp::now(), Kind::Inert);
    }

    /// Sets database and name. Returns those before, to be dropped without a borrow.
    #[inline]
    pub(crate) fn set_place(
        &mut self,
        (database, name): (Owned, Owned),
    ) -> (Option<Owned>, Option<Owned>) {
        (self.database.replace(database), self.name.replace(name))
    }

    /// Makes this what [`empty`](Self::empty) returns, but for the time. Keeps the memory.
    #[inline]
    pub(crate) fn clear(&mut self, py: Python<'_>) {
        (self.database, self.name) = (None, None);
        self.tags.clear(py, true);
        self.fields.clear(py, false);
        self.kind = Kind::Own;
    }

    /// Whether the program adds it.
    #[inline]
    pub(crate) fn is_of_program(&self) -> bool {
        self.kind == Kind::Own
    }

    /// An object that may be left out. Then it is Python's `None`.
    pub(crate) fn object<'py>(py: Python<'py>, object: &Option<Owned>) -> Bound<'py, PyAny> {
        match object {
            Some(object) => object.bind(py).clone(),
            None => py.None().into_bound(py),
        }
    }

    /// Sets a tag, as Python does.
    pub(crate) fn set_tag(
        &mut self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.tags.set(name, value)
    }
}
