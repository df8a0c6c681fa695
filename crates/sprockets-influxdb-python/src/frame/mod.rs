//! Data frames: their rows are measurements. Columns are Python's objects, or come as a stream of
//! Arrow's record batches, which needs no package that knows Arrow.

mod arrow;
mod destination;
mod ffi;
mod kind;
mod objects;
mod rows;
mod times;
mod type_names;

use std::collections::HashSet;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList};

use crate::client::BaseClient;
use crate::timestamp;
use arrow::ArrowColumn;
use destination::Destination;
use ffi::{Batch, Stream};
use kind::Kind;
use objects::Objects;
use rows::{Column, Plan, Rows};
use type_names::{Use, type_name};

/// Maximum number of rows that are written before signals are looked at.
const BLOCK: usize = 10_000;

/// NumPy's `NaT` as nanoseconds.
const NAT: i64 = i64::MIN;

/// What is wrong with a row without a time.
const NO_TIME: &str = "there is no time: leave such rows out";

/// Writes the rows of a frame whose columns are lists.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct ObjectFrame {
    destination: Destination,
    tags: Vec<Py<PyAny>>,
    fields: Vec<Py<PyAny>>,
}

#[pymethods]
impl ObjectFrame {
    #[new]
    fn new(
        py: Python<'_>,
        client: Option<&Bound<'_, BaseClient>>,
        place: (String, String),
        tags: Vec<Py<PyAny>>,
        fields: Vec<Py<PyAny>>,
        timeout: f64,
    ) -> PyResult<Self> {
        let texts = |names: &[Py<PyAny>]| {
            names
                .iter()
                .map(|name| Ok(name.bind(py).str()?.to_string()))
                .collect::<PyResult<Vec<_>>>()
        };
        let (tag_names, field_names) = (texts(&tags)?, texts(&fields)?);
        let plan = Plan::new(place, &tag_names, &field_names, seconds(timeout)?);
        Ok(Self { destination: Destination::new(py, client, plan)?, tags, fields })
    }

    /// Writes rows. `first` is the number of the first one. Times are an ``int`` of nanoseconds,
    /// or any other object that is a time.
    fn write(
        &self,
        py: Python<'_>,
        first: usize,
        times: &Bound<'_, PyList>,
        tags: Vec<Bound<'_, PyList>>,
        fields: Vec<Bound<'_, PyList>>,
    ) -> PyResult<()> {
        let mut tag_columns: Vec<Box<dyn Column>> = Vec::new();
        for (name, values) in self.tags.iter().zip(&tags) {
            tag_columns.push(Box::new(Objects::tags(name.bind(py), values)?));
        }
        let mut field_columns: Vec<Box<dyn Column>> = Vec::new();
        for (name, values) in self.fields.iter().zip(&fields) {
            field_columns.push(Box::new(Objects::fields(name.bind(py), values)?));
        }
        let times = times.iter().enumerate().map(|(row, time)| {
            let nanoseconds = match time.extract() {
                Ok(NAT) => Err(PyValueError::new_err(NO_TIME)),
                Ok(nanoseconds) => Ok(nanoseconds),
                Err(_) => timestamp::nanoseconds(&time),
            };
            nanoseconds.map_err(|error| {
                PyValueError::new_err(format!("row {}: {}", first + row, error.value(py)))
            })
        });
        let times = times.collect::<PyResult<_>>()?;
        let rows = Rows { times, tags: tag_columns, fields: field_columns, first: 0 };
        self.destination.write(py, &rows, first)
    }

    /// Waits for the delivery. Returns what became of the rows.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.destination.finish(py)
    }
}

/// Writes the rows of a frame that is a stream of record batches.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct ArrowFrame {
    destination: Destination,
    kinds: Vec<Kind>,
    /// The columns of the time, of the tags, and of the fields.
    columns: (usize, Vec<usize>, Vec<usize>),
    stream: Stream,
    batch: Option<Batch>,
    /// The row of the batch that is written next.
    next: usize,
    /// The number of the batch's first row.
    first: usize,
}

