//! The scripted server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use sprockets_influxdb::internal::address;
use sprockets_influxdb::testing;

use super::fault::{Fault, duration, named};
use super::point::Point;
use super::request::Request;
use crate::handle;

/// Time between two checks for signals, such as Ctrl-C, during a wait.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// An InfluxDB for one test, on a free port of the loopback interface. As a context manager it
/// stops at the end of the block. Its points and requests can still be read then.
///
/// It has the write APIs of InfluxDB 1.x (``/write``), 2.x (``/api/v2/write``) and 3.x
/// (``/api/v3/write_lp``), and ``/ping`` and ``/health``. By default it has every database, and
/// accepts writes from everyone. It is stricter than any InfluxDB: it rejects each line that one of
/// the three would reject.
///
/// With the name of a product it plays that product: ``Server("influxdb-3.6")`` answers and
/// stores as InfluxDB 3.6.0 does.
#[pyclass(module = "sprockets_influxdb.testing", frozen, subclass)]
pub(crate) struct Server(testing::Server);

#[pymethods]
impl Server {
    /// :param product: what it plays: one of :func:`products`, such as ``"influxdb-3.6"``
    /// :raises ValueError: for an unknown product
    #[new]
    #[pyo3(signature = (product="strict"))]
    fn new(py: Python<'_>, product: &str) -> PyResult<Self> {
        let product = named(product)?;
        Ok(Self(py.detach(|| testing::Server::start_as(product))))
    }

