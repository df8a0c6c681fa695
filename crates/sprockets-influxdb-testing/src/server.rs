//! The handle that a test holds. One thread accepts connections; each connection has a thread of
//! its own.

use std::fmt;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::dialect::Auth;
use crate::exchange::serve;
use crate::fault::Fault;
use crate::influxdb3::Catalog;
use crate::point::Point;
use crate::product::Product;
use crate::request::Request;
use crate::shared::Shared;
use crate::store::Database;

/// An InfluxDB server in this process, on its own port, that stores points and fails on command.
///
/// It has the write APIs of InfluxDB 1.x (`/write`), 2.x (`/api/v2/write`) and 3.x
/// (`/api/v3/write_lp`), each with its own errors, and `/ping` and `/health`. By default the first
/// write creates a database, anyone may write, and nothing fails. All methods may be called at any
/// time, from any thread.
///
/// Dropping it stops it: it closes all connections, including those that a fault holds, and ends
/// its threads. In a forked child dropping it has no effect on the server of the parent.
pub struct Server {
    address: SocketAddr,
    /// The process that has the threads.
    process: u32,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Starts a server on a free port of the loopback interface.
    ///
    /// # Panics
    ///
    /// If no port or thread is available.
    #[must_use = "the server stops when it is dropped"]
    pub fn start() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("the address of a bound listener");
        let process = process::id();
        let server = Self { address, process, shared: Arc::default(), acceptor: Mutex::default() };
        server.listen(listener);
        server
    }

    /// Starts a server that plays a product; see [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// If there is no port or thread to be had.
    #[must_use = "the server stops when it is dropped"]
    pub fn start_as(product: Product) -> Self {
        let server = Self::start();
        server.play(product);
        server
    }

    /// Plays another product from the next request on. What is stored stays.
    ///
    /// A played InfluxDB 3 has no users: of [`require_basic`](Self::require_basic) the password is
    /// the token. It does not heed [`only_databases`](Self::only_databases), as writes create them.
    pub fn play(&self, product: Product) {
        self.shared.update(|state| state.settings.product = product);
    }

    /// `http://127.0.0.1:<port>`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the server listens; the same after [`restart`](Self::restart).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port the server listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Closes all connections and refuses new ones. Points and requests stay.
    pub fn stop(&self) {
        if process::id() != self.process {
            return;
        }
        let Some(acceptor) = self.acceptor().take() else { return };
        self.shared.update(|state| {
            state.stopped = true;
            for stream in state.open.drain(..).filter_map(|stream| stream.upgrade()) {
                // The client may have closed it already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        // A connection wakes the acceptor.
        while !acceptor.is_finished() {
            match TcpStream::connect(self.address) {
                Err(error) if error.kind() != ErrorKind::ConnectionRefused => thread::yield_now(),
                _ => break,
            }
        }
        // It fails only if a predicate of the test has panicked, which was reported there.
        let _ = acceptor.join();
    }

    /// Starts again on the same port with the same data; stops first if it runs.
    ///
    /// # Panics
    ///
    /// If another process has taken the port.
    pub fn restart(&self) {
        self.stop();
        let listener = TcpListener::bind(self.address).expect("the server's port is free");
        self.shared.update(|state| state.stopped = false);
        self.listen(listener);
    }

    /// Accepts only this user, with `Basic` authentication (on v1 also `u` and `p` in the query).
    pub fn require_basic(&self, user: impl Into<String>, password: impl Into<String>) {
        let auth = Auth::Basic { user: user.into(), password: password.into() };
        self.shared.update(|state| state.settings.auth = auth);
    }

    /// Accepts only this token, with `Token` or `Bearer` authentication; on v1 with
    /// `Token`, or as the password of any user.
    pub fn require_token(&self, token: impl Into<String>) {
        let auth = Auth::Token(token.into());
        self.shared.update(|state| state.settings.auth = auth);
    }

    /// Accepts everyone, which is the default.
    pub fn require_nothing(&self) {
        self.shared.update(|state| state.settings.auth = Auth::Anyone);
    }

    /// Accepts writes to these databases (or buckets) only, and replies 404 to others.
    pub fn only_databases<I>(&self, databases: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let databases = databases.into_iter().map(Into::into).collect();
        self.shared.update(|state| state.settings.databases = Some(databases));
    }

    /// Accepts writes to any database, which is the default.
    pub fn any_database(&self) {
        self.shared.update(|state| state.settings.databases = None);
    }

    /// Replies 413 to bodies of more than this many bytes on the wire; `None` removes the limit.
    ///
    /// Like influxd, it replies before it reads the body, and closes the connection if the body is
    /// longer than 256 KiB.
    pub fn max_body_size(&self, bytes: impl Into<Option<usize>>) {
        let bytes = bytes.into();
        self.shared.update(|state| state.settings.max_body_size = bytes);
    }

    /// Needs no token for these paths when it plays InfluxDB 3, like that server's
    /// `--disable-authz`. By default all of its paths need one.
    pub fn open_paths<I>(&self, paths: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let paths = paths.into_iter().map(Into::into).collect();
        self.shared.update(|state| state.settings.open_paths = paths);
    }

    /// Creates an empty database when it plays InfluxDB 3. A write creates it as well.
    pub fn create_database(&self, name: &str) {
        self.shared.update(|state| state.catalog.create(name));
    }

    /// The databases that a played InfluxDB 3 lists, ascending, without `_internal`; unlike
    /// [`databases`](Self::databases) those without a point too.
    pub fn created_databases(&self) -> Vec<String> {
        self.shared.lock().catalog.databases().map(str::to_owned).collect()
    }

    /// The tables of a database that a played InfluxDB 3 cannot read any more: those with a row of
    /// duplicate tags, and those none of whose lines was ever accepted. Their points are not in
    /// [`points`](Self::points).
    pub fn unreadable_tables(&self, database: &str) -> Vec<String> {
        self.shared.lock().catalog.unreadable_tables(database)
    }

    /// Handles this path like `/write`, as behind a proxy.
    pub fn write_path(&self, path: impl Into<String>) {
        let path = path.into();
        self.shared.update(|state| state.settings.write_paths.insert(path));
    }

    /// Injects a fault into the next matching write, or into as many as it says. Faults wait in a
    /// queue: of those that match a write, the one injected first happens.
    pub fn inject(&self, fault: Fault) {
        self.shared.update(|state| state.faults.inject(fault));
    }

    /// Injects a fault into every matching write, until [`clear_faults`](Self::clear_faults).
    pub fn inject_always(&self, fault: Fault) {
        self.shared.update(|state| state.faults.inject_always(fault));
    }

    /// Removes all faults, and resets the connections in a black hole.
    pub fn clear_faults(&self) {
        self.shared.update(|state| state.faults.clear());
    }

    /// The points of a database, by time, then measurement, then tags. Empty for a database never
    /// written to.
    pub fn points(&self, database: &str) -> Vec<Point> {
        self.shared.lock().databases.get(database).map(Database::points).unwrap_or_default()
    }

    /// The number of points in a database. Lines of the same series and timestamp are one point.
    pub fn count(&self, database: &str) -> usize {
        self.shared.lock().databases.get(database).map_or(0, Database::count)
    }

    /// The number of lines stored in a database, including those that overwrote a point: a line
    /// that was sent twice counts twice.
    pub fn lines_received(&self, database: &str) -> usize {
        self.shared.lock().databases.get(database).map_or(0, Database::lines_received)
    }

    /// The names of the databases that have points, ascending.
    pub fn databases(&self) -> Vec<String> {
        let state = self.shared.lock();
        let filled = state.databases.iter().filter(|(_, database)| database.count() > 0);
        filled.map(|(name, _)| name.clone()).collect()
    }

    /// Every request since the start, in the order of the replies.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The [`requests`](Self::requests) that were writes.
    pub fn writes(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.database().is_some());
        requests
    }

    /// The number of accepted connections.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Removes points, field types, requests and counts. Settings and faults stay.
    pub fn clear(&self) {
        self.shared.update(|state| {
            state.databases.clear();
            state.catalog = Catalog::default();
            state.requests.clear();
            state.connections = 0;
        });
    }

    /// Waits until a database has at least this many points. Returns false at the timeout.
    pub fn wait_for_points(&self, database: &str, points: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |server| server.count(database) >= points)
    }

    /// Waits until there were at least this many requests of any kind. A request without a reply
    /// counts when its fault happens. Returns false at the timeout.
    pub fn wait_for_requests(&self, requests: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |server| server.shared.lock().requests.len() >= requests)
    }

    /// Waits until a condition holds, which is checked now and after each change in the server.
    /// Returns false at the timeout.
    pub fn wait_until(&self, timeout: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let seen = self.shared.lock().version;
            if condition(self) {
                return true;
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                return false;
            }
            self.shared.sleep_while(left, |state| state.version == seen);
        }
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("influxdb-accept".into());
        let acceptor = thread.spawn(move || accept(&shared, listener)).expect("a thread");
        *self.acceptor() = Some(acceptor);
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Server")
            .field("url", &self.url())
            .field("stopped", &state.stopped)
            .field("databases", &state.databases.keys())
            .field("requests", &state.requests.len())
            .field("connections", &state.connections)
            .finish_non_exhaustive()
    }
}

/// Accepts until the server stops; then closes the listener and waits for the threads of all
/// connections.
fn accept(shared: &Shared, listener: TcpListener) {
    thread::scope(move |scope| {
        for stream in listener.incoming() {
            let Some(stream) = shared.admit(stream) else { break };
            let Ok(stream) = stream else {
                // Probably there are no file descriptors; connections that end free some.
                shared.pause(Duration::from_millis(10));
                continue;
            };
            let thread = thread::Builder::new().name("influxdb-connection".into());
            // Without a thread the connection is dropped, which the client sees.
            let _ = thread.spawn_scoped(scope, move || serve(shared, stream));
        }
    });
}
