//! The delivery loop: takes a batch, sends it, and acts on the disposition of the reply.

mod failures;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bisect::{self, Part};
use super::body_limit::BodyLimits;
use super::circuit_breaker::{CircuitBreakers, Permit, Transition};
use super::congestion::{Begun, Congestion};
use super::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection};
use super::holds::Holds;
use super::own_counters::{OwnCounters, OwnSchedule};
use super::poison::RequestHistory;
use super::rate_limited_log::RateLimitedLog;
use super::rejections::RejectionReporter;
use super::transport::Route;
use crate::buffer::{Batch, Buffer, Outcome, QueueEnd};
use crate::clock::Clock;
use crate::sync::{Mutex, lock};

/// Delivers batches from the buffer to the server. All sender threads share it.
pub(crate) struct Sender {
    buffer: Arc<Buffer>,
    server: Mutex<ServerState>,
    route: Mutex<Arc<Route>>,
    rejections: RejectionReporter,
    log: Arc<RateLimitedLog>,
    clock: Clock,
    /// Whether the log has the summary of the route.
    is_announced: AtomicBool,
    own: OwnSchedule,
}

/// What the replies so far tell about the server.
#[derive(Default)]
struct ServerState {
    breakers: CircuitBreakers,
    history: RequestHistory,
    body_limits: BodyLimits,
    congestion: Congestion,
    holds: Holds,
}

/// A request that ended: its permit, when it began, and where it went.
struct Request<'a> {
    permit: Permit,
    begun: Begun,
    route: &'a Route,
}

/// What a step of the delivery loop did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Worked,
    /// There is nothing to do until then, or until the buffer signals.
    Idle {
        until: Option<Duration>,
    },
}

impl Sender {
    pub(crate) fn new(buffer: Arc<Buffer>, route: Route, clock: Clock) -> Self {
        let log = Arc::new(RateLimitedLog::new(clock.clone()));
        Self {
            rejections: RejectionReporter::new(buffer.clone(), log.clone()),
            buffer,
            server: Mutex::default(),
            route: Mutex::new(Arc::new(route)),
            log,
            clock,
            is_announced: AtomicBool::new(false),
            own: OwnSchedule::default(),
        }
    }

    /// Sends the next batch, if one may be sent. Calls `before_sending` before it blocks.
    pub(crate) fn step(&self, before_sending: impl Fn()) -> Step {
        self.announce();
        self.buffer.close_due();
        let now = self.clock.now();
        let next_log = self.log_drops();
        let next_own = self.report_counters(now, &before_sending);
        let Some((batch, permit)) = self.take(now) else {
            self.buffer.prepare_chunks();
            let next_retry = {
                let mut server = lock(&self.server);
                server.breakers.next_retry(now).into_iter().chain(server.holds.next_end(now)).min()
            };
            let due = self.buffer.due_at().into_iter();
            let until = due.chain(next_retry).chain(next_log).chain(next_own).min();
            return Step::Idle { until };
        };
        before_sending();
        let limit = self.transport_limit();
        let max_bytes = lock(&self.server).max_bytes(batch.database()).min(limit);
        let probed = permit.is_probe().then(|| batch.database().to_owned());
        let Some(mut batch) = self.buffer.load(batch, max_bytes) else {
            let mut server = lock(&self.server);
            server.congestion.release();
            if let Some(database) = probed {
                server.breakers.abandon(&database, permit);
            }
            return Step::Worked;
        };
        let route = self.route();
        let started = self.clock.now();
        let begun = Congestion::begin(batch.len(), started);
        let disposition = self.send(&batch, &route);
        let took = self.clock.now().saturating_sub(started);
        lock(&self.server).holds.record_request(took);
        batch.retry.requests += 1;
        self.act(batch, disposition, &Request { permit, begun, route: &route });
        lock(&self.server).congestion.release();
        Step::Worked
    }

    /// Retries at once what waits for its backoff: somebody waits for the outcome, since a time. A
    /// `Retry-After` of the server still holds.
    pub(crate) fn retry_now(&self, since: Duration) {
        {
            let mut server = lock(&self.server);
            server.breakers.ask_for_retry(since, self.clock.now());
            server.holds.release(since);
        }
        self.buffer.wake();
    }

