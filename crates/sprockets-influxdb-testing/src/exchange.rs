//! Handles the requests of one connection, with their faults. A request is recorded before its
//! reply is sent, so a test that has seen the reply also finds the record.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;

use crate::batch::{Batch, Terms};
use crate::dialect::{Dialect, MAX_BODY, json_reply, text};
use crate::fault::{Action, Fault, Manner, Stage, Taken};
use crate::http::{Connection, Ending, Framing, Head, Reply};
use crate::lines::lines;
use crate::request::{Record, Request};
use crate::shared::Shared;

/// The release that the server claims to be.
const VERSION: &str = "1.8.10";
/// The largest refused body that is read to keep the connection open, as in Go's servers.
const MAX_DRAINED: usize = 256 * 1024;
/// The number of bytes that a truncated reply lacks.
const MISSING: usize = 64;

/// What happens to the connection after a request.
enum Next {
    Request,
    Close,
    Reset,
}

impl Next {
    fn after(keep_alive: bool) -> Self {
        if keep_alive { Next::Request } else { Next::Close }
    }
}

/// Serves a connection until one side ends it.
pub(crate) fn serve(shared: &Shared, stream: Arc<TcpStream>) {
    let mut connection = Connection::new(stream);
    loop {
        match exchange(shared, &mut connection) {
            Ok(Next::Request) => {}
            Ok(Next::Close) => return connection.close(),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let reply =
                    text(400, format!("400 Bad Request: {error}")).encode(Ending::default());
                // The client may be gone. Draining avoids a reset, which could lose the reply.
                let _ = connection.write(&reply);
                let _ = connection.close_write_side();
                let _ = connection.drain();
                return;
            }
            Ok(Next::Reset) | Err(_) => return,
        }
    }
}

fn exchange(shared: &Shared, connection: &mut Connection) -> io::Result<Next> {
    let head = Head::read(connection)?;
    let dialect = match head.path.as_str() {
        "/write" => Some(Dialect::V1),
        "/api/v2/write" => Some(Dialect::V2),
        "/api/v3/write_lp" => Some(Dialect::V3),
        path => shared.lock().settings.write_paths.contains(path).then_some(Dialect::V1),
    };
    match dialect {
        Some(dialect) if head.method == "POST" => {
            let terms = Terms::new(dialect, &head);
            Write { shared, connection, head, dialect, terms }.run()
        }
        dialect => answer_other(shared, connection, head, dialect),
    }
}

/// Handles everything that is not a write.
fn answer_other(
    shared: &Shared,
    connection: &mut Connection,
    mut head: Head,
    dialect: Option<Dialect>,
) -> io::Result<Next> {
    proceed(connection, &mut head)?;
    let Some(body) = head.read_body(connection, MAX_BODY)? else { return Ok(Next::Close) };
    let reply = match (head.method.as_str(), head.path.as_str(), dialect) {
        (_, _, Some(dialect)) => dialect.error(405, "Method Not Allowed").header("Allow", "POST"),
        ("GET" | "HEAD", "/ping", _) => Reply::new(204),
        ("GET" | "HEAD", "/health", _) => {
            let health = json!({ "name": "influxdb", "status": "pass", "version": VERSION });
            json_reply(200, &health)
        }
        _ => text(404, "404 page not found\n"),
    };
    let ending = Ending {
        keep_alive: head.keep_alive,
        head_only: head.method == "HEAD",
        ..Ending::default()
    };
    let next = Next::after(head.keep_alive);
    let wire_length = body.len();
    let status = Some(reply.status);
    let record = Record { head, database: None, body, wire_length, lines: 0, status };
    shared.update(|state| state.requests.push(record.into()));
    connection.write(&identified(reply).encode(ending))?;
    Ok(next)
}

fn proceed(connection: &Connection, head: &mut Head) -> io::Result<()> {
    match std::mem::take(&mut head.expects_continue) {
        true => connection.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
        false => Ok(()),
    }
}

