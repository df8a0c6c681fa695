//! A TCP proxy between client and server that fails on command. A new fault applies at once, to
//! open connections and to new ones.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use test_support::{LONG, wait_until};

use super::connection::Connection;

/// A fault of the network. Numbers of bytes count from the beginning of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing gets through in either direction, without an error. It arrives when the fault is
    /// over.
    Partition,
    /// Each piece in either direction is delayed by this time.
    Delay(Duration),
    /// After this many bytes of requests everything on the connection is lost, and neither end gets
    /// an error.
    Forget(usize),
    /// After this many bytes of requests nothing more is read from the client.
    Stall(usize),
    /// After this many bytes of requests the connection is reset.
    ResetRequest(usize),
    /// The connection is reset instead of passing on the reply.
    ResetReply,
    /// The connection is closed after this many bytes of the reply.
    CutReply(usize),
    /// The reply arrives byte by byte, each delayed by this time.
    DripReply(Duration),
    /// These bytes arrive instead of the reply.
    Garble(&'static [u8]),
    /// The reply arrives twice.
    RepeatReply,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: usize,
    /// Requests that were passed on, completely or in part.
    pub(crate) requests: usize,
    /// Replies of the server, before any fault.
    pub(crate) replies: usize,
    /// Pieces that a fault affected.
    pub(crate) affected: usize,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The state that the threads of a proxy share. One condition variable announces every change.
pub(crate) struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// Faults of the next connections, one each, instead of the fault of the others.
    next: VecDeque<Fault>,
    listens: bool,
    has_ended: bool,
    counts: Counts,
    open: Vec<Weak<Connection>>,
}

impl Proxy {
    /// Listens on a port below those that the system assigns by itself, so that nobody else takes
    /// it while the proxy has closed it.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = (0..1_000)
            .find_map(|_| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(20_000..32_000))).ok()
            })
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        let (fault, next, counts, open) =
            (Fault::None, VecDeque::new(), Counts::default(), Vec::new());
        let state = State { fault, next, listens: true, has_ended: false, counts, open };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { server, state, changed });
        listen(shared.clone(), listener);
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn inject(&self, fault: Fault) {
        self.shared.update(|state| state.fault = fault);
    }

    /// Injects these faults into the next connections, one each. No other fault applies to them.
    pub(crate) fn inject_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.update(|state| state.next.extend(faults));
    }

    /// Ends all faults, except on connections that are already forgotten.
    pub(crate) fn clear(&self) {
        self.shared.update(|state| {
            state.next.clear();
            state.fault = Fault::None;
        });
        self.listen();
    }

    /// Closes the port and all connections.
    pub(crate) fn refuse(&self) {
        if !std::mem::take(&mut self.shared.lock().listens) {
            return;
        }
        // The listener checks the state at each connection, and is gone when a connection fails.
        wait_until(|| TcpStream::connect(self.address).is_err());
        self.close_all();
    }

    fn listen(&self) {
        if !std::mem::replace(&mut self.shared.lock().listens, true) {
            listen(self.shared.clone(), TcpListener::bind(self.address).expect("the port is ours"));
        }
    }

    fn close_all(&self) {
        let open = std::mem::take(&mut self.shared.lock().open);
        open.iter().filter_map(Weak::upgrade).for_each(|connection| connection.close());
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Waits until the counts meet a condition.
    #[track_caller]
    pub(crate) fn wait_for(&self, is_enough: impl Fn(&Counts) -> bool) {
        let waits = |state: &mut State| !is_enough(&state.counts);
        let (state, _) =
            self.shared.changed.wait_timeout_while(self.shared.lock(), LONG, waits).unwrap();
        let counts = state.counts;
        drop(state);
        assert!(is_enough(&counts), "{counts:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.update(|state| state.has_ended = true);
        self.refuse();
        self.close_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    pub(crate) fn count(&self, note: impl FnOnce(&mut Counts)) {
        self.update(|state| note(&mut state.counts));
    }

    /// The fault for the next piece of a connection that may have a fault of its own. Waits while
    /// that is a partition. `None` when the proxy ends.
    pub(crate) fn fault(&self, own: Option<&Fault>) -> Option<Fault> {
        let mut state = self.lock();
        loop {
            if state.has_ended {
                return None;
            }
            let fault = own.unwrap_or(&state.fault);
            if *fault != Fault::Partition {
                return Some(fault.clone());
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Sleeps, at most until the proxy ends.
    pub(crate) fn pause(&self, time: Duration) {
        let goes_on = |state: &mut State| !state.has_ended;
        drop(self.changed.wait_timeout_while(self.lock(), time, goes_on).unwrap());
    }

    /// Waits a millisecond for a change.
    pub(crate) fn wait_briefly(&self) {
        drop(self.changed.wait_timeout(self.lock(), Duration::from_millis(1)).unwrap());
    }

    fn connect(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = match TcpStream::connect(self.server) {
            Ok(server) => server,
            // The client sees a closed connection.
            Err(error) => return client.shutdown(Shutdown::Both).and(Err(error)),
        };
        let mut state = self.lock();
        let own = state.next.pop_front();
        let connection = Arc::new(Connection::new(client, server, self.clone(), own)?);
        state.open.retain(|connection| connection.strong_count() > 0);
        state.open.push(Arc::downgrade(&connection));
        state.counts.connections += 1;
        drop(state);
        self.changed.notify_all();
        connection.carry();
        Ok(())
    }
}

fn listen(shared: Arc<Shared>, listener: TcpListener) {
    thread::spawn(move || {
        for client in listener.incoming() {
            if !shared.lock().listens {
                return;
            }
            // The client notices a connection that fails.
            let _ = client.and_then(|client| shared.clone().connect(client));
        }
    });
}
