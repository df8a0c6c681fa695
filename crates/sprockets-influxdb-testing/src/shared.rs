//! The state that the test and the server's threads share. One lock guards it, and one condition
//! variable announces every change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::dialect::Auth;
use crate::fault_queue::FaultQueue;
use crate::influxdb3::Catalog;
use crate::product::Product;
use crate::request::Request;
use crate::store::Database;

/// The state, its lock, and its condition variable.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) faults: FaultQueue,
    pub(crate) databases: BTreeMap<String, Database>,
    /// What a played InfluxDB 3 knows.
    pub(crate) catalog: Catalog,
    pub(crate) requests: Vec<Request>,
    pub(crate) connections: usize,
    /// The open connections, so that the server can close them. Weak, because only its own thread
    /// drops a connection.
    pub(crate) open: Vec<Weak<TcpStream>>,
    pub(crate) stopped: bool,
    /// Grows with every change.
    pub(crate) version: u64,
}

#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) product: Product,
    pub(crate) auth: Auth,
    pub(crate) databases: Option<BTreeSet<String>>,
    pub(crate) max_body_size: Option<usize>,
    pub(crate) write_paths: BTreeSet<String>,
    /// Of a played InfluxDB 3, the paths that need no token.
    pub(crate) open_paths: BTreeSet<String>,
}

impl Shared {
    /// Ignores poisoning: each change is one step, so a panic leaves a valid state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.announce(state);
        result
    }

    /// Ends a change of the state.
    pub(crate) fn announce(&self, mut state: MutexGuard<'_, State>) {
        state.version += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Sleeps. Returns false, at once, if the server stops.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        self.sleep_while(time, |state| !state.stopped);
        !self.lock().stopped
    }

    /// Waits until the faults have been cleared more than this many times, or the server stops.
    pub(crate) fn wait_until_cleared(&self, cleared: usize) {
        self.sleep_while(Duration::MAX, |state| {
            !state.stopped && state.faults.cleared() == cleared
        });
    }

    /// Sleeps while the condition holds, at most this long.
    pub(crate) fn sleep_while(&self, time: Duration, condition: impl Fn(&State) -> bool) {
        let slept = self.changed.wait_timeout_while(self.lock(), time, |state| condition(state));
        drop(slept.unwrap_or_else(PoisonError::into_inner));
    }

    /// Registers a new connection. `None` if the server has stopped.
    pub(crate) fn admit(
        &self,
        stream: io::Result<TcpStream>,
    ) -> Option<io::Result<Arc<TcpStream>>> {
        self.update(|state| {
            if state.stopped {
                return None;
            }
            Some(stream.map(|stream| {
                // A failure only makes it slower.
                let _ = stream.set_nodelay(true);
                let stream = Arc::new(stream);
                state.connections += 1;
                state.open.retain(|open| open.strong_count() > 0);
                state.open.push(Arc::downgrade(&stream));
                stream
            }))
        })
    }
}
