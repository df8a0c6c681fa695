//! Beginning the requests of ASGI applications.

use std::ptr::null_mut;

use pyo3::ffi::Py_ssize_t;
use pyo3::prelude::*;

use super::call::{Call, attached, none};
use super::object::{Object, lend};
use super::value::is_dict;
use crate::request::Recorder;

static BEGIN: Call = Call::new(c"asgi", begin);

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    BEGIN.replace_of(&module.py().get_type::<Recorder>())
}

/// `recorder.asgi(kind, scope, receive, send)`.
unsafe extern "C" fn begin(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock, a recorder, and these arguments.
    unsafe {
        let begun = attached(|py| {
            if count != 4 || !keywords.is_null() || !is_dict(*arguments.add(1)) {
                return None;
            }
            let recorder = lend(py, this).cast_unchecked::<Recorder>();
            let argument = |index| lend(py, *arguments.add(index));
            let (class, receive, send) = (argument(0), argument(2), argument(3));
            Some(match recorder.get().asgi(&class, &argument(1), &receive, &send) {
                Ok(Some(request)) => request.into_ptr(),
                Ok(None) => none(py),
                Err(error) => {
                    error.restore(py);
                    null_mut()
                }
            })
        });
        begun.unwrap_or_else(|| BEGIN.replaced(this, arguments, count, keywords))
    }
}
