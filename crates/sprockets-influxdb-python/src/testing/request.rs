//! Requests to the scripted server.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sprockets_influxdb::testing;

/// A request that reached the server, and its response.
#[pyclass(module = "sprockets_influxdb.testing", frozen)]
pub(crate) struct Request(pub(super) testing::Request);

type Pairs = Vec<(String, String)>;

#[pymethods]
impl Request {
    /// The method in capitals, as it was sent.
    #[getter]
    fn method(&self) -> &str {
        self.0.method()
    }

    /// The path, without the query.
    #[getter]
    fn path(&self) -> &str {
        self.0.path()
    }

    /// Names and values of the query, in the order in which they were sent.
    #[getter]
    fn query(&self) -> Pairs {
        self.0.query().to_vec()
    }

    /// Names and values of the headers, in the order in which they were sent.
    #[getter]
    fn headers(&self) -> Pairs {
        self.0.headers().to_vec()
    }

    /// The database (or bucket) of a write. ``None`` for other requests.
    #[getter]
    fn database(&self) -> Option<&str> {
        self.0.database()
    }

    /// The body, decompressed. Empty if the request was refused before the body was read.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    /// Bytes of the body on the wire, before decompression.
    #[getter]
    fn wire_length(&self) -> usize {
        self.0.wire_length()
    }

    /// The number of lines in the body, valid or not.
    #[getter]
    fn lines(&self) -> usize {
        self.0.lines()
    }

    /// The status of the response. ``None`` if there was no HTTP response.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.0.status()
    }

    /// The body as text.
    #[getter]
    fn text(&self) -> Cow<'_, str> {
        self.0.text()
    }

    /// Returns the value of a header. Its name is not case-sensitive.
    fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    /// Returns the value of a query parameter.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.0.parameter(name)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.head() == other.head()
            && self.0.query() == other.0.query()
            && self.0.headers() == other.0.headers()
            && self.0.body() == other.0.body()
            && (self.wire_length(), self.lines()) == (other.wire_length(), other.lines())
            && self.status() == other.status()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Request {
    /// Method, path, and database.
    fn head(&self) -> (&str, &str, Option<&str>) {
        (self.0.method(), self.0.path(), self.0.database())
    }
}
