//! The core's scripted server, for tests in Python. Its threads never need the interpreter, and whoever waits for it
//! lets other threads have it.

use std::str::FromStr;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sprockets_influxdb::testing::{self, Stage, Value};

/// How long a wait goes on before signals are looked at: Ctrl-C, above all.
const SLICE: Duration = Duration::from_millis(100);

/// Measurement, tags, fields, and the timestamp in nanoseconds.
type Point<'py> = (String, Bound<'py, PyDict>, Bound<'py, PyDict>, i64);

type Pairs = Vec<(String, String)>;

/// Method, path, query, headers, database, body, bytes on the wire, lines, status.
type Request<'py> =
    (String, String, Pairs, Pairs, Option<String>, Bound<'py, PyBytes>, usize, usize, Option<u16>);

/// Something that goes wrong with a write; see ``sprockets_influxdb.testing``.
#[pyclass(module = "sprockets_influxdb.testing", frozen)]
pub(crate) struct Fault(testing::Fault);

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
    /// Answers with this status and exactly this body.
    #[staticmethod]
    #[pyo3(signature = (status, body=Body::Text(String::new())), text_signature = "(status, body='')")]
    fn status(status: u16, body: Body) -> Self {
        Self(testing::Fault::status(status, body))
    }

    /// Answers with an error in the shape that the API asked gives its errors.
    #[staticmethod]
    #[pyo3(signature = (status, message=""))]
    fn error(status: u16, message: &str) -> Self {
        Self(testing::Fault::error(status, message))
    }

    /// Answers with an error whose message is so many bytes long.
    #[staticmethod]
    fn oversized(status: u16, size: usize) -> Self {
        Self(testing::Fault::oversized(status, size))
    }

    /// Answers as InfluxDB 1.x does when a refused line has control characters: with a header that HTTP clients cannot
    /// read.
    #[staticmethod]
    fn unparsable_header() -> Self {
        Self(testing::Fault::unparsable_header())
    }

    /// Writes this instead of a reply, and closes: something that is not HTTP.
    #[staticmethod]
    fn raw(reply: Body) -> Self {
        Self(testing::Fault::raw(reply))
    }

    /// Refuses the lines that contain this text without naming them, and stores the others.
    #[staticmethod]
    fn reject_lines(containing: String) -> Self {
        Self(testing::Fault::reject_lines_unnamed(move |line| line.contains(&containing)))
    }

    /// Stores the points, and answers so many seconds later.
    #[staticmethod]
    fn delay(seconds: f64) -> PyResult<Self> {
        Ok(Self(testing::Fault::delay(duration("seconds", seconds)?)))
    }

    /// Stores the points, and answers one byte at a time with so many seconds between them.
    #[staticmethod]
    fn drip(seconds: f64) -> PyResult<Self> {
        Ok(Self(testing::Fault::drip(duration("seconds", seconds)?)))
    }

    /// Reads the whole request, and closes the connection without a reply.
    #[staticmethod]
    fn close() -> Self {
        Self(testing::Fault::close())
    }

    /// Closes the server's side of the connection once the headers are there, and goes on reading.
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

    /// Reads nothing more and answers nothing, until the faults are cleared or the server stops.
    #[staticmethod]
    fn black_hole() -> Self {
        Self(testing::Fault::black_hole())
    }

    /// Adds a header to the reply, as it is.
    fn header(&self, name: &str, value: Body) -> Self {
        Self(self.0.clone().header(name, value))
    }

    /// Adds ``Retry-After``: seconds, or an HTTP date.
    fn retry_after(&self, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(self.0.clone().retry_after(value.str()?)))
    }

    /// Stores the points all the same.
    fn and_store(&self) -> Self {
        Self(self.0.clone().and_store())
    }

    /// Waits so many seconds before it happens; points that it stores are stored before.
    fn after(&self, seconds: f64) -> PyResult<Self> {
        Ok(Self(self.0.clone().after(duration("seconds", seconds)?)))
    }

    /// Replies before the body is read, and closes.
    fn before_body(&self) -> Self {
        Self(self.0.clone().before_body())
    }

    /// Replies one byte at a time with so many seconds between them.
    fn dripping(&self, seconds: f64) -> PyResult<Self> {
        Ok(Self(self.0.clone().dripping(duration("seconds", seconds)?)))
    }

    /// Announces a longer body than it sends, and closes.
    fn truncated(&self) -> Self {
        Self(self.0.clone().truncated())
    }

    /// Happens to so many writes instead of one.
    fn times(&self, times: usize) -> Self {
        Self(self.0.clone().times(times))
    }

    /// Happens only to writes to this database (or bucket).
    fn for_database(&self, database: &str) -> Self {
        Self(self.0.clone().for_database(database))
    }

    /// Happens only to writes whose body contains this text.
    fn when_body_contains(&self, text: &str) -> Self {
        Self(self.0.clone().when_body_contains(text))
    }

    /// Responds as something that is no InfluxDB: ``"captive-portal"``, ``"nginx-413"``,
    /// ``"haproxy-400"`` and others, which :func:`strangers` lists.
    ///
    /// :raises ValueError: for another name
    #[staticmethod]
    fn stranger(name: &str) -> PyResult<Self> {
        Ok(Self(testing::Fault::stranger(named::<testing::Stranger>(name)?)))
    }

    /// Responds as InfluxDB 3 in trouble of its own: ``"full-disk"``, ``"catalog"`` or
    /// ``"shutdown"``.
    ///
    /// :raises ValueError: for another name
    #[staticmethod]
    fn trouble(name: &str) -> PyResult<Self> {
        Ok(Self(testing::Fault::trouble(named::<testing::Trouble>(name)?)))
    }

    /// Stores the points, and responds after ``base`` seconds and ``per_line`` seconds for each line.
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

