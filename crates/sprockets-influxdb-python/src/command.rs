//! The command for operators, for `python -m sprockets_influxdb`.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command with these arguments, without the interpreter's lock. Returns its exit code.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, argv: Vec<OsString>) -> u8 {
    py.detach(|| sprockets_influxdb_cli::run(argv))
}
