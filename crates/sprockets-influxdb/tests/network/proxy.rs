//! The network: a proxy that carries what client and server say to each other, and fails on command. A change of what it
//! does holds at once, for connections that are there and for new ones.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use super::LONG;
use super::link::Link;

/// What the network does. Bytes are counted from the beginning of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing gets through, either way, and nobody is told. What is under way arrives when that is over.
    Partition,
    /// Each piece, of either way, takes that long.
    Delay(Duration),
    /// After so many bytes of requests the connection is forgotten: whatever is said on it is lost, for ever, and neither
    /// end is told.
    Forget(usize),
    /// After so many bytes of requests nothing more is taken from the client.
    Stall(usize),
    /// After so many bytes of requests the connection is reset.
    ResetRequest(usize),
    /// The server has got the request and has answered: the connection is reset instead.
    ResetReply,
    /// The connection ends after so many bytes of the reply.
    CutReply(usize),
    /// The reply comes byte by byte, each after that long.
    DripReply(Duration),
    /// This comes in the reply's place.
    Garble(&'static [u8]),
    /// The reply comes twice.
    RepeatReply,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// Requests that were passed on, at least in part.
    pub(crate) requests: usize,
    /// Replies that the server gave, whatever was made of them.
    pub(crate) replies: usize,
    /// Pieces that suffered a fault.
    pub(crate) spoilt: usize,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the threads of a proxy share: one lock, and one condition variable that announces every change.
pub(crate) struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// What the next connections suffer, for as long as they last, instead of what the others do.
    next: VecDeque<Fault>,
    listens: bool,
    has_ended: bool,
    seen: Seen,
    links: Vec<Weak<Link>>,
}

impl Proxy {
    /// One that listens on a port of its own, which stays its own while it is closed: it is not of those that the system
    /// gives to whoever asks for any.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = (0..1_000)
            .find_map(|_| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(20_000..32_000))).ok()
            })
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        let (fault, next, seen, links) =
            (Fault::None, VecDeque::new(), Seen::default(), Vec::new());
        let state = State { fault, next, listens: true, has_ended: false, seen, links };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { server, state, changed });
        listen(shared.clone(), listener);
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn play(&self, fault: Fault) {
        self.shared.update(|state| state.fault = fault);
    }

    /// Plays these on the next connections, one on each. They suffer nothing else as long as they last.
    pub(crate) fn play_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.update(|state| state.next.extend(faults));
    }

    /// Everything is well again, but for connections that are forgotten.
    pub(crate) fn lift(&self) {
        self.shared.update(|state| {
            state.next.clear();
            state.fault = Fault::None;
        });
        self.listen();
    }

    /// The port is closed, and so are the connections.
    pub(crate) fn refuse(&self) {
        if !std::mem::take(&mut self.shared.lock().listens) {
            return;
        }
        // The listener looks up when someone connects, and is gone when nobody can any more.
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
        self.close_links();
    }

    fn listen(&self) {
        if !std::mem::replace(&mut self.shared.lock().listens, true) {
            listen(self.shared.clone(), TcpListener::bind(self.address).expect("the port is ours"));
        }
    }

    fn close_links(&self) {
        let links = std::mem::take(&mut self.shared.lock().links);
        links.iter().filter_map(Weak::upgrade).for_each(|link| link.close());
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.lock().seen
    }

    /// Waits for something to happen.
    #[track_caller]
    pub(crate) fn await_seen(&self, is_enough: impl Fn(&Seen) -> bool) {
        let waits = |state: &mut State| !is_enough(&state.seen);
        let (state, _) =
            self.shared.changed.wait_timeout_while(self.shared.lock(), LONG, waits).unwrap();
        let seen = state.seen;
        drop(state);
        assert!(is_enough(&seen), "{seen:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.update(|state| state.has_ended = true);
        self.refuse();
        self.close_links();
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

    pub(crate) fn see(&self, note: impl FnOnce(&mut Seen)) {
        self.update(|state| note(&mut state.seen));
    }

    /// What a piece suffers that is to be carried now on a connection with this fault of its own; known when no partition
    /// holds it up any more. None when everything ends.
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

    /// Lets that time pass, unless everything ends.
    pub(crate) fn pause(&self, time: Duration) {
        let goes_on = |state: &mut State| !state.has_ended;
        drop(self.changed.wait_timeout_while(self.lock(), time, goes_on).unwrap());
    }

    /// Waits until something changes, but not for long.
    pub(crate) fn look_up(&self) {
        drop(self.changed.wait_timeout(self.lock(), Duration::from_millis(1)).unwrap());
    }

    fn connect(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = match TcpStream::connect(self.server) {
            Ok(server) => server,
            // The client sees a connection that ends.
            Err(error) => return client.shutdown(Shutdown::Both).and(Err(error)),
        };
        let mut state = self.lock();
        let own = state.next.pop_front();
        let link = Arc::new(Link::new(client, server, self.clone(), own)?);
        state.links.retain(|link| link.strong_count() > 0);
        state.links.push(Arc::downgrade(&link));
        state.seen.connections += 1;
        drop(state);
        self.changed.notify_all();
        link.carry();
        Ok(())
    }
}

fn listen(shared: Arc<Shared>, listener: TcpListener) {
    thread::spawn(move || {
        for client in listener.incoming() {
            if !shared.lock().listens {
                return;
            }
            // One that failed is the client's to notice.
            let _ = client.and_then(|client| shared.clone().connect(client));
        }
    });
}