/// The server behind ``sprockets_influxdb.testing.Server``.
#[pyclass(module = "sprockets_influxdb._native", frozen)]
pub(crate) struct Server(testing::Server);

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (product="strict"))]
    fn new(py: Python<'_>, product: &str) -> PyResult<Self> {
        let product = named(product)?;
        Ok(Self(py.detach(|| testing::Server::start_as(product))))
    }

    fn port(&self) -> u16 {
        self.0.port()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    fn restart(&self, py: Python<'_>) {
        py.detach(|| self.0.restart());
    }

    fn require_basic(&self, user: String, password: String) {
        self.0.require_basic(user, password);
    }

    fn require_token(&self, token: String) {
        self.0.require_token(token);
    }

    fn require_nothing(&self) {
        self.0.require_nothing();
    }

    /// Any, where there is no list of them.
    #[pyo3(signature = (databases=None))]
    fn set_databases(&self, databases: Option<Vec<String>>) {
        match databases {
            Some(databases) => self.0.only_databases(databases),
            None => self.0.any_database(),
        }
    }

    #[pyo3(signature = (size=None))]
    fn max_body_size(&self, size: Option<usize>) {
        self.0.max_body_size(size);
    }

    fn write_path(&self, path: String) {
        self.0.write_path(path);
    }

    fn inject(&self, fault: &Fault) {
        self.0.inject(fault.0.clone());
    }

    fn inject_always(&self, fault: &Fault) {
        self.0.inject_always(fault.0.clone());
    }

    fn clear_faults(&self) {
        self.0.clear_faults();
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn databases(&self) -> Vec<String> {
        self.0.databases()
    }

    fn points<'py>(&self, py: Python<'py>, database: &str) -> PyResult<Vec<Point<'py>>> {
        points(py, self.0.points(database))
    }

    fn lines_received(&self, database: &str) -> usize {
        self.0.lines_received(database)
    }

    fn connections(&self) -> usize {
        self.0.connections()
    }

    fn requests<'py>(&self, py: Python<'py>) -> Vec<Request<'py>> {
        let requests = self.0.requests();
        requests.iter().map(|request| shown(py, request)).collect()
    }

    /// Of all databases together, where there is none.
    fn wait_for_points(
        &self,
        py: Python<'_>,
        count: usize,
        timeout: f64,
        database: Option<String>,
    ) -> PyResult<bool> {
        let arrived = |server: &testing::Server| match &database {
            Some(database) => server.count(database),
            None => server.databases().iter().map(|name| server.count(name)).sum(),
        };
        wait(py, timeout, |slice| self.0.wait_until(slice, |server| arrived(server) >= count))
    }

    fn wait_for_requests(&self, py: Python<'_>, count: usize, timeout: f64) -> PyResult<bool> {
        wait(py, timeout, |slice| self.0.wait_for_requests(count, slice))
    }

    /// Plays another product from the next request on.
    ///
    /// :raises ValueError: for a name that :func:`products` does not list
    fn play(&self, product: &str) -> PyResult<()> {
        self.0.play(named(product)?);
        Ok(())
    }

    /// Needs no token for these paths when it plays InfluxDB 3.
    fn open_paths(&self, paths: Vec<String>) {
        self.0.open_paths(paths);
    }

    /// Creates an empty database when it plays InfluxDB 3.
    fn create_database(&self, name: &str) {
        self.0.create_database(name);
    }

    /// The databases that a played InfluxDB 3 lists, those without a point too.
    fn created_databases(&self) -> Vec<String> {
        self.0.created_databases()
    }

    /// The tables of a database that a played InfluxDB 3 cannot read any more.
    fn unreadable_tables(&self, database: &str) -> Vec<String> {
        self.0.unreadable_tables(database)
    }
}

