//! Beginning the requests of ASGI and WSGI applications.

use pyo3::ffi::Py_ssize_t;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::call::{Call, attached, found};
use super::object::{Object, lend};
use super::value::is_dict;
use crate::request::{FlaskRoutes, Recorder};

static ASGI: Call = Call::new(c"asgi", begin_asgi);
static WSGI: Call = Call::new(c"wsgi", begin_wsgi);

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let recorder = module.py().get_type::<Recorder>();
    ASGI.replace_of(&recorder)?;
    WSGI.replace_of(&recorder)
}

/// `recorder.asgi(kind, scope, receive, send)`.
unsafe extern "C" fn begin_asgi(
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
            Some(found(py, recorder.get().asgi(&class, &argument(1), &receive, &send)))
        });
        begun.unwrap_or_else(|| ASGI.replaced(this, arguments, count, keywords))
    }
}

/// `recorder.wsgi(environ, start_response, routes)`.
unsafe extern "C" fn begin_wsgi(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `begin_asgi`.
    unsafe {
        let begun = attached(|py| {
            if count != 3 || !keywords.is_null() || !is_dict(*arguments) {
                return None;
            }
            let recorder = lend(py, this).cast_unchecked::<Recorder>();
            let argument = |index| lend(py, *arguments.add(index));
            let (environ, start, routes) = (argument(0), argument(1), argument(2));
            let routes = match routes.is_none() {
                true => None,
                false => Some(routes.cast_exact::<FlaskRoutes>().ok()?),
            };
            let environ = environ.cast_unchecked::<PyDict>();
            Some(found(py, recorder.get().wsgi(&environ, &start, routes.as_deref())))
        });
        begun.unwrap_or_else(|| WSGI.replaced(this, arguments, count, keywords))
    }
}
