//! Faults of the scripted server.

use std::str::FromStr;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sprockets_influxdb::testing::{self, Stage};

/// Something that goes wrong with a write.
#[pyclass(module = "sprockets_influxdb.testing", frozen)]
pub(crate) struct Fault(pub(super) testing::Fault);

/// Text or bytes.
#[derive(FromPyObject)]
pub(crate) enum Body {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Body> for Vec<u8> {
    fn from(body: Body) -> Self {
        match body {
            Body::Text(text) => text.into_bytes(),
            Body::Bytes(bytes) => bytes,
        }
    }
}

#[pymethods]
impl Fault {
    /// Responds with this status and exactly this body.
    #[staticmethod]
    #[pyo3(
        signature = (status, body=Body::Text(String::new())),
        text_signature = "(status, body='')"
    )]
    fn status(status: u16, body: Body) -> Self {
        Self(testing::Fault::status(status, body))
    }

    /// Responds with an error in the format of the API that is called.
    #[staticmethod]
    #[pyo3(signature = (status, message=""))]
    fn error(status: u16, message: &str) -> Self {
        Self(testing::Fault::error(status, message))
    }

    /// Responds with an error whose message has this size in bytes.
    #[staticmethod]
    fn oversized(status: u16, size: usize) -> Self {
        Self(testing::Fault::oversized(status, size))
    }

    /// Responds with a header that HTTP clients cannot read, as InfluxDB 1.x does when a rejected
    /// line has control characters.
    #[staticmethod]
    fn unparsable_header() -> Self {
        Self(testing::Fault::unparsable_header())
    }

    /// Writes these bytes instead of an HTTP response, and closes the connection.
    #[staticmethod]
    fn raw(reply: Body) -> Self {
        Self(testing::Fault::raw(reply))
    }

    /// Rejects the lines that contain this text without naming them, and stores the others.
    #[staticmethod]
    fn reject_lines(containing: String) -> Self {
        Self(testing::Fault::reject_lines_unnamed(move |line| line.contains(&containing)))
    }

    /// Stores the points, and responds after this many seconds.
    #[staticmethod]
    fn delay(seconds: f64) -> PyResult<Self> {
        Ok(Self(testing::Fault::delay(duration("seconds", seconds)?)))
    }

    /// Stores the points, and responds byte by byte, with this many seconds between two bytes.
    #[staticmethod]
    fn drip(seconds: f64) -> PyResult<Self> {
        Ok(Self(testing::Fault::drip(duration("seconds", seconds)?)))
    }

    /// Reads the whole request, and closes the connection without a response.
    #[staticmethod]
    fn close() -> Self {
        Self(testing::Fault::close())
    }

    /// Closes the server's side of the connection after the headers, and continues to read.
    #[staticmethod]
    fn half_close() -> Self {
        Self(testing::Fault::half_close())
    }

    /// Resets the connection: ``"before_body"``, ``"mid_body"`` or ``"before_reply"``.
    ///
    /// :raises ValueError: for another stage
    #[staticmethod]
    #[pyo3(signature = (stage="before_reply"))]
    fn reset(stage: &str) -> PyResult<Self> {
        let stage = match stage {
            "before_body" => Stage::BeforeBody,
            "mid_body" => Stage::MidBody,
            "before_reply" => Stage::BeforeReply,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "stage is {stage:?}: expected before_body, mid_body or before_reply"
                )));
            }
        };
        Ok(Self(testing::Fault::reset(stage)))
    }

    /// Neither reads nor responds, until the faults are cleared or the server stops.
    #[staticmethod]
    fn black_hole() -> Self {
        Self(testing::Fault::black_hole())
    }

    /// Adds a header to the response, without checks.
    fn header(&self, name: &str, value: Body) -> Self {
        Self(self.0.clone().header(name, value))
    }

    /// Adds ``Retry-After``: seconds, or an HTTP date.
    fn retry_after(&self, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(self.0.clone().retry_after(value.str()?)))
    }

    /// Stores the points nevertheless.
    fn and_store(&self) -> Self {
        Self(self.0.clone().and_store())
    }

    /// Waits this many seconds before the fault happens. Points are stored before the wait.
    fn after(&self, seconds: f64) -> PyResult<Self> {
        Ok(Self(self.0.clone().after(duration("seconds", seconds)?)))
    }

    /// Responds before the body is read, and closes the connection.
    fn before_body(&self) -> Self {
        Self(self.0.clone().before_body())
    }

    /// Responds byte by byte, with this many seconds between two bytes.
    fn dripping(&self, seconds: f64) -> PyResult<Self> {
        Ok(Self(self.0.clone().dripping(duration("seconds", seconds)?)))
    }

    /// Announces a longer body than it sends, and closes the connection.
    fn truncated(&self) -> Self {
        Self(self.0.clone().truncated())
    }

    /// Applies to this many writes instead of one.
    fn times(&self, times: usize) -> Self {
        Self(self.0.clone().times(times))
    }

    /// Applies only to writes to this database (or bucket).
    fn for_database(&self, database: &str) -> Self {
        Self(self.0.clone().for_database(database))
    }

    /// Applies only to writes whose body contains this text.
    fn when_body_contains(&self, text: &str) -> Self {
        Self(self.0.clone().when_body_contains(text))
    }

    /// Responds as something that is no InfluxDB: ``"captive-portal"``, ``"nginx-413"``,
    /// ``"haproxy-400"`` and others, which :func:`foreign_replies` lists.
    ///
    /// :raises ValueError: for another name
    #[staticmethod]
    fn foreign_reply(name: &str) -> PyResult<Self> {
        Ok(Self(testing::Fault::foreign_reply(named::<testing::ForeignReply>(name)?)))
    }

    /// Responds as InfluxDB 3 with an error of its own: ``"full-disk"``, ``"catalog"`` or
    /// ``"shutdown"``.
    ///
    /// :raises ValueError: for another name
    #[staticmethod]
    fn server_error(name: &str) -> PyResult<Self> {
        Ok(Self(testing::Fault::server_error(named::<testing::ServerError>(name)?)))
    }

    /// Stores the points, and responds after ``base`` seconds and ``per_line`` seconds for each
    /// line.
    #[staticmethod]
    fn slow(base: f64, per_line: f64) -> PyResult<Self> {
        let (base, per_line) = (duration("base", base)?, duration("per_line", per_line)?);
        Ok(Self(testing::Fault::slow(base, per_line)))
    }

    /// Responds before the body is read, and closes the connection this many seconds later.
    fn lingering(&self, seconds: f64) -> PyResult<Self> {
        Ok(Self(self.0.clone().lingering(duration("seconds", seconds)?)))
    }

    /// Does not say in the response that the connection closes.
    fn unannounced(&self) -> Self {
        Self(self.0.clone().unannounced())
    }

    /// Applies only to requests whose body has more bytes than this on the wire.
    fn when_body_exceeds(&self, size: usize) -> Self {
        Self(self.0.clone().when_body_exceeds(size))
    }

    /// Applies to requests of every method and path, not only to writes.
    fn for_every_request(&self) -> Self {
        Self(self.0.clone().for_every_request())
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Names for ``Fault.foreign_reply``: one of each kind with its most frequent statuses.
#[pyfunction]
pub(crate) fn foreign_replies() -> Vec<String> {
    testing::ForeignReply::ALL.iter().map(|reply| reply.name()).collect()
}

/// Reads a name of the scripted server's, such as that of a product.
pub(super) fn named<T: FromStr<Err = testing::UnknownName>>(name: &str) -> PyResult<T> {
    name.parse().map_err(|error: testing::UnknownName| PyValueError::new_err(error.to_string()))
}

/// Converts an argument in seconds.
pub(super) fn duration(argument: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!("{argument} is {seconds}: expected seconds, not negative"))
    })
}