/// Adds the headers of every reply.
fn identified(reply: Reply) -> Reply {
    reply
        .header("Date", httpdate::fmt_http_date(SystemTime::now()))
        .header("X-Influxdb-Version", VERSION)
}

/// A write whose head is read and whose body is not.
struct Write<'a> {
    shared: &'a Shared,
    connection: &'a mut Connection,
    head: Head,
    dialect: Dialect,
    terms: Result<Terms, Reply>,
}

impl Write<'_> {
    fn run(mut self) -> io::Result<Next> {
        let taken = self.shared.lock().faults.take(self.database(), None);
        let mut limit = MAX_BODY;
        if taken.as_ref().is_none_or(|taken| taken.fault.is_ordinary()) {
            if let Some(reply) = self.refusal() {
                let fault = taken.map_or_else(Fault::ordinary, |taken| taken.fault);
                return self.refuse(reply, &fault);
            }
            limit = self.shared.lock().settings.max_body_size.unwrap_or(MAX_BODY);
        }
        if let Some(taken) = &taken {
            if let Some(next) = self.fail_early(taken)? {
                return Ok(next);
            }
        }
        self.proceed()?;
        match self.head.read_body(self.connection, limit)? {
            Some(wire) => self.finish(wire, taken),
            None => self.hang_up_with(self.dialect.too_large(limit), &Fault::ordinary()),
        }
    }

    /// The reply to a request that is refused because of its head.
    fn refusal(&self) -> Option<Reply> {
        let state = self.shared.lock();
        let settings = &state.settings;
        if let Some(reply) = settings.auth.refusal(self.dialect, &self.head) {
            return Some(reply);
        }
        let database = match &self.terms {
            Ok(terms) => &terms.database,
            Err(reply) => return Some(reply.clone()),
        };
        if settings.databases.as_ref().is_some_and(|known| !known.contains(database)) {
            return Some(self.dialect.database_not_found(database));
        }
        match (self.head.framing, settings.max_body_size) {
            (Framing::Length(length), Some(limit)) if length > limit => {
                Some(self.dialect.too_large(limit))
            }
            _ => None,
        }
    }

    /// Replies without the body. A short body is read anyway, to keep the connection open.
    fn refuse(&mut self, reply: Reply, fault: &Fault) -> io::Result<Next> {
        let waits_for_us = self.head.expects_continue;
        if waits_for_us || self.head.read_body(self.connection, MAX_DRAINED)?.is_none() {
            return self.hang_up_with(reply, fault);
        }
        self.record_unread(Some(reply.status));
        self.send(reply, fault)
    }

    /// Replies while the client may still be sending, and closes.
    fn hang_up_with(&mut self, reply: Reply, fault: &Fault) -> io::Result<Next> {
        self.record_unread(Some(reply.status));
        self.head.keep_alive = false;
        let next = self.send(reply, fault)?;
        self.connection.close_write_side()?;
        Ok(next)
    }

    /// The faults that happen before the whole body is read.
    fn fail_early(&mut self, taken: &Taken) -> io::Result<Option<Next>> {
        let fault = &taken.fault;
        match (&fault.action, fault.manner) {
            (Action::BlackHole, _) => {
                self.record_unread(None);
                self.shared.wait_until_cleared(taken.cleared);
            }
            (Action::Reset(Stage::BeforeBody), _) => {
                self.record_unread(None);
                self.shared.pause(fault.delay);
            }
            (Action::Reset(Stage::MidBody), _) => {
                self.proceed()?;
                self.head.read_half(self.connection)?;
                self.record_unread(None);
                self.shared.pause(fault.delay);
            }
            (Action::HalfClose, _) => {
                self.proceed()?;
                self.connection.close_write_side()?;
                return Ok(None);
            }
            (_, Manner::BeforeBody) => {
                return match self.scripted(&fault.action) {
                    Some(reply) => self.hang_up_with(reply, fault).map(Some),
                    None => Ok(None),
                };
            }
            _ => return Ok(None),
        }
        Ok(Some(Next::Reset))
    }

    /// Stores, records and replies, as the fault says.
    fn finish(&mut self, wire: Vec<u8>, taken: Option<Taken>) -> io::Result<Next> {
        let wire_length = wire.len();
        let (body, terms) = match self.dialect.decompress(&self.head, wire) {
            Ok(body) => (body, self.terms.clone()),
            Err(reply) => (Vec::new(), Err(reply)),
        };
        let (fault, cleared) = {
            let faults = &mut self.shared.lock().faults;
            let taken = taken.or_else(|| faults.take(self.database(), Some(&body)));
            let cleared = faults.cleared();
            taken.map_or((Fault::ordinary(), cleared), |taken| (taken.fault, taken.cleared))
        };
        let lines = lines(&body).count();
        let batch = match (fault.stores, &terms) {
            (true, Ok(terms)) => Some(Batch::read(terms, &body, fault.rejected_lines())),
            _ => None,
        };

        let mut state = self.shared.lock();
        let ordinary = match (batch, terms) {
            (Some(batch), Ok(terms)) => {
                Some(batch.store(state.databases.entry(terms.database).or_default()))
            }
            (_, Err(reply)) => Some(reply),
            (None, Ok(_)) => None,
        };
        let reply = if fault.is_ordinary() { ordinary } else { self.scripted(&fault.action) };
        let status = reply.as_ref().map(|reply| reply.status);
        state.requests.push(self.record(body, wire_length, lines, status));
        self.shared.announce(state);

        match (reply, &fault.action) {
            (Some(reply), _) => return self.send(reply, &fault),
            (None, _) if !self.shared.pause(fault.delay) => return Ok(Next::Close),
            (None, Action::Raw(bytes)) => self.connection.write(bytes)?,
            (None, Action::HalfClose) => {
                self.connection.close_write_side()?;
                self.connection.drain()?;
            }
            (None, Action::BlackHole) => {
                self.shared.wait_until_cleared(cleared);
                return Ok(Next::Reset);
            }
            (None, Action::Reset(_)) => return Ok(Next::Reset),
            (None, _) => {}
        }
        Ok(Next::Close)
    }

    /// The reply that a fault sends instead of the usual one.
    fn scripted(&self, action: &Action) -> Option<Reply> {
        match action {
            Action::Status(status, body) => Some(Reply::new(*status).body(body.clone())),
            Action::Error(status, message) => Some(self.dialect.error(*status, message)),
            _ => None,
        }
    }

    fn send(&mut self, mut reply: Reply, fault: &Fault) -> io::Result<Next> {
        if !self.shared.pause(fault.delay) {
            return Ok(Next::Close);
        }
        reply.headers.extend(fault.headers.iter().cloned());
        let truncated = fault.manner == Manner::Truncated;
        let keep_alive = self.head.keep_alive && !truncated;
        let missing = if truncated { MISSING } else { 0 };
        let bytes = identified(reply).encode(Ending { keep_alive, missing, head_only: false });
        if let Manner::Drip(interval) = fault.manner {
            for byte in bytes {
                self.connection.write(&[byte])?;
                if !self.shared.pause(interval) {
                    return Ok(Next::Close);
                }
            }
        } else {
            self.connection.write(&bytes)?;
        }
        Ok(Next::after(keep_alive))
    }

    /// Sends "100 Continue" to a client that waits for it.
    fn proceed(&mut self) -> io::Result<()> {
        proceed(self.connection, &mut self.head)
    }

    fn database(&self) -> &str {
        self.dialect.database(&self.head).unwrap_or_default()
    }

    fn record_unread(&self, status: Option<u16>) {
        let record = self.record(Vec::new(), 0, 0, status);
        self.shared.update(|state| state.requests.push(record));
    }

    fn record(
        &self,
        body: Vec<u8>,
        wire_length: usize,
        lines: usize,
        status: Option<u16>,
    ) -> Request {
        let database = Some(self.database().to_owned());
        Record { head: self.head.clone(), database, body, wire_length, lines, status }.into()
    }
}
