//! Records which clients' requests have reached their handler.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use test_support::LONG;

static ENTERED: LazyLock<Mutex<HashSet<SocketAddr>>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

/// Called by a handler, with its client's address.
pub(crate) fn note(client: SocketAddr) {
    ENTERED.lock().unwrap_or_else(PoisonError::into_inner).insert(client);
    CHANGED.notify_all();
}

/// Waits until the request sent on that connection has reached its handler.
pub(crate) fn wait(connection: &TcpStream) {
    let client = connection.local_addr().expect("connected");
    let entered = ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_missing = |entered: &mut HashSet<SocketAddr>| !entered.contains(&client);
    let (entered, _) = CHANGED
        .wait_timeout_while(entered, LONG, is_missing)
        .unwrap_or_else(PoisonError::into_inner);
    assert!(entered.contains(&client), "the request never reached its handler");
}
