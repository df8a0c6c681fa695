//! What stands between victims and server: it makes the server slow, or unreachable, or cuts connections, and tells when a
//! request or a reply passes, so that a victim can be killed at that instant.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How the server is, as victims see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Up,
    /// Each piece takes as long.
    Slow(Duration),
    /// One piece of so many cuts its connection.
    Cutting(u32),
    /// Connections are closed at once.
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A piece of a request is here.
    Request,
    /// The server has replied, and the victim does not know.
    Reply,
    /// The victim has the reply, or will have.
    Replied,
}

/// Nothing goes on for as long as it is there.
pub(crate) struct Hold(#[expect(dead_code, reason = "it is the drop that counts")] Sender<()>);

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    weather: Weather,
    trap: Option<(Moment, Sender<Hold>)>,
}

impl Proxy {
    /// Before a server on this machine, whose port may change.
    pub(crate) fn before(server: Arc<Mutex<SocketAddr>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State { weather: Weather::Up, trap: None }));
        let shared = state.clone();
        // It goes with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&shared).weather == Weather::Down {
                    continue;
                }
                let server = *server.lock().expect("the server's address");
                let Ok(server) = TcpStream::connect(server) else { continue };
                for is_request in [true, false] {
                    let ends = (client.try_clone(), server.try_clone());
                    let (Ok(client), Ok(server)) = ends else { continue };
                    let state = shared.clone();
                    let (from, to) = if is_request { (client, server) } else { (server, client) };
                    thread::spawn(move || carry(from, to, is_request, &state));
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, weather: Weather) {
        lock(&self.state).weather = weather;
    }

    /// Holds up the next request or reply, once.
    pub(crate) fn trap(&self, moment: Moment) -> Receiver<Hold> {
        let (sprung, springs) = channel();
        lock(&self.state).trap = Some((moment, sprung));
        springs
    }

    pub(crate) fn disarm(&self) {
        lock(&self.state).trap = None;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("the proxy's state")
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_request: bool, state: &Mutex<State>) {
    let mut piece = vec![0; 64 << 10];
    let close = |from: &TcpStream, to: &TcpStream| {
        // Either may be closed already.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    };
    loop {
        let read = from.read(&mut piece).unwrap_or(0);
        let weather = lock(state).weather;
        match weather {
            Weather::Slow(delay) if read > 0 => thread::sleep(delay),
            Weather::Cutting(one) if fastrand::u32(..one) == 0 => return close(&from, &to),
            Weather::Down => return close(&from, &to),
            _ => {}
        }
        if read == 0 {
            return close(&from, &to);
        }
        spring(state, if is_request { Moment::Request } else { Moment::Reply });
        if to.write_all(&piece[..read]).is_err() {
            return close(&from, &to);
        }
        if !is_request {
            spring(state, Moment::Replied);
        }
    }
}

fn spring(state: &Mutex<State>, moment: Moment) {
    let trap = lock(state).trap.take_if(|(trapped, _)| *trapped == moment);
    let Some((_, sprung)) = trap else { return };
    let (hold, held) = channel();
    if sprung.send(Hold(hold)).is_ok() {
        // Ends when the hold is dropped.
        let _ = held.recv();
    }
}
