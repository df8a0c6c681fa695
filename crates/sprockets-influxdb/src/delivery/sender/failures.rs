//! What the sender does about a batch that failed: everything waits, or only this batch, or it is
//! searched for lines that make the server fail.

use super::{Request, Sender, suspected};
use crate::buffer::{Batch, FailureNote, QueueEnd};
use crate::delivery::bisect;
use crate::delivery::body_limit::MIN_LIMIT;
use crate::delivery::circuit_breaker::Transition;
use crate::delivery::disposition::{Cause, Disposition, Failure, Scope};
use crate::delivery::poison::Reaction;
use crate::sync::lock;

/// The backoff of a single line grows with so many failures: to a second. It is only tried again
/// while others are answered, and soon turns out to be poison or not.
const LINE_BACKOFF: u32 = 3;

impl Sender {
    pub(super) fn fail(&self, mut batch: Batch, failure: Failure, request: &Request<'_>) {
        match failure.cause {
            Cause::Unreachable => {
                self.record_failure(&batch, failure, request);
                self.buffer.put_back(batch, QueueEnd::Front);
            }
            Cause::Busy => self.wait(batch, failure, request),
            // The server knows what it is doing.
            _ if failure.after.is_some() => self.wait(batch, failure, request),
            Cause::Timeout => {
                let is_alone = {
                    let now = self.clock.now();
                    let mut server = lock(&self.server);
                    server.congestion.record_timeout(request.begun, now);
                    server.history.record_wait(&mut batch, request.permit.probes_server())
                };
                if is_alone {
                    let failures = batch.retry.requests;
                    self.hold(batch, failures, failure, request);
                } else {
                    self.record_failure(&batch, failure, request);
                    self.buffer.put_back(batch, QueueEnd::Back);
                }
            }
            Cause::Configuration | Cause::Unknown | Cause::Unrecognized => {
                self.fail_without_cause(batch, failure, request)
            }
        }
    }

    /// All wait for a moment. If others are answered, this batch waits for longer.
    fn wait(&self, mut batch: Batch, failure: Failure, request: &Request<'_>) {
        self.record_failure(&batch, failure, request);
        {
            let mut server = lock(&self.server);
            if server.history.record_wait(&mut batch, request.permit.probes_server()) {
                let failures = batch.retry.requests;
                server.holds.back_off(&mut batch, failures, request.begun.at(), self.clock.now());
            }
        }
        self.buffer.put_back(batch, QueueEnd::Back);
    }

    /// The server failed, or what is in front of one database, or the batch makes them fail.
    fn fail_without_cause(&self, mut batch: Batch, mut failure: Failure, request: &Request<'_>) {
        let mut is_probe = request.permit.is_probe();
        is_probe &= !self.passes_control(&batch, is_probe, request);
        let reaction = {
            let history = &mut lock(&self.server).history;
            if history.is_answering(&batch, request.permit.probes_server(), Scope::Server) {
                failure.scope = Scope::Database;
            }
            match failure.cause {
                Cause::Configuration => history.judge_configuration(&mut batch, is_probe),
                _ => history.judge(&mut batch, is_probe),
            }
        };
        match reaction {
            Reaction::AllWait => {
                self.record_failure(&batch, failure, request);
                // Others go first next time, which shows whether this batch is the problem.
                self.buffer.put_back(batch, QueueEnd::Back);
            }
            Reaction::AllWaitForPart => {
                self.record_failure(&batch, failure, request);
                self.settle_all(bisect::slices(batch), request.route);
            }
            Reaction::BatchWaits => {
                let failures = match batch.lines() {
                    1 => batch.retry.failures.min(LINE_BACKOFF),
                    _ => batch.retry.failures,
                };
                self.hold(batch, failures, failure, request);
            }
            Reaction::Search => {
                self.record_poison(&batch, failure, request);
                self.settle_all(bisect::search(batch), request.route);
            }
            Reaction::Reject => {
                self.record_poison(&batch, failure.clone(), request);
                self.reject(batch, suspected(failure.reason), request.route);
            }
        }
    }

    /// Sends a line of the database that was delivered before, to see whether the server answers,
    /// if no other batch shows that. Nothing newer was delivered that it could undo.
    fn passes_control(&self, batch: &Batch, is_probe: bool, request: &Request<'_>) -> bool {
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
    fn hold(&self, mut batch: Batch, failures: u32, failure: Failure, request: &Request<'_>) {
        let is_for_operator = failure.cause == Cause::Configuration;
        let sent = request.begun.at();
        self.record_poison(&batch, failure, request);
        {
            let (holds, now) = (&mut lock(&self.server).holds, self.clock.now());
            match is_for_operator {
                true => holds.wait_for_operator(&mut batch, sent, now),
                false => holds.back_off(&mut batch, failures, sent, now),
            }
        }
        self.buffer.put_back(batch, QueueEnd::Back);
    }

    /// Halves a batch whose body the server found too large, and sends smaller ones from now on.
    pub(super) fn make_smaller(
        &self,
        batch: Batch,
        is_from_server: bool,
        reason: String,
        request: &Request<'_>,
    ) {
        if batch.lines() == 1 || batch.len() <= MIN_LIMIT {
            // It cannot be about the size, or it can be about this line only.
            let cause = if is_from_server { Cause::Unknown } else { Cause::Unrecognized };
            return self.fail(batch, Failure::of_server(cause, reason), request);
        }
        self.close_circuits(batch.database(), request.route);
        let lowered = {
            let limits = &mut lock(&self.server).body_limits;
            limits.lower(batch.database(), is_from_server, batch.len(), self.clock.now())
        };
        if let Some(limit) = lowered {
            self.log.limited(&request.route.address, batch.len(), limit);
        }
        self.buffer.note_failure(FailureNote {
            reason,
            database: Some(batch.database()),
            refused_request_sent_at: None,
        });
        self.settle_all(bisect::halves(batch), request.route);
    }

    /// A batch failed: it waits, and what the failure is about waits with it.
    fn record_failure(&self, batch: &Batch, failure: Failure, request: &Request<'_>) {
        let now = self.clock.now();
        let (database, permit) = (batch.database(), request.permit);
        let transition = {
            let breakers = &mut lock(&self.server).breakers;
            breakers.record_failure(database, permit, &failure, request.begun.at(), now)
        };
        self.log_failure(&transition, database, failure, request);
    }

    /// A batch failed, but others are answered.
    fn record_poison(&self, batch: &Batch, mut failure: Failure, request: &Request<'_>) {
        failure.scope = Scope::Database;
        lock(&self.server).breakers.abandon(batch.database(), request.permit);
        self.log_failure(&Transition::None, batch.database(), failure, request);
    }

    fn log_failure(
        &self,
        transition: &Transition,
        database: &str,
        failure: Failure,
        request: &Request<'_>,
    ) {
        let pending = self.buffer.stats().pending;
        self.log.failed(transition, &request.route.address, database, &failure.reason, pending);
        self.buffer.note_failure(FailureNote {
            reason: failure.reason,
            database: (failure.scope == Scope::Database).then_some(database),
            refused_request_sent_at: (failure.cause == Cause::Configuration)
                .then(|| request.begun.at()),
        });
    }
}
