//! The proxy between the processes and the server. It makes the server slow or unreachable, cuts
//! connections, and holds a request or a reply so that a process can be killed at that instant.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use test_support::tcp::{listen, pump};

/// The state of the server, as the processes see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Up,
    /// Each piece is delayed by this time.
    Slow(Duration),
    /// One piece of this many cuts its connection.
    Cutting(u32),
    /// Connections are closed at once.
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A piece of a request has reached the proxy.
    Request,
    /// The server has replied, and the process has not received it.
    Reply,
    /// The reply is on its way to the process.
    Replied,
}

/// Stops its direction of the connection until it is dropped.
pub(crate) struct Hold(#[expect(dead_code, reason = "dropping it has the effect")] Sender<()>);

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    network: Network,
    trap: Option<(Moment, Sender<Hold>)>,
}

impl Proxy {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let state = Arc::new(Mutex::new(State { network: Network::Up, trap: None }));
        let shared = state.clone();
        let address = listen(move |client| connect(client, server, &shared));
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, network: Network) {
        lock(&self.state).network = network;
    }

    /// Holds the next request or reply, once.
    pub(crate) fn trap(&self, moment: Moment) -> Receiver<Hold> {
        let (sender, receiver) = channel();
        lock(&self.state).trap = Some((moment, sender));
        receiver
    }

    pub(crate) fn disarm(&self) {
        lock(&self.state).trap = None;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("the proxy's state")
}

fn connect(client: TcpStream, server: SocketAddr, state: &Arc<Mutex<State>>) -> io::Result<()> {
    if lock(state).network == Network::Down {
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let shared = state.clone();
    thread::spawn(move || carry(&from_client, &to_server, true, &shared));
    carry(&server, &client, false, state);
    Ok(())
}

/// Carries one direction of a connection, and closes both when it ends.
fn carry(from: &TcpStream, to: &TcpStream, is_request: bool, state: &Mutex<State>) {
    // Whatever fails, both ends see a closed connection.
    let _ = pump(from, |piece| {
        let network = lock(state).network;
        match network {
            Network::Slow(delay) if !piece.is_empty() => thread::sleep(delay),
            Network::Cutting(one) if fastrand::u32(..one) == 0 => return Ok(0),
            Network::Down => return Ok(0),
            _ => {}
        }
        if piece.is_empty() {
            return Ok(0);
        }
        hold(state, if is_request { Moment::Request } else { Moment::Reply });
        (&*to).write_all(piece)?;
        if !is_request {
            hold(state, Moment::Replied);
        }
        Ok(piece.len())
    });
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn hold(state: &Mutex<State>, moment: Moment) {
    let trap = lock(state).trap.take_if(|(trapped, _)| *trapped == moment);
    let Some((_, sender)) = trap else { return };
    let (hold, held) = channel();
    if sender.send(Hold(hold)).is_ok() {
        // Returns when the hold is dropped.
        let _ = held.recv();
    }
}
