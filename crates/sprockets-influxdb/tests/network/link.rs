//! One connection through the proxy: a thread for each way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::proxy::{Fault, Shared};

/// More than a socket takes of what nobody reads.
const PIECE: usize = 64 * 1024;

pub(crate) struct Link {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    own: Option<Fault>,
    /// The server has said something to the request under way.
    is_answered: AtomicBool,
    /// Nothing that is said on it arrives any more.
    is_forgotten: AtomicBool,
    /// The client is to see a reset: no end in order. A socket that is closed while there is something in it that nobody
    /// has read resets.
    is_reset: AtomicBool,
    /// The server has ended it, or somebody here has.
    is_over: AtomicBool,
}

impl Link {
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
        let link = self.clone();
        // What fails has failed for both ends, and they find out by themselves.
        thread::spawn(move || {
            if link.carry_requests().is_err() {
                link.close();
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

    /// Ends it with something of the client's left unread.
    fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
        self.close();
    }

    fn carry_requests(&self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut passed = 0;
        loop {
            let there = self.client.peek(&mut piece)?;
            let Some(fault) = self.shared.fault(self.own.as_ref()) else { return Ok(()) };
            if there == 0 {
                return match self.is_forgotten.load(Ordering::SeqCst) {
                    true => Ok(()),
                    false => self.server.shutdown(Shutdown::Write),
                };
            }
            let most = match fault {
                Fault::Forget(after) | Fault::Stall(after) | Fault::ResetRequest(after) => {
                    there.min(after.saturating_sub(passed))
                }
                _ => there,
            };
            if let Fault::Delay(time) = fault {
                self.shared.see(|seen| seen.spoilt += 1);
                self.shared.pause(time);
            }
            let is_forgotten = self.is_forgotten.load(Ordering::SeqCst);
            if fault == Fault::ResetReply && !is_forgotten {
                return self.leave_unread(&mut piece);
            }
            if is_forgotten {
                (&self.client).read_exact(&mut piece[..there])?;
                continue;
            }
            (&self.client).read_exact(&mut piece[..most])?;
            self.pass_on(&piece[..most])?;
            passed += most;
            if most == there {
                continue;
            }
            self.shared.see(|seen| seen.spoilt += 1);
            match fault {
                Fault::Forget(_) => self.is_forgotten.store(true, Ordering::SeqCst),
                Fault::Stall(_) => return Ok(()),
                _ => break,
            }
        }
        self.reset();
        Ok(())
    }

    /// Passes on a request, but leaves it unread, so that the client sees a reset when the server has answered.
    fn leave_unread(&self, piece: &mut [u8]) -> io::Result<()> {
        let mut passed = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let there = self.client.peek(piece)?;
            if there > passed {
                self.pass_on(&piece[passed..there])?;
                passed = there;
            } else if there == 0 {
                return self.server.shutdown(Shutdown::Write);
            }
            // Nothing tells of more where there is something already.
            self.shared.look_up();
        }
        Ok(())
    }

    fn pass_on(&self, piece: &[u8]) -> io::Result<()> {
        if piece.starts_with(b"POST ") {
            self.is_answered.store(false, Ordering::SeqCst);
            self.shared.see(|seen| seen.requests += 1);
        }
        (&self.server).write_all(piece)
    }

    fn carry_replies(&self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let there = (&self.server).read(&mut piece)?;
            let Some(fault) = self.shared.fault(self.own.as_ref()) else { return Ok(()) };
            if there == 0 {
                self.is_over.store(true, Ordering::SeqCst);
                let says_so = !self.is_forgotten.load(Ordering::SeqCst)
                    && !self.is_reset.load(Ordering::SeqCst);
                return if says_so { self.client.shutdown(Shutdown::Write) } else { Ok(()) };
            }
            let reply = &piece[..there];
            if self.is_forgotten.load(Ordering::SeqCst) {
                continue;
            }
            // Consent to a large body is no reply.
            if reply.starts_with(b"HTTP/1.1 100") {
                (&self.client).write_all(reply)?;
                continue;
            }
            if !self.is_answered.swap(true, Ordering::SeqCst) {
                self.shared.see(|seen| seen.replies += 1);
            }
            if !matches!(fault, Fault::None | Fault::Delay(_)) {
                self.shared.see(|seen| seen.spoilt += 1);
            }
            match fault {
                Fault::ResetReply => break,
                Fault::CutReply(after) => {
                    (&self.client).write_all(&reply[..there.min(after)])?;
                    self.close();
                    return Ok(());
                }
                Fault::DripReply(time) => self.drip(reply, time)?,
                Fault::Garble(instead) => (&self.client).write_all(instead)?,
                Fault::RepeatReply => (&self.client).write_all(&reply.repeat(2))?,
                Fault::Delay(time) => {
                    self.shared.pause(time);
                    (&self.client).write_all(reply)?;
                }
                _ => (&self.client).write_all(reply)?,
            }
        }
        self.reset();
        Ok(())
    }

    fn drip(&self, reply: &[u8], time: Duration) -> io::Result<()> {
        reply.iter().try_for_each(|byte| {
            self.shared.pause(time);
            (&self.client).write_all(std::slice::from_ref(byte))
        })
    }
}
