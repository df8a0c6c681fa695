//! The delivery loop: takes a batch, sends it, and acts on the disposition of the reply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::bisect::{self, Part};
use super::body_limit::BodyLimit;
use super::circuit_breaker::{CircuitBreakers, Permit, Transition};
use super::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection};
use super::poison::{Blame, RequestHistory};
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
            let next_retry = lock(&self.server).breakers.next_retry(now);
            let until = self.buffer.due_at().into_iter().chain(next_retry).chain(next_log).min();
            return Step::Idle { until };
        };
        before_sending();
        let max_bytes = lock(&self.server).body_limit.bytes();
        let Some(batch) = self.buffer.load(batch, max_bytes) else { return Step::Worked };
        let route = lock(&self.route).clone();
        let is_retry = batch.retry.requests > 0;
        // A panic is a bug of ours or of a dependency's. It must not cost the batch.
        let attempt = catch_unwind(AssertUnwindSafe(|| route.transport.send(&batch)))
            .unwrap_or_else(|_| Attempt::panicked());
        self.buffer.count_request(attempt.bytes_sent, is_retry);
        self.act(batch, permit, attempt.disposition, &route);
        Step::Worked
    }

    /// Retries at once what waits for its backoff: somebody waits for the outcome. A `Retry-After`
    /// of the server still holds.
    pub(crate) fn retry_now(&self) {
        lock(&self.server).breakers.retry_now(self.clock.now());
        self.buffer.wake();
    }

    /// Sends by this route from now on.
    pub(crate) fn set_route(&self, route: Route) {
        let old = std::mem::replace(&mut *lock(&self.route), route.clone());
        if !Arc::ptr_eq(&old.transport, &route.transport) {
            *lock(&self.server) = ServerState::default();
        }
        self.buffer.wake();
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn route(&self) -> Route {
        lock(&self.route).clone()
    }

    fn take(&self, now: Duration) -> Option<(Batch, Permit)> {
        let mut server = lock(&self.server);
        if !server.breakers.allow_server(now) {
            return None;
        }
        let batch = self.buffer.take(server.body_limit.bytes(), |database| {
            server.breakers.allow_database(database, now)
        })?;
        let permit = server.breakers.admit(batch.database());
        Some((batch, permit))
    }

    /// The one place where a disposition is acted on.
    fn act(&self, mut batch: Batch, permit: Permit, disposition: Disposition, route: &Route) {
        batch.retry.requests += 1;
        match disposition {
            Disposition::Retry(failure) => self.fail(batch, permit, failure, route),
            Disposition::MalformedReply { reason } => {
                self.fail_malformed(batch, permit, reason, route);
            }
            Disposition::Delivered => {
                self.record_answer(&batch, route);
                self.settle(Part::Stored(batch), route);
            }
            Disposition::Rejected(rejection) => {
                self.record_answer(&batch, route);
                self.reject(batch, rejection, route);
            }
            Disposition::ResendOnce { reason } => {
                self.record_answer(&batch, route);
                if batch.retry.resent {
                    self.reject(batch, suspected(reason), route);
                } else {
                    batch.retry.resent = true;
                    self.settle(Part::Resend(batch), route);
                }
            }
            Disposition::TooLarge { reason } => {
                self.record_answer(&batch, route);
                self.make_smaller(batch, reason, route);
            }
        }
    }

    /// The batch has to wait; or it is searched for bad lines, if others do not have to wait.
    fn fail(&self, mut batch: Batch, permit: Permit, failure: Failure, route: &Route) {
        let (cause, reason) = (failure.cause, failure.reason.clone());
        self.record_failure(&batch, permit, failure, route);
        if cause != Cause::Unknown {
            return self.buffer.put_back(batch, QueueEnd::Front);
        }
        if lock(&self.server).history.is_poison(&mut batch) {
            return self.reject(batch, suspected(reason), route);
        }
        // Others go first next time, which shows whether this batch is the problem.
        self.buffer.put_back(batch, QueueEnd::Back);
    }

    /// The reply was malformed, because of a line of the batch, or because of something between us
    /// and the server.
    fn fail_malformed(&self, mut batch: Batch, permit: Permit, reason: String, route: &Route) {
        let failure = Failure::of_server(Cause::Unknown, reason.clone());
        let blame = lock(&self.server).history.blame_for_malformed_reply(&mut batch);
        match blame {
            Blame::Batch => {
                self.record_failure(&batch, permit, failure, route);
                self.reject(batch, suspected(reason), route);
            }
            Blame::Unclear if bisect::spend_for_halves(&mut batch) => {
                self.record_failure(&batch, permit, failure, route);
                self.settle_all(bisect::halves(batch), route);
            }
            Blame::Nobody | Blame::Unclear => self.fail(batch, permit, failure, route),
        }
    }

    /// Halves a batch whose body the server found too large, and sends smaller ones from now on.
    fn make_smaller(&self, batch: Batch, reason: String, route: &Route) {
        if batch.lines() == 1 {
            let (lines, rest_stored) = (RejectedLines::All, false);
            return self.reject(batch, Rejection { lines, rest_stored, reason }, route);
        }
        if let Some(limit) = lock(&self.server).body_limit.lower(batch.len()) {
            self.log.limited(&route.address, batch.len(), limit);
        }
        self.buffer.note_error(reason);
        self.settle_all(bisect::halves(batch), route);
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
            Part::PartlyStored { batch, rejected, reason } => {
                self.rejections.note(rejected, batch.database(), &reason);
                let delivered = batch.lines() - rejected;
                self.buffer.settle(batch, Outcome { delivered, rejected });
            }
        }
    }

    /// The server answered other than by a failure.
    fn record_answer(&self, batch: &Batch, route: &Route) {
        let now = self.clock.now();
        let transition = {
            let mut server = lock(&self.server);
            server.history.record_answer();
            server.breakers.record_answer(batch.database(), now)
        };
        self.log.answered(&transition, &route.address);
        if transition != Transition::None {
            self.buffer.wake();
        }
    }

    /// A batch failed: it waits, and what the failure is about waits with it.
    fn record_failure(&self, batch: &Batch, permit: Permit, failure: Failure, route: &Route) {
        let now = self.clock.now();
        let database = batch.database();
        let transition = {
            let mut server = lock(&self.server);
            server.history.record_failure(failure.cause);
            server.breakers.record_failure(database, permit, &failure, now)
        };
        let pending = self.buffer.stats().pending;
        let reason = failure.reason;
        self.log.failed(&transition, &route.address, database, &reason, pending);
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

/// A rejection of lines that are yet to be found.
fn suspected(reason: String) -> Rejection {
    let lines = RejectedLines::Unnamed { count: None };
    Rejection { lines, rest_stored: false, reason }
}
