//! The delivery loop: takes a batch, sends it, and acts on the disposition of the reply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::bisect::{self, Part};
use super::body_limit::{BodyLimit, MIN_LIMIT};
use super::circuit_breaker::{CircuitBreakers, Permit, Transition};
use super::congestion::{Begun, Congestion};
use super::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection};
use super::holds::Holds;
use super::poison::{Reaction, RequestHistory};
use super::rate_limited_log::RateLimitedLog;
use super::rejections::RejectionReporter;
use super::route::Route;
use super::transport::Attempt;
use crate::buffer::{Batch, Buffer, Outcome, QueueEnd};
use crate::clock::Clock;
use crate::sync::{Mutex, lock};

/// Delivers batches from the buffer to the server. All sender threads share it.
pub(crate) struct Sender {
    buffer: Arc<Buffer>,
    server: Mutex<ServerState>,
    route: Mutex<Route>,
    rejections: RejectionReporter,
    log: Arc<RateLimitedLog>,
    clock: Clock,
}

/// What the replies so far tell about the server.
#[derive(Default)]
struct ServerState {
    breakers: CircuitBreakers,
    history: RequestHistory,
    body_limit: BodyLimit,
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
            route: Mutex::new(route),
            log,
            clock,
        }
    }

    /// Sends the next batch, if one may be sent. Calls `before_sending` before it blocks.
    pub(crate) fn step(&self, before_sending: impl FnOnce()) -> Step {
        self.buffer.close_due();
        let now = self.clock.now();
        let next_log = self.log_drops();
        let Some((batch, permit)) = self.take(now) else {
            let next_retry = {
                let mut server = lock(&self.server);
                server.breakers.next_retry(now).into_iter().chain(server.holds.next_end(now)).min()
            };
            let until = self.buffer.due_at().into_iter().chain(next_retry).chain(next_log).min();
            return Step::Idle { until };
        };
        before_sending();
        let max_bytes = lock(&self.server).max_bytes();
        let Some(mut batch) = self.buffer.load(batch, max_bytes) else {
            lock(&self.server).congestion.release();
            return Step::Worked;
        };
        let route = lock(&self.route).clone();
        let begun = Congestion::begin(batch.len(), self.clock.now());
        let disposition = self.send(&batch, &route);
        batch.retry.requests += 1;
        self.act(batch, disposition, &Request { permit, begun, route: &route });
        lock(&self.server).congestion.release();
        Step::Worked
    }

    /// Retries at once what waits for its backoff: somebody waits for the outcome. A `Retry-After`
    /// of the server still holds.
    pub(crate) fn retry_now(&self) {
        {
            let mut server = lock(&self.server);
            server.breakers.retry_now(self.clock.now());
            server.holds.release();
        }
        self.buffer.wake();
    }

    /// Sends by this route from now on.
    pub(crate) fn set_route(&self, route: Route) {
        let old = std::mem::replace(&mut *lock(&self.route), route.clone());
        if !Arc::ptr_eq(&old.transport, &route.transport) {
            let mut server = lock(&self.server);
            let mut holds = std::mem::take(&mut server.holds);
            holds.release();
            *server = ServerState { holds, ..ServerState::default() };
        }
        self.buffer.wake();
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn route(&self) -> Route {
        lock(&self.route).clone()
    }

    fn take(&self, now: Duration) -> Option<(Batch, Permit)> {
        let mut server = lock(&self.server);
        if !server.breakers.allow_server(now) || !server.congestion.allows() {
            return None;
        }
        let batch = self.buffer.take(server.max_bytes(), |batch| {
            server.breakers.allow_database(batch.database(), now) && server.holds.allow(batch, now)
        })?;
        server.congestion.reserve();
        let permit = server.breakers.admit(batch.database());
        Some((batch, permit))
    }

    /// Makes a request.
    fn send(&self, batch: &Batch, route: &Route) -> Disposition {
        let timeout = lock(&self.server).congestion.timeout(route.transport.timeout());
        let is_retry = batch.retry.requests > 0;
        // A panic is a bug of ours or of a dependency's. It must not cost the batch.
        let attempt =
            catch_unwind(AssertUnwindSafe(|| route.transport.send_within(timeout, batch)))
                .unwrap_or_else(|_| Attempt::panicked());
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
                lock(&self.server).body_limit.record_delivery(batch.len(), now);
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
            Disposition::TooLarge { reason } => self.make_smaller(batch, reason, request),
        }
    }

    fn fail(&self, mut batch: Batch, failure: Failure, request: &Request<'_>) {
        match failure.cause {
            Cause::Configuration | Cause::Busy | Cause::Unreachable => {
                self.record_failure(&batch, failure, request);
                self.buffer.put_back(batch, QueueEnd::Front);
            }
            Cause::Timeout => {
                let is_alone = {
                    let now = self.clock.now();
                    let mut server = lock(&self.server);
                    server.congestion.record_timeout(request.begun, now);
                    server.history.record_timeout(&mut batch, request.permit.probes_server())
                };
                if is_alone {
                    let failures = batch.retry.requests;
                    self.hold(batch, failures, failure.reason, request);
                } else {
                    self.record_failure(&batch, failure, request);
                    self.buffer.put_back(batch, QueueEnd::Back);
                }
            }
            Cause::Unknown => self.fail_without_cause(batch, failure, request),
        }
    }

    /// The server failed, or the batch makes it fail.
    fn fail_without_cause(&self, mut batch: Batch, failure: Failure, request: &Request<'_>) {
        let is_answering = self.passes_control(&batch, request);
        let is_probe = request.permit.probes_server() && !is_answering;
        let reaction = lock(&self.server).history.judge(&mut batch, is_probe);
        match reaction {
            Reaction::ServerWaits => {
                self.record_failure(&batch, failure, request);
                // Others go first next time, which shows whether this batch is the problem.
                self.buffer.put_back(batch, QueueEnd::Back);
            }
            Reaction::ServerWaitsForHalves => {
                self.record_failure(&batch, failure, request);
                let mut halves = bisect::halves(batch);
                // Poison in one place of every batch must not be in each probe.
                if fastrand::bool() {
                    halves.reverse();
                }
                self.settle_all(halves, request.route);
            }
            Reaction::BatchWaits => {
                let failures = batch.retry.failures;
                self.hold(batch, failures, failure.reason, request);
            }
            Reaction::Search => {
                self.record_poison(&batch, failure.reason, request);
                self.settle_all(bisect::search(batch), request.route);
            }
            Reaction::Reject => {
                self.record_poison(&batch, failure.reason.clone(), request);
                self.reject(batch, suspected(failure.reason), request.route);
            }
        }
    }

    /// Sends a line that was delivered before, to see whether the server answers, if no other batch
    /// shows that. To deliver a line twice changes nothing.
    fn passes_control(&self, batch: &Batch, request: &Request<'_>) -> bool {
        let is_probe = request.permit.probes_server();
        let control = lock(&self.server).history.take_control(batch, is_probe);
        let Some(control) = control else { return false };
        let disposition = self.send(&control, request.route);
        let is_answered = matches!(disposition, Disposition::Delivered | Disposition::Rejected(_));
        if is_answered {
            self.close_circuits(control.database(), request.route);
            lock(&self.server).history.record_control(control);
        }
        is_answered
    }

    /// Only this batch waits.
    fn hold(&self, mut batch: Batch, failures: u32, reason: String, request: &Request<'_>) {
        self.record_poison(&batch, reason, request);
        lock(&self.server).holds.back_off(&mut batch, failures, self.clock.now());
        self.buffer.put_back(batch, QueueEnd::Back);
    }

    /// Halves a batch whose body the server found too large, and sends smaller ones from now on.
    fn make_smaller(&self, batch: Batch, reason: String, request: &Request<'_>) {
        if batch.lines() == 1 || batch.len() <= MIN_LIMIT {
            // It cannot be about the size, or it can be about this line only.
            return self.fail(batch, Failure::of_server(Cause::Unknown, reason), request);
        }
        self.close_circuits(batch.database(), request.route);
        let lowered = lock(&self.server).body_limit.lower(batch.len(), self.clock.now());
        if let Some(limit) = lowered {
            self.log.limited(&request.route.address, batch.len(), limit);
        }
        self.buffer.note_error(reason);
        self.settle_all(bisect::halves(batch), request.route);
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

    /// A batch failed: it waits, and what the failure is about waits with it.
    fn record_failure(&self, batch: &Batch, failure: Failure, request: &Request<'_>) {
        let now = self.clock.now();
        let (database, permit) = (batch.database(), request.permit);
        let transition =
            lock(&self.server).breakers.record_failure(database, permit, &failure, now);
        self.log_failure(&transition, database, failure.reason, request);
    }

    /// A batch failed, but others are answered.
    fn record_poison(&self, batch: &Batch, reason: String, request: &Request<'_>) {
        lock(&self.server).breakers.record_poison(batch.database(), request.permit);
        self.log_failure(&Transition::None, batch.database(), reason, request);
    }

    fn log_failure(
        &self,
        transition: &Transition,
        database: &str,
        reason: String,
        request: &Request<'_>,
    ) {
        let pending = self.buffer.stats().pending;
        self.log.failed(transition, &request.route.address, database, &reason, pending);
        self.buffer.note_error(reason);
    }

    /// Logs new drops. Returns when to look again, if there are some and it is too early.
    fn log_drops(&self) -> Option<Duration> {
        if !self.buffer.has_drops() {
            return None;
        }
        self.log.dropped(|| {
            self.buffer.see_drops();
            self.buffer.stats()
        })
    }
}

impl ServerState {
    /// The largest body to send, in bytes.
    fn max_bytes(&self) -> usize {
        self.body_limit.bytes().min(self.congestion.max_bytes())
    }
}

/// A rejection of lines that are yet to be found.
fn suspected(reason: String) -> Rejection {
    let lines = RejectedLines::Unnamed { count: None };
    Rejection { lines, rest_stored: false, reason }
}