#[pymethods]
impl ArrowFrame {
    #[new]
    fn new(
        client: Option<&Bound<'_, BaseClient>>,
        stream: &Bound<'_, PyCapsule>,
        place: (String, String),
        time: &str,
        tags: Vec<String>,
        fields: Option<Vec<String>>,
        timeout: f64,
    ) -> PyResult<Self> {
        let py = stream.py();
        let Some(mut stream) = Stream::take(stream)? else {
            return Err(PyValueError::new_err("the frame's stream was read already"));
        };
        let schema = stream.schema().map_err(|error| failed(&error))?;
        if schema.root().format() != "+s" {
            return Err(PyValueError::new_err("the frame has no columns: expected a table"));
        }
        let types: Vec<_> = schema.root().children().collect();
        let kinds: Vec<_> = types.iter().map(|column| Kind::of(*column)).collect();
        let names: Vec<_> = types.iter().map(|column| column.name()).collect();
        let find = |name: &str, wanted: Use| {
            let Some(at) = names.iter().position(|other| *other == name) else {
                return Err(PyValueError::new_err(format!(
                    "there is no column {name:?}: the columns are {}",
                    names.join(", ")
                )));
            };
            if !wanted.takes(&kinds[at]) {
                return Err(PyValueError::new_err(format!(
                    "column {name:?} is of type {}: {}",
                    type_name(types[at]),
                    wanted.advice(types[at])
                )));
            }
            Ok(at)
        };
        let time = find(time, Use::Time)?;
        let tags: Vec<_> = tags.iter().map(|name| find(name, Use::Tag)).collect::<PyResult<_>>()?;
        if fields.is_none() {
            let mut known = HashSet::new();
            if let Some(name) = names.iter().find(|name| !known.insert(**name)) {
                return Err(PyValueError::new_err(format!(
                    "several columns are named {name:?}: rename them, or name field_columns"
                )));
            }
        }
        let fields = fields.unwrap_or_else(|| {
            let is_rest = |at: &usize| *at != time && !tags.contains(at);
            (0..names.len()).filter(is_rest).map(|at| names[at].to_owned()).collect()
        });
        let fields: Vec<_> =
            fields.iter().map(|name| find(name, Use::Field)).collect::<PyResult<_>>()?;
        let texts =
            |columns: &[usize]| columns.iter().map(|at| names[*at].to_owned()).collect::<Vec<_>>();
        let (tag_names, field_names) = (texts(&tags), texts(&fields));
        let plan = Plan::new(place, &tag_names, &field_names, seconds(timeout)?);
        let columns = (time, tags, fields);
        let destination = Destination::new(py, client, plan)?;
        Ok(Self { destination, kinds, columns, stream, batch: None, next: 0, first: 0 })
    }

    /// Writes the next rows. Returns how many there were. `None` at the end.
    fn write(&mut self, py: Python<'_>) -> PyResult<Option<usize>> {
        py.detach(|| self.fill()).map_err(|error| failed(&error))?;
        let Some(batch) = &self.batch else { return Ok(None) };
        let (root, next) = (batch.root(), self.next);
        let count = BLOCK.min(root.length() - next);
        let column = |at: &usize| {
            root.child(*at).map(|array| ArrowColumn::new(&self.kinds[*at], array, root.offset()))
        };
        let (time, tags, fields) = &self.columns;
        let time = column(time);
        let times = (next..next + count).map(|row| {
            let time = time.as_ref();
            time.and_then(|time| time.time(row)).ok_or_else(|| {
                let problem = match time {
                    Some(time) if !time.is_null(row) => timestamp::OUT_OF_RANGE,
                    _ => NO_TIME,
                };
                PyValueError::new_err(format!("row {}: {problem}", self.first + row))
            })
        });
        let times = times.collect::<PyResult<_>>()?;
        let tags = tags.iter().filter_map(column).map(boxed).collect();
        let fields = fields.iter().filter_map(column).map(boxed).collect();
        let rows = Rows { times, tags, fields, first: next };
        self.destination.write(py, &rows, self.first + next)?;
        drop(rows);
        self.next += count;
        Ok(Some(count))
    }

    /// Waits for the delivery. Returns what became of the rows.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.destination.finish(py)
    }
}

impl ArrowFrame {
    /// Reads batches until there is a row to write, or the stream ends.
    fn fill(&mut self) -> Result<(), String> {
        loop {
            if let Some(batch) = &self.batch {
                let length = batch.root().length();
                if self.next < length {
                    return Ok(());
                }
                self.first += length;
            }
            (self.batch, self.next) = (self.stream.next()?, 0);
            if self.batch.is_none() {
                return Ok(());
            }
        }
    }
}

fn boxed<'a>(column: ArrowColumn<'a>) -> Box<dyn Column + 'a> {
    Box::new(column)
}

fn failed(error: &str) -> PyErr {
    PyValueError::new_err(format!("the frame cannot be read: {error}"))
}

fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout).map_err(|_| {
        PyValueError::new_err(format!("timeout is {timeout}: expected seconds, not negative"))
    })
}