/// The points that lines of line protocol stand for.
///
/// :raises ValueError: for a line that one of InfluxDB 1.x, 2.x and 3.x would not store as it stands
#[pyfunction]
pub(crate) fn parse<'py>(py: Python<'py>, text: &str) -> PyResult<Vec<Point<'py>>> {
    let parsed = testing::parse(text).map_err(|error| PyValueError::new_err(error.to_string()))?;
    points(py, parsed)
}

/// The names of the products that a server can play.
#[pyfunction]
pub(crate) fn products() -> Vec<&'static str> {
    testing::Product::ALL.iter().map(|product| product.name()).collect()
}

/// Names for ``Fault.stranger``: one of each kind with its most frequent statuses.
#[pyfunction]
pub(crate) fn strangers() -> Vec<String> {
    testing::Stranger::ALL.iter().map(|stranger| stranger.name()).collect()
}

fn named<T: FromStr<Err = testing::UnknownName>>(name: &str) -> PyResult<T> {
    name.parse().map_err(|error: testing::UnknownName| PyValueError::new_err(error.to_string()))
}

fn points(py: Python<'_>, points: Vec<testing::Point>) -> PyResult<Vec<Point<'_>>> {
    let translated = points.into_iter().map(|point| {
        let (tags, fields) = (PyDict::new(py), PyDict::new(py));
        for (name, value) in point.tags {
            tags.set_item(name, value)?;
        }
        for (name, value) in point.fields {
            match value {
                Value::Float(value) => fields.set_item(name, value)?,
                Value::Integer(value) => fields.set_item(name, value)?,
                Value::Unsigned(value) => fields.set_item(name, value)?,
                Value::Boolean(value) => fields.set_item(name, value)?,
                Value::String(value) => fields.set_item(name, value)?,
            }
        }
        Ok((point.measurement, tags, fields, point.timestamp))
    });
    translated.collect()
}

fn shown<'py>(py: Python<'py>, request: &testing::Request) -> Request<'py> {
    (
        request.method().to_owned(),
        request.path().to_owned(),
        request.query().to_vec(),
        request.headers().to_vec(),
        request.database().map(str::to_owned),
        PyBytes::new(py, request.body()),
        request.wire_length(),
        request.lines(),
        request.status(),
    )
}

fn wait(
    py: Python<'_>,
    timeout: f64,
    is_there: impl Fn(Duration) -> bool + Sync,
) -> PyResult<bool> {
    let started = Instant::now();
    let timeout = duration("timeout", timeout)?;
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        if py.detach(|| is_there(left.min(SLICE))) {
            return Ok(true);
        }
        py.check_signals()?;
        if left <= SLICE {
            return Ok(false);
        }
    }
}

fn duration(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!("{name} is {seconds}: expected seconds, not negative"))
    })
}