    fn __enter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.stop(py);
    }

    fn __repr__(&self) -> String {
        format!("<Server {}>", self.url())
    }

    /// The port that it listens on. :meth:`restart` keeps it.
    #[getter]
    fn port(&self) -> u16 {
        self.0.port()
    }

    /// The URL without a path, for :func:`sprockets_influxdb.install`.
    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    /// Stops: closes all connections, and refuses new ones. Points and requests are kept.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    /// Starts again on the same port, with all points and requests. Stops before if it is running.
    fn restart(&self, py: Python<'_>) {
        py.detach(|| self.0.restart());
    }

    /// Accepts writes from this user only.
    fn require_basic(&self, user: String, password: String) {
        self.0.require_basic(user, password);
    }

    /// Accepts writes with this token only.
    fn require_token(&self, token: String) {
        self.0.require_token(token);
    }

    /// Accepts writes from everyone. The default.
    fn require_nothing(&self) {
        self.0.require_nothing();
    }

    /// Accepts writes to these databases (or buckets) only. Responds 404 to others.
    fn only_databases(&self, databases: &Bound<'_, PyAny>) -> PyResult<()> {
        let names: Vec<String> =
            databases.try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?;
        self.0.only_databases(names);
        Ok(())
    }

    /// Accepts writes to every database. The default.
    fn any_database(&self) {
        self.0.any_database();
    }

    /// Sets the maximum size of a body on the wire, in bytes. Responds 413 to larger ones. ``None``
    /// is no limit, the default.
    #[pyo3(signature = (size))]
    fn max_body_size(&self, size: Option<usize>) {
        self.0.max_body_size(size);
    }

    /// Treats this path like ``/write``, as behind a proxy.
    fn write_path(&self, path: String) {
        self.0.write_path(path);
    }

    /// Makes the next matching write fail, or as many as the fault says. If several faults match a
    /// write, the one injected first applies.
    fn inject(&self, fault: &Fault) {
        self.0.inject(fault.0.clone());
    }

    /// Makes every matching write fail, until :meth:`clear_faults`.
    fn inject_always(&self, fault: &Fault) {
        self.0.inject_always(fault.0.clone());
    }

    /// Removes all faults, and resets the connections that are in a black hole.
    fn clear_faults(&self) {
        self.0.clear_faults();
    }

    /// Removes all points and requests. Settings and faults are kept.
    fn clear(&self) {
        self.0.clear();
    }

    /// Returns the databases that have points, in alphabetical order.
    fn databases(&self) -> Vec<String> {
        self.0.databases()
    }

    /// Returns the points of a database, ordered by time.
    ///
    /// :param str database: the database (or bucket); by default all of them, one after the other
    #[pyo3(signature = (database=None))]
    fn points(&self, py: Python<'_>, database: Option<String>) -> PyResult<Vec<Point>> {
        let databases = database.map_or_else(|| self.0.databases(), |database| vec![database]);
        let points = databases.iter().flat_map(|database| self.0.points(database));
        points.map(|point| Point::of(py, point)).collect()
    }

    /// Returns the number of lines of a database that were stored. A line that was sent twice
    /// counts twice.
    fn lines_received(&self, database: &str) -> usize {
        self.0.lines_received(database)
    }

    /// Returns the number of accepted connections.
    fn connections(&self) -> usize {
        self.0.connections()
    }

    /// Returns all requests, in the order of their responses.
    fn requests(&self) -> Vec<Request> {
        self.0.requests().into_iter().map(Request).collect()
    }

    /// Returns the :meth:`requests` that were writes.
    fn writes(&self) -> Vec<Request> {
        self.0.writes().into_iter().map(Request).collect()
    }

    /// Waits until there are at least ``count`` points, and until the client has counted the
    /// outcome of its requests.
    ///
    /// :param int count: the number of points
    /// :param float timeout: the maximum time to wait, in seconds
    /// :param str database: count the points of this database (or bucket) only
    /// :returns: the points, as :meth:`points` does
    /// :raises TimeoutError: when there are fewer at the end; the message says what arrived instead
    #[pyo3(signature = (count, timeout=10.0, database=None))]
    fn wait_for_points(
        &self,
        py: Python<'_>,
        count: usize,
        timeout: f64,
        database: Option<String>,
    ) -> PyResult<Vec<Point>> {
        let arrived = |server: &testing::Server| match &database {
            Some(database) => server.count(database),
            None => server.databases().iter().map(|name| server.count(name)).sum(),
        };
        let wait_for = |time| self.0.wait_until(time, |server| arrived(server) >= count);
        if wait(py, timeout, wait_for)? {
            handle::await_requests(py);
            return self.points(py, database);
        }
        let points = arrived(&self.0);
        Err(self.timed_out(format!("{points} of {count} points after {timeout} s")))
    }

    /// Waits until there were at least ``count`` requests. A request that a fault leaves without a
    /// response counts when the fault happens.
    ///
    /// :param int count: the number of requests
    /// :param float timeout: the maximum time to wait, in seconds
    /// :returns: the requests, as :meth:`requests` does
    /// :raises TimeoutError: when there were fewer at the end; the message says which
    #[pyo3(signature = (count, timeout=10.0))]
    fn wait_for_requests(
        &self,
        py: Python<'_>,
        count: usize,
        timeout: f64,
    ) -> PyResult<Vec<Request>> {
        if wait(py, timeout, |time| self.0.wait_for_requests(count, time))? {
            return Ok(self.requests());
        }
        Err(self.timed_out(format!("fewer than {count} requests after {timeout} s")))
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

impl Server {
    fn timed_out(&self, what: String) -> PyErr {
        let requests = self.0.requests();
        let newest = requests.iter().skip(requests.len().saturating_sub(5)).map(|request| {
            let status = request.status().map_or("None".to_owned(), |status| status.to_string());
            format!("{} {} {status}", request.method(), request.path())
        });
        let newest: Vec<_> = newest.collect();
        let requests = match newest.is_empty() {
            true => "there was no request".to_owned(),
            false => format!("the newest requests are {}", newest.join(", ")),
        };
        let error = last_error().map(|error| format!("the client says: {error}"));
        let parts = [Some(what), Some(requests), error, self.elsewhere()];
        PyTimeoutError::new_err(parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }

    /// The newest client of the program that does not write to this server.
    fn elsewhere(&self) -> Option<String> {
        let url = self.url();
        let clients = handle::all();
        // The list of all clients has one reference, and this copy of it the other.
        let used = clients.iter().rev().filter(|client| Arc::strong_count(client) > 2);
        let prefix = format!("{url}/");
        let mut cores = used.map(|client| client.core());
        let core = cores.find(|core| !address(core).starts_with(&prefix))?;
        let other = address(core);
        Some(match core.is_enabled() {
            true => format!("a client writes to {other}: give it {url}"),
            false => format!("a client is disabled: make it with url={url:?}"),
        })
    }
}

/// The last error of the installed client, or else of the newest one that has one.
fn last_error() -> Option<String> {
    let installed = handle::installed();
    let others = handle::all();
    let mut clients = installed.iter().chain(others.iter().rev());
    clients.find_map(|client| client.core().stats().last_error)
}

/// Waits, in intervals between which signals are handled.
fn wait(py: Python<'_>, timeout: f64, is_done: impl Fn(Duration) -> bool + Sync) -> PyResult<bool> {
    let started = Instant::now();
    let timeout = duration("timeout", timeout)?;
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        if py.detach(|| is_done(left.min(SIGNAL_INTERVAL))) {
            return Ok(true);
        }
        py.check_signals()?;
        if left <= SIGNAL_INTERVAL {
            return Ok(false);
        }
    }
}

/// The names of the products that a server can play.
#[pyfunction]
pub(crate) fn products() -> Vec<&'static str> {
    testing::Product::ALL.iter().map(|product| product.name()).collect()
}
