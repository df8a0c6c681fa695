//! Which clients' requests have come to their handler.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use super::LONG;

static ENTERED: LazyLock<Mutex<HashSet<SocketAddr>>> = LazyLock::new(Mutex::default);
static NEWS: Condvar = Condvar::new();

/// Called by a handler, with its client's address.
pub(crate) fn note(client: SocketAddr) {
    ENTERED.lock().unwrap_or_else(PoisonError::into_inner).insert(client);
    NEWS.notify_all();
}

/// Waits until the request sent on that connection has come to its handler.
pub(crate) fn wait(connection: &TcpStream) {
    let client = connection.local_addr().expect("connected");
    let entered = ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_missing = |entered: &mut HashSet<SocketAddr>| !entered.contains(&client);
    let (entered, _) =
        NEWS.wait_timeout_while(entered, LONG, is_missing).unwrap_or_else(PoisonError::into_inner);
    assert!(entered.contains(&client), "the request never came to its handler");
}
