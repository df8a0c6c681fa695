//! One write: reads it, applies a fault, answers. A write is recorded before its reply is sent: a
//! test that has seen the reply also sees the record.

use std::io;

use crate::conditions::Target;
use crate::dialect::{Dialect, MAX_BODY};
use crate::fault::{Action, Fault, Manner, Stage};
use crate::fault_queue::Taken;
use crate::foreign_reply::ForeignReply;
use crate::http::{Connection, Ending, Framing, Head, Next, Reply};
use crate::identity::identified;
use crate::influxdb3::Failure;
use crate::lines::lines;
use crate::non_write::{influxdb3_refusal, victoriametrics_error};
use crate::plan::Plan;
use crate::product::Product;
use crate::request::{Record, Request};
use crate::shared::Shared;

/// How much of a refused body is read so that the connection can be kept, as by Go's servers.
const MAX_DRAINED: usize = 256 * 1024;
/// What a truncated reply lacks.
const MISSING: usize = 64;

/// A write whose head is read and whose body is not.
pub(crate) struct Write<'a> {
    shared: &'a Shared,
    connection: &'a mut Connection,
    head: Head,
    dialect: Dialect,
    product: Product,
    /// Or the reply to a request that lacks something.
    plan: Result<Plan, Reply>,
}

impl<'a> Write<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        connection: &'a mut Connection,
        head: Head,
        dialect: Dialect,
    ) -> Self {
        let state = shared.lock();
        let product = state.settings.product;
        let plan = Plan::new(&state.settings, dialect, &head);
        drop(state);
        Self { shared, connection, head, dialect, product, plan }
    }

    pub(crate) fn run(mut self) -> io::Result<Next> {
        let length = match self.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        let taken = self.shared.lock().faults.take(self.target(length, None));
        let mut limit = MAX_BODY;
        if taken.as_ref().is_none_or(|taken| taken.fault.is_ordinary()) {
            if let Some(reply) = self.refusal() {
                let fault = taken.map_or_else(Fault::ordinary, |taken| taken.fault);
                return self.refuse(reply, &fault);
            }
            limit = self.plan.as_ref().map_or(MAX_BODY, Plan::limit);
        }
        if let Some(taken) = &taken {
            if let Some(next) = self.spoil_early(taken)? {
                return Ok(next);
            }
        }
        self.proceed()?;
        // A short body is read to its end although it is too large: that keeps the connection.
        match self.head.read_body(self.connection, limit.max(MAX_DRAINED))? {
            Some(wire) if wire.len() <= limit => self.settle(wire, taken),
            Some(_) => {
                let reply = self.too_large(limit);
                self.record_unread(Some(reply.status));
                self.send(reply, &Fault::ordinary())
            }
            None => self.hang_up_with(self.too_large(limit), &Fault::ordinary()),
        }
    }

    /// The reply to a request that is turned away for its head alone.
    fn refusal(&self) -> Option<Reply> {
        let state = self.shared.lock();
        let settings = &state.settings;
        let is_strict = self.product.influxdb3().is_none();
        let refusal = if is_strict {
            settings.auth.refusal(self.dialect, &self.head)
        } else {
            influxdb3_refusal(settings, &self.head)
        };
        if refusal.is_some() {
            return refusal;
        }
        let database = match &self.plan {
            Ok(Plan::Strict { terms, .. }) => &terms.database,
            Ok(Plan::InfluxDb3(_)) => return None,
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

    /// Answers without looking at the body. A short body is read, which keeps the connection.
    fn refuse(&mut self, reply: Reply, fault: &Fault) -> io::Result<Next> {
        let waits_for_us = self.head.expects_continue;
        if waits_for_us || self.head.read_body(self.connection, MAX_DRAINED)?.is_none() {
            return self.hang_up_with(reply, fault);
        }
        self.record_unread(Some(reply.status));
        self.send(reply, fault)
    }

    /// Answers while the client may still be sending, and closes.
    fn hang_up_with(&mut self, reply: Reply, fault: &Fault) -> io::Result<Next> {
        self.record_unread(Some(reply.status));
        self.head.keep_alive &= !fault.announces_close;
        self.send(reply, fault)?;
        if let Some(time) = fault.linger {
            self.shared.pause(time);
        }
        self.connection.close_write_side()?;
        Ok(Next::Close)
    }

    /// The faults that happen while the body, or the rest of it, is still with the client.
    fn spoil_early(&mut self, taken: &Taken) -> io::Result<Option<Next>> {
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

    /// Stores, records and answers, each as the fault wants it.
    fn settle(&mut self, wire: Vec<u8>, taken: Option<Taken>) -> io::Result<Next> {
        let wire_length = wire.len();
        let (body, plan) = match self.plan.clone() {
            Ok(plan) => match plan.unpack(self.dialect, &self.head, wire) {
                Ok(body) => (body, Ok(plan)),
                Err(reply) => (Vec::new(), Err(reply)),
            },
            Err(reply) => {
                let body = self.dialect.decompress(&self.head, wire);
                (body.unwrap_or_default(), Err(reply))
            }
        };
        let (mut fault, cleared) = {
            let faults = &mut self.shared.lock().faults;
            let target = self.target(Some(wire_length), Some(&body));
            let taken = taken.or_else(|| faults.take(target));
            let cleared = faults.cleared();
            taken.map_or((Fault::ordinary(), cleared), |taken| (taken.fault, taken.cleared))
        };
        let lines = lines(&body).count();
        fault.delay += fault.per_line.saturating_mul(u32::try_from(lines).unwrap_or(u32::MAX));
        let read = match (fault.stores, &plan) {
            (true, Ok(plan)) => Some(plan.read(&body, fault.rejected_lines())),
            _ => None,
        };

        let mut state = self.shared.lock();
        let ordinary = match (read, &plan) {
            (Some(read), _) => read.store(&mut state),
            (None, Err(reply)) => Some(reply.clone()),
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

    /// The reply that a fault puts in the place of the ordinary one.
    fn scripted(&self, action: &Action) -> Option<Reply> {
        match action {
            Action::Status(status, body) => Some(Reply::new(*status).body(body.clone())),
            Action::Error(status, message) if self.product == Product::VictoriaMetrics => {
                Some(victoriametrics_error(*status, &self.head, message))
            }
            Action::Error(status, message) if self.product.influxdb3().is_some() => {
                Some(Failure::any(*status, message).reply(self.dialect))
            }
            Action::Error(status, message) => Some(self.dialect.error(*status, message)),
            Action::ForeignReply(reply) => Some(reply.reply(&self.head)),
            Action::ServerError(error) => Some(Failure::server_error(*error).reply(self.dialect)),
            _ => None,
        }
    }

    fn send(&mut self, mut reply: Reply, fault: &Fault) -> io::Result<Next> {
        if !self.shared.pause(fault.delay) {
            return Ok(Next::Close);
        }
        reply.headers.extend(fault.headers.iter().cloned());
        let truncated = fault.manner == Manner::Truncated;
        let foreign = fault.as_foreign_reply();
        let closes =
            truncated || fault.announces_close && foreign.is_some_and(ForeignReply::closes);
        let keep_alive = self.head.keep_alive && !closes;
        let missing = if truncated { MISSING } else { 0 };
        if foreign.is_none() {
            reply = identified(self.product, true, reply);
        }
        let bytes = reply.encode(Ending { keep_alive, missing, head_only: false });
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

    /// Tells a client that waits for it to send the body.
    fn proceed(&mut self) -> io::Result<()> {
        self.connection.proceed(&mut self.head)
    }

    fn database(&self) -> &str {
        self.dialect.database(&self.head).unwrap_or_default()
    }

    fn target<'t>(&'t self, length: Option<usize>, body: Option<&'t [u8]>) -> Target<'t> {
        Target { database: Some(self.database()), length, body }
    }

    fn too_large(&self, limit: usize) -> Reply {
        match &self.plan {
            Ok(plan) => plan.too_large(self.dialect),
            Err(_) => self.dialect.too_large(limit),
        }
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