    /// Whether a request is under way, or its outcome is not counted yet.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.server).congestion.is_busy()
    }

    /// Sends by this route from now on.
    pub(crate) fn set_route(&self, route: Route) {
        let route = Arc::new(route);
        let old = std::mem::replace(&mut *lock(&self.route), route.clone());
        if old.summary != route.summary {
            self.is_announced.store(false, Ordering::Relaxed);
        }
        if !Arc::ptr_eq(&old.transport, &route.transport) {
            let mut server = lock(&self.server);
            let ServerState { mut holds, mut history, .. } = std::mem::take(&mut *server);
            let now = self.clock.now();
            holds.release(now);
            history.restart();
            *server = ServerState { holds, history, ..ServerState::default() };
            // Requests to the old server say nothing about this one.
            server.breakers.ask_for_retry(now, now);
        }
        self.buffer.wake();
    }

    /// The route in force.
    pub(crate) fn route(&self) -> Arc<Route> {
        lock(&self.route).clone()
    }

    /// The largest body that the transport can send, in bytes.
    fn transport_limit(&self) -> usize {
        self.route().transport.max_bytes()
    }

    /// Logs once where measurements go, when there is one.
    fn announce(&self) {
        let is_due = !self.is_announced.load(Ordering::Relaxed)
            && self.buffer.has_begun()
            && !self.is_announced.swap(true, Ordering::Relaxed);
        if is_due {
            tracing::info!("{}", self.route().summary);
        }
    }

    /// Sends the client's own counters if they are due. Returns when to look again.
    fn report_counters(&self, now: Duration, before_sending: impl Fn()) -> Option<Duration> {
        let route = self.route();
        let own = route.own_counters.as_ref().filter(|_| self.buffer.has_begun())?;
        let next = self.own.next(now, own.interval)?;
        if next > now {
            return Some(next);
        }
        before_sending();
        self.send_counters(&route, own, route.transport.timeout());
        self.own.next(self.clock.now(), own.interval)
    }

    /// Whether the client's own counters are to be sent once more, at its end.
    pub(crate) fn has_end_to_report(&self) -> bool {
        self.route().own_counters.is_some() && self.buffer.has_begun() && !self.own.has_ended()
    }

    /// Sends the client's own counters once more, at its end, within this time.
    pub(crate) fn report_end(&self, timeout: Duration) {
        let route = self.route();
        let own = route.own_counters.as_ref().filter(|_| self.buffer.has_begun());
        if let Some(own) = own.filter(|_| !timeout.is_zero() && self.own.end()) {
            self.send_counters(&route, own, timeout.min(route.transport.timeout()));
        }
    }

    /// While the server is known to fail there is no attempt: the next point tells as much.
    fn send_counters(&self, route: &Route, own: &OwnCounters, timeout: Duration) {
        if !lock(&self.server).breakers.allow_server(self.clock.now()) {
            return;
        }
        let disposition = route.send(timeout, &own.batch(&self.buffer.stats())).disposition;
        if !matches!(disposition, Disposition::Delivered) {
            self.log.not_reported(&own.database, disposition.reason());
        }
    }

    fn take(&self, now: Duration) -> Option<(Batch, Permit)> {
        let limit = self.transport_limit();
        let mut server = lock(&self.server);
        if !server.breakers.allow_server(now) || !server.congestion.allows() {
            return None;
        }
        let batch = match self.take_if(&server, now, limit, |breakers, b| breakers.is_untried(b)) {
            Some(batch) => batch,
            None if server.breakers.forget_tried() => {
                self.take_if(&server, now, limit, |_, _| true)?
            }
            None => return None,
        };
        server.congestion.reserve();
        let permit = server.breakers.admit(batch.database());
        Some((batch, permit))
    }

    /// Takes the first batch that may be sent, of a database for which `is_chosen` holds.
    fn take_if(
        &self,
        server: &ServerState,
        now: Duration,
        limit: usize,
        is_chosen: impl Fn(&CircuitBreakers, &str) -> bool,
    ) -> Option<Batch> {
        let max_bytes = |batch: &Batch| server.max_bytes(batch.database()).min(limit);
        self.buffer.take(max_bytes, |batch| {
            let database = batch.database();
            server.breakers.allow_database(database, now)
                && server.holds.allow(batch, now)
                && is_chosen(&server.breakers, database)
        })
    }

    /// Makes a request.
    fn send(&self, batch: &Batch, route: &Route) -> Disposition {
        let timeout = lock(&self.server).congestion.timeout(route.transport.timeout());
        let is_retry = batch.retry.requests > 0;
        let attempt = route.send(timeout, batch);
        self.buffer.count_request(attempt.bytes_sent, is_retry);
        attempt.disposition
    }

    /// The one place where a disposition is acted on.
    fn act(&self, mut batch: Batch, disposition: Disposition, request: &Request<'_>) {
        match disposition {
            Disposition::Retry(failure) => self.fail(batch, failure, request),
            Disposition::MalformedReply { reason } => {
                self.fail(batch, Failure::of_server(Cause::Unknown, reason), request);
            }
            Disposition::Delivered => {
                self.record_answer(&batch, request);
                let now = self.clock.now();
                lock(&self.server).body_limits.record_delivery(batch.database(), batch.len(), now);
                self.settle(Part::Stored(batch), request.route);
            }
            Disposition::Rejected(rejection) => {
                self.record_answer(&batch, request);
                self.reject(batch, rejection, request.route);
            }
            Disposition::ResendOnce { reason } => {
                self.record_answer(&batch, request);
                if batch.retry.resent {
                    self.reject(batch, suspected(reason), request.route);
                } else {
                    batch.retry.resent = true;
                    self.settle(Part::Resend(batch), request.route);
                }
            }
            Disposition::TooLarge { is_from_server, reason } => {
                self.make_smaller(batch, is_from_server, reason, request);
            }
        }
    }

    fn reject(&self, batch: Batch, rejection: Rejection, route: &Route) {
        self.settle_all(bisect::parts(batch, rejection), route);
    }

    fn settle_all(&self, parts: Vec<Part>, route: &Route) {
        parts.into_iter().for_each(|part| self.settle(part, route));
    }

    fn settle(&self, part: Part, route: &Route) {
        match part {
            Part::Resend(batch) => self.buffer.put_back(batch, QueueEnd::Front),
            Part::Stored(batch) => {
                let delivered = batch.lines();
                self.buffer.settle(batch, Outcome { delivered, rejected: 0 });
            }
            Part::Rejected(batch, reasons) => {
                self.rejections.report(&batch, &reasons, route.on_rejected.as_ref());
                let rejected = batch.lines();
                self.buffer.settle(batch, Outcome { delivered: 0, rejected });
            }
            Part::ResendLater(mut batch) => {
                lock(&self.server).holds.slow_down(&mut batch, self.clock.now());
                self.buffer.put_back(batch, QueueEnd::Back);
            }
        }
    }

    /// The server answered other than by a failure.
    fn record_answer(&self, batch: &Batch, request: &Request<'_>) {
        let has_room = {
            let mut server = lock(&self.server);
            server.history.record_answer(batch);
            let timeout = request.route.transport.timeout();
            server.congestion.record_reply(request.begun, timeout, self.clock.now())
        };
        self.close_circuits(batch.database(), request.route);
        if has_room {
            self.buffer.wake();
        }
    }

    fn close_circuits(&self, database: &str, route: &Route) {
        let now = self.clock.now();
        let transition = lock(&self.server).breakers.record_answer(database, now);
        self.log.answered(&transition, &route.address);
        if transition != Transition::None {
            self.buffer.wake();
        }
    }

    /// Logs new drops. Returns when to look again, if there are some and it is too early.
    fn log_drops(&self) -> Option<Duration> {
        if !self.buffer.has_drops() {
            return None;
        }
        self.log_drops_now()
    }

    /// Logs new drops, unless that was done a moment ago. If another thread does so now, this waits
    /// for it.
    pub(crate) fn log_drops_now(&self) -> Option<Duration> {
        self.log.dropped(|| {
            self.buffer.see_drops();
            self.buffer.stats()
        })
    }
}

impl ServerState {
    /// The largest body to send for this database, in bytes.
    fn max_bytes(&self, database: &str) -> usize {
        self.body_limits.bytes(database).min(self.congestion.max_bytes())
    }
}

/// A rejection of lines that are yet to be found.
fn suspected(reason: String) -> Rejection {
    let lines = RejectedLines::Unnamed { count: None };
    Rejection { lines, rest_stored: false, reason }
}
