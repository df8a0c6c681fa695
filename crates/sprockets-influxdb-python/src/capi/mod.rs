//! Python's C API itself, for what runs for each measurement and for each request: PyO3's part of a
//! call takes longer than the rest of it. The only unsafe code of the bindings beside
//! `frame/ffi.rs`.
//!
//! - Each function here handles the usual call: arguments by position, of exactly Python's own
//!   types. It hands any other call to the function of PyO3 that it replaces, before it changes
//!   anything. So behaviour and messages are defined in one place, and all else stays in PyO3.
//! - It only uses functions of the limited API of Python 3.10, and counts references in place, as
//!   C code of that API does.
//! - PyO3 does not know that the thread has the interpreter's lock while these functions run. A
//!   [`Py`](pyo3::Py) that is dropped meanwhile is released later, at the next call of PyO3. What
//!   runs here drops [`Bound`](pyo3::Bound) and [`Owned`] instead.
#![allow(unsafe_code)]

mod adding;
pub(crate) mod asgi;
mod call;
pub(crate) mod cell;
pub(crate) mod class;
pub(crate) mod measurement;
mod object;
pub(crate) mod read;
mod recorder;
pub(crate) mod series;
mod value;
pub(crate) mod wsgi;

use pyo3::prelude::*;

/// Adds the classes of this module, and puts its functions in the place of those of PyO3.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    measurement::add_to(module)?;
    adding::add_to(module)?;
    asgi::add_to(module)?;
    recorder::add_to(module)?;
    series::add_to(module)?;
    wsgi::add_to(module)
}
