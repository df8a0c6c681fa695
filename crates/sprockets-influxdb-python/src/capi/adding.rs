//! Adding a measurement, and recording one in one call.

use std::ptr::null_mut;

use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;

use super::call::{Call, attached, returned};
use super::measurement::state_if;
use super::object::{Object, lend};
use super::value::{each_item, is_dict, is_text, text, write_field, write_tag};
use crate::client::BaseClient;
use crate::items::Items;
use crate::line::Line;
use crate::target::Target;
use crate::timestamp;

static ADD: Call = Call::new(c"add_measurement", add_measurement);
static CLIENT_ADD: Call = Call::new(c"add_measurement", client_add_measurement);
static RECORD: Call = Call::new(c"record", record);
static CLIENT_RECORD: Call = Call::new(c"record", client_record);

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let client = module.py().get_type::<BaseClient>();
    CLIENT_ADD.replace_of(&client)?;
    CLIENT_RECORD.replace_of(&client)?;
    ADD.replace_in(module)?;
    RECORD.replace_in(module)
}

unsafe extern "C" fn add_measurement(
    _module: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock and these arguments.
    unsafe {
        let added = attached(|py| {
            let is_one = count == 1 && keywords.is_null();
            is_one.then(|| add(py, &Target::Installed, *arguments)).flatten()
        });
        added.unwrap_or_else(|| ADD.replaced(null_mut(), arguments, count, keywords))
    }
}

unsafe extern "C" fn client_add_measurement(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock, a client, and these arguments.
    unsafe {
        let added = attached(|py| {
            let client = lend(py, this).cast_unchecked::<BaseClient>();
            let is_one = count == 1 && keywords.is_null();
            let target = client.get().if_open().filter(|_| is_one)?;
            add(py, target, *arguments)
        });
        added.unwrap_or_else(|| CLIENT_ADD.replaced(this, arguments, count, keywords))
    }
}

/// Adds a measurement whose items are plain.
///
/// # Safety
///
/// The thread has the lock, and the object lives as long as the call.
#[inline]
unsafe fn add(py: Python<'_>, target: &Target, measurement: Object) -> Option<Object> {
    // SAFETY: as above.
    unsafe {
        let mut own = state_if(measurement)?.if_free(py)?;
        if !own.is_of_program() {
            return None;
        }
        let name = own.name.as_ref()?.bind(py).as_ptr();
        let database = match &own.database {
            Some(database) => text_if(database.bind(py).as_ptr())?,
            None => "",
        };
        target.if_ready(py, |client| {
            Line::with(|line| {
                line.core.restart_at(database, text_if(name)?, 0);
                write_tags(py, line, &own.tags, target)?;
                let fields = match own.fields.as_list() {
                    Some(list) => list.iter().try_for_each(|(name, value)| {
                        write_field(py, line, name.bind(py).as_ptr(), value.bind(py).as_ptr())
                    }),
                    None => each_item(own.fields.as_dict()?.items.as_ptr(), |name, value| {
                        write_field(py, line, name, value)
                    }),
                };
                fields?;
                if own.tags.as_dict().is_some() && line.may_repeat_a_name() {
                    return None;
                }
                line.core.set_timestamp(own.stamp.take());
                Some(returned(py, client.add(py, &line.core)))
            })
        })
    }
}

/// # Safety
///
/// As for [`add`].
#[inline]
unsafe fn write_tags(py: Python<'_>, line: &mut Line, tags: &Items, target: &Target) -> Option<()> {
    // SAFETY: as above.
    unsafe {
        if let Some(list) = tags.as_list() {
            if !tags.has_base() {
                line.core.omit_base_tags();
            }
            return list.iter().try_for_each(|(name, value)| {
                write_tag(py, line, name.bind(py).as_ptr(), value.bind(py).as_ptr())
            });
        }
        let dict = tags.as_dict()?;
        if dict.base.as_ref().is_some_and(|copied| !target.has_base_tags(py, copied)) {
            return None;
        }
        line.core.omit_base_tags();
        each_item(dict.items.as_ptr(), |name, value| write_tag(py, line, name, value))
    }
}

/// The text of an object that is exactly a `str`.
///
/// # Safety
///
/// As for [`add`].
#[inline]
unsafe fn text_if<'a>(object: Object) -> Option<&'a str> {
    // SAFETY: as above.
    unsafe { is_text(object).then(|| text(object)).flatten() }
}

unsafe extern "C" fn record(
    _module: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `add_measurement`.
    unsafe {
        let added = attached(|py| record_in(py, &Target::Installed, arguments, count, keywords));
        added.unwrap_or_else(|| RECORD.replaced(null_mut(), arguments, count, keywords))
    }
}

unsafe extern "C" fn client_record(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `client_add_measurement`.
    unsafe {
        let added = attached(|py| {
            let client = lend(py, this).cast_unchecked::<BaseClient>();
            record_in(py, client.get().if_open()?, arguments, count, keywords)
        });
        added.unwrap_or_else(|| CLIENT_RECORD.replaced(this, arguments, count, keywords))
    }
}

/// Records `(database, name, tags, fields)` or `(name, tags, fields)`, of plain items.
///
/// # Safety
///
/// The arguments are those of the call.
#[inline]
unsafe fn record_in(
    py: Python<'_>,
    target: &Target,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Option<Object> {
    // SAFETY: as above.
    unsafe {
        if !keywords.is_null() || !(count == 3 || count == 4) {
            return None;
        }
        let database = if count == 4 { text_if(*arguments)? } else { "" };
        let [name, tags, fields] = [3, 2, 1].map(|last| *arguments.offset(count - last));
        let name = text_if(name)?;
        let has_tags = is_dict(tags);
        if !is_dict(fields) || !has_tags && (count == 3 || tags != ffi::Py_None()) {
            return None;
        }
        target.if_ready(py, |client| {
            Line::with(|line| {
                line.core.restart_at(database, name, timestamp::now());
                if has_tags {
                    each_item(tags, |name, value| write_tag(py, line, name, value))?;
                }
                each_item(fields, |name, value| write_field(py, line, name, value))?;
                Some(returned(py, client.add(py, &line.core)))
            })
        })
    }
}
