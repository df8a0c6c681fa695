//! The handle that a test holds. One thread accepts connections; each connection has a thread of its
//! own.

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

/// An InfluxDB in this process, on a port of its own, that keeps what it is sent and fails on command.
///
/// It answers the write APIs of InfluxDB 1.x (`/write`), 2.x (`/api/v2/write`) and 3.x (`/api/v3/write_lp`), each in
/// its own words, and `/ping` and `/health`. Databases come into being with the first write, anyone may write, and
/// nothing goes wrong, until told otherwise. All methods may be called at any time, from any thread.
///
/// Dropped, it stops: connections are closed, also those that a fault holds, and its threads are gone. In a forked
/// child it does not: there the server is still the parent's.
pub struct Server {
    address: SocketAddr,
    /// The process whose threads serve.
    process: u32,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Starts a server on a free port of the loopback interface.
    ///
    /// # Panics
    ///
    /// If there is no port or thread to be had.
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

    /// Goes down: closes all connections, and refuses new ones. What is stored and recorded stays.
    pub fn stop(&self) {
        if process::id() != self.process {
            return;
        }
        let Some(acceptor) = self.acceptor().take() else { return };
        self.shared.update(|state| {
            state.stopped = true;
            for stream in state.open.drain(..).filter_map(|stream| stream.upgrade()) {
                // One that the client has closed already is as good.
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        // The acceptor looks up when someone connects.
        while !acceptor.is_finished() {
            match TcpStream::connect(self.address) {
                Err(error) if error.kind() != ErrorKind::ConnectionRefused => thread::yield_now(),
                _ => break,
            }
        }
        // It can only have failed with a panic of the test's own predicate, which was reported where it happened.
        let _ = acceptor.join();
    }

    /// Comes up again on the same port, with everything it had; stops first if it is up.
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

    /// Admits only this user, with `Basic` authentication (on v1 also `u` and `p` in the query).
    pub fn require_basic(&self, user: impl Into<String>, password: impl Into<String>) {
        let auth = Auth::Basic { user: user.into(), password: password.into() };
        self.shared.update(|state| state.settings.auth = auth);
    }

    /// Admits only the holder of this token, with `Token` or `Bearer` authentication; on v1 with `Token`, or as the
    /// password of any user.
    pub fn require_token(&self, token: impl Into<String>) {
        let auth = Auth::Token(token.into());
        self.shared.update(|state| state.settings.auth = auth);
    }

    /// Admits everyone, as at the start.
    pub fn require_nothing(&self) {
        self.shared.update(|state| state.settings.auth = Auth::Anyone);
    }

    /// Takes writes to these databases (or buckets) only, and answers 404 to others.
    pub fn only_databases<I>(&self, databases: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let databases = databases.into_iter().map(Into::into).collect();
        self.shared.update(|state| state.settings.databases = Some(databases));
    }

    /// Takes writes to any database, as at the start.
    pub fn any_database(&self) {
        self.shared.update(|state| state.settings.databases = None);
    }

    /// Answers 413 to bodies that have more bytes than this on the wire; `None` lifts the limit.
    ///
    /// As influxd does, it answers before it reads the body, and closes the connection if the body is longer than
    /// 256 KiB.
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

    /// Treats this path like `/write`, as behind a proxy.
    pub fn write_path(&self, path: impl Into<String>) {
        let path = path.into();
        self.shared.update(|state| state.settings.write_paths.insert(path));
    }

    /// Lets a fault happen to the next write that it fits, or to as many as it says. Faults wait in a queue: of those
    /// that fit a write, the one injected first happens.
    pub fn inject(&self, fault: Fault) {
        self.shared.update(|state| state.faults.inject(fault));
    }

    /// Lets a fault happen to every write that it fits, until [`clear_faults`](Self::clear_faults).
    pub fn inject_always(&self, fault: Fault) {
        self.shared.update(|state| state.faults.inject_always(fault));
    }

    /// Forgets all faults, and resets the connections that are in a black hole.
    pub fn clear_faults(&self) {
        self.shared.update(|state| state.faults.clear());
    }

    /// The points of a database, by time, then measurement, then tags. Empty for a database never written to.
    pub fn points(&self, database: &str) -> Vec<Point> {
        self.shared.lock().databases.get(database).map(Database::points).unwrap_or_default()
    }

    /// How many points a database has. Lines of the same series and timestamp are one point.
    pub fn count(&self, database: &str) -> usize {
        self.shared.lock().databases.get(database).map_or(0, Database::count)
    }

    /// How many lines a database was sent and has stored, counting those that overwrote a point: what was sent twice
    /// counts twice.
    pub fn lines_received(&self, database: &str) -> usize {
        self.shared.lock().databases.get(database).map_or(0, Database::lines_received)
    }

    /// The names of the databases that have points, ascending.
    pub fn databases(&self) -> Vec<String> {
        let state = self.shared.lock();
        let filled = state.databases.iter().filter(|(_, database)| database.count() > 0);
        filled.map(|(name, _)| name.clone()).collect()
    }

    /// Every request since the start, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The [`requests`](Self::requests) that were writes.
    pub fn writes(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.database().is_some());
        requests
    }

    /// How many connections were accepted. Fewer than requests, where clients keep theirs alive.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Forgets points, field types, requests and counts. Settings and faults stay.
    pub fn clear(&self) {
        self.shared.update(|state| {
            state.databases.clear();
            state.catalog = Catalog::default();
            state.requests.clear();
            state.connections = 0;
        });
    }

    /// Waits until a database has at least this many points. False if it has not when the time is up.
    pub fn wait_for_points(&self, database: &str, points: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |server| server.count(database) >= points)
    }

    /// Waits until there were at least this many requests of any kind. A request that is left without an answer
    /// counts from the moment when its fault happens.
    pub fn wait_for_requests(&self, requests: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |server| server.shared.lock().requests.len() >= requests)
    }

    /// Waits until the condition holds. It is looked at now, and again whenever anything changes in the server.
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

/// Accepts until the server stops; then closes the listener and waits for the threads of all connections.
fn accept(shared: &Shared, listener: TcpListener) {
    thread::scope(move |scope| {
        for stream in listener.incoming() {
            let Some(stream) = shared.admit(stream) else { break };
            let Ok(stream) = stream else {
                // Out of file descriptors, most likely: let the connections end some of theirs.
                shared.pause(Duration::from_millis(10));
                continue;
            };
            let thread = thread::Builder::new().name("influxdb-connection".into());
            // Without a thread the connection is dropped, which the client sees.
            let _ = thread.spawn_scoped(scope, move || serve(shared, stream));
        }
    });
}
