//! Where the rows of a frame go, and what became of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::internal::TrackedFlush;

use super::rows::{Plan, Rows, Stop, Tally};
use crate::client::{BaseClient, target_of};
use crate::flush;
use crate::handle::Handle;
use crate::process;
use crate::target::Target;

pub(super) struct Destination {
    /// Keeps the client open.
    _target: Target,
    /// `None` while there is no client: the rows are dropped.
    client: Option<(Arc<Handle>, TrackedFlush)>,
    plan: Plan,
    tally: Mutex<Tally>,
}

impl Destination {
    /// Counts what becomes of the rows from now on. They go to the given client, else to the
    /// installed one.
    pub(super) fn new(
        py: Python<'_>,
        client: Option<&Bound<'_, BaseClient>>,
        plan: Plan,
    ) -> PyResult<Self> {
        let target = client.map_or(Ok(Target::Installed), target_of)?;
        let client = target.client(py)?.map(|client| {
            let flush = py.detach(|| TrackedFlush::begin(client.core(), &plan.database));
            (client, flush)
        });
        Ok(Self { _target: target, client, plan, tally: Mutex::default() })
    }

    /// Writes rows without the interpreter. `first` is the number of the first one, for errors.
    pub(super) fn write(&self, py: Python<'_>, rows: &Rows<'_>, first: usize) -> PyResult<()> {
        process::ensure_started(py);
        let write = || {
            let flush = self.client.as_ref().map(|(_, flush)| flush);
            self.plan.write(flush, rows, &mut self.tally())
        };
        match process::interruptible(py, write)? {
            Ok(()) => Ok(()),
            Err(Stop::Invalid(at, error)) => {
                Err(PyValueError::new_err(format!("row {}: {error}", first + at)))
            }
            Err(Stop::Full(at)) => {
                let error =
                    self.client.as_ref().and_then(|(client, _)| client.core().stats().last_error);
                let error = error.unwrap_or_else(|| "no error so far".to_owned());
                Err(PyTimeoutError::new_err(format!(
                    "row {} found no room in the buffer in time ({error}); the rows before it wait \
                     there, and are delivered later",
                    first + at
                )))
            }
        }
    }

    /// Waits for the delivery. Returns what became of the rows.
    pub(super) fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (report, failure) = match &self.client {
            Some((_, flush)) => flush::interruptible(py, |is_interrupted| {
                flush.end(self.plan.timeout, is_interrupted)
            })?,
            None => Default::default(),
        };
        let duplicates = py.detach(|| self.tally().times.duplicates());
        let tally = self.tally();
        let dict = PyDict::new(py);
        dict.set_item("rows", tally.rows)?;
        dict.set_item("skipped", tally.skipped)?;
        dict.set_item("duplicates", duplicates)?;
        dict.set_item("repaired", tally.repaired)?;
        dict.set_item("delivered", report.delivered)?;
        dict.set_item("rejected", report.rejected)?;
        dict.set_item("sampled_out", report.sampled_out)?;
        dict.set_item("dropped", report.dropped + tally.dropped as u64)?;
        dict.set_item("pending", report.pending)?;
        let is_stored = report.pending == 0 && report.rejected == 0;
        dict.set_item("error", failure.filter(|_| !is_stored))?;
        Ok(dict)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
