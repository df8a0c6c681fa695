//! One connection through the proxy, with a thread for each direction.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use test_support::tcp::pump;

use super::proxy::{Fault, Shared};

pub(crate) struct Connection {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    own: Option<Fault>,
    /// The server has begun to reply to the current request.
    is_answered: AtomicBool,
    /// Nothing that is sent on it arrives any more.
    is_forgotten: AtomicBool,
    /// The client is to see a reset. A socket resets when it is closed with unread bytes in it, so
    /// nothing shuts it down.
    is_reset: AtomicBool,
    /// The server or the proxy has closed it.
    is_over: AtomicBool,
}

impl Connection {
    pub(crate) fn new(
        client: TcpStream,
        server: TcpStream,
        shared: Arc<Shared>,
        own: Option<Fault>,
    ) -> io::Result<Self> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (is_answered, is_forgotten, is_reset, is_over) = Default::default();
        Ok(Self { client, server, shared, own, is_answered, is_forgotten, is_reset, is_over })
    }

    pub(crate) fn carry(self: Arc<Self>) {
        let connection = self.clone();
        // Both ends notice an error by themselves once the connection is closed.
        thread::spawn(move || {
            if connection.carry_requests().is_err() {
                connection.close();
            }
        });
        thread::spawn(move || {
            if self.carry_replies().is_err() {
                self.close();
            }
        });
    }

    pub(crate) fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if !self.is_reset.load(Ordering::SeqCst) {
            let _ = self.client.shutdown(Shutdown::Both);
        }
        let _ = self.server.shutdown(Shutdown::Both);
    }

    /// Ends it with a reset of the client's side, provided that bytes of the client are unread.
    fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
        self.close();
    }

    fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::SeqCst)
    }

    fn carry_requests(&self) -> io::Result<()> {
        let mut passed = 0;
        pump(&self.client, |piece| {
            let Some(fault) = self.shared.fault(self.own.as_ref()) else { return Ok(0) };
            if piece.is_empty() {
                if !self.is_forgotten() {
                    self.server.shutdown(Shutdown::Write)?;
                }
                return Ok(0);
            }
            if let Fault::Delay(time) = fault {
                self.shared.count(|counts| counts.affected += 1);
                self.shared.pause(time);
            }
            if self.is_forgotten() {
                return Ok(piece.len());
            }
            if fault == Fault::ResetReply {
                self.leave_unread()?;
                return Ok(0);
            }
            let most = match fault {
                Fault::Forget(after) | Fault::Stall(after) | Fault::ResetRequest(after) => {
                    piece.len().min(after.saturating_sub(passed))
                }
                _ => piece.len(),
            };
            self.pass_on(&piece[..most])?;
            passed += most;
            if most == piece.len() {
                return Ok(most);
            }
            self.shared.count(|counts| counts.affected += 1);
            match fault {
                Fault::Forget(_) => {
                    self.is_forgotten.store(true, Ordering::SeqCst);
                    Ok(piece.len())
                }
                Fault::Stall(_) => Ok(most),
                _ => {
                    self.reset();
                    Ok(most)
                }
            }
        })
    }

    /// Passes on a request, but leaves it in the client's socket, so that the client sees a reset
    /// after the server has replied.
    fn leave_unread(&self) -> io::Result<()> {
        let (mut piece, mut passed) = (vec![0; 64 << 10], 0);
        while !self.is_over.load(Ordering::SeqCst) {
            let length = self.client.peek(&mut piece)?;
            if length > passed {
                self.pass_on(&piece[passed..length])?;
                passed = length;
            } else if length == 0 {
                return self.server.shutdown(Shutdown::Write);
            }
            // A socket with unread bytes does not announce more of them.
            self.shared.wait_briefly();
        }
        Ok(())
    }

    fn pass_on(&self, piece: &[u8]) -> io::Result<()> {
        if piece.starts_with(b"POST ") {
            self.is_answered.store(false, Ordering::SeqCst);
            self.shared.count(|counts| counts.requests += 1);
        }
        (&self.server).write_all(piece)
    }

    fn carry_replies(&self) -> io::Result<()> {
        let mut client = &self.client;
        pump(&self.server, |reply| {
            let Some(fault) = self.shared.fault(self.own.as_ref()) else { return Ok(0) };
            if reply.is_empty() {
                self.is_over.store(true, Ordering::SeqCst);
                if !self.is_forgotten() && !self.is_reset.load(Ordering::SeqCst) {
                    client.shutdown(Shutdown::Write)?;
                }
                return Ok(0);
            }
            if self.is_forgotten() {
                return Ok(reply.len());
            }
            // "100 Continue" is not a reply yet.
            if reply.starts_with(b"HTTP/1.1 100") {
                client.write_all(reply)?;
                return Ok(reply.len());
            }
            if !self.is_answered.swap(true, Ordering::SeqCst) {
                self.shared.count(|counts| counts.replies += 1);
            }
            if !matches!(fault, Fault::None | Fault::Delay(_)) {
                self.shared.count(|counts| counts.affected += 1);
            }
            match fault {
                Fault::ResetReply => {
                    self.reset();
                    return Ok(0);
                }
                Fault::CutReply(after) => {
                    client.write_all(&reply[..reply.len().min(after)])?;
                    self.close();
                    return Ok(0);
                }
                Fault::DripReply(time) => self.drip(reply, time)?,
                Fault::Garble(instead) => client.write_all(instead)?,
                Fault::RepeatReply => client.write_all(&reply.repeat(2))?,
                Fault::Delay(time) => {
                    self.shared.pause(time);
                    client.write_all(reply)?;
                }
                _ => client.write_all(reply)?,
            }
            Ok(reply.len())
        })
    }

    fn drip(&self, reply: &[u8], time: Duration) -> io::Result<()> {
        reply.iter().try_for_each(|byte| {
            self.shared.pause(time);
            (&self.client).write_all(std::slice::from_ref(byte))
        })
    }
}
