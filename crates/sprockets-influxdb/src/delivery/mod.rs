//! How batches get to the server: the one loop that takes them, sends them, and acts on the verdict. Runs on threads of
//! its own, never on the application's; blocks as it likes.

mod backoff;
mod body;
mod check;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod http;
mod named_lines;
mod news;
mod proxy;
mod resolver;
mod schedule;
mod threads;
mod tls;
mod transport;
mod verdict;
mod way;
mod words;

pub use check::{Check, Finding};
pub(crate) use http::HttpTransport;
pub(crate) use threads::Threads;
pub(crate) use transport::Transport;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::{Batch, Buffer, Outcome, QueueEnd};
use crate::clock::Clock;
use crate::config::Rejected;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, lock};
use news::News;
use schedule::{Failure, Pass, Schedule};
use transport::{Attempt, Cause, Scope, Verdict, Which};

/// Called with each line that the server refused.
pub(crate) type RejectedHook = Arc<dyn Fn(&Rejected<'_>) + Send + Sync>;

/// Requests that finding unnamed bad lines may cost, for each doubling of the number of lines: enough to find some ten
/// bad lines anywhere, or any number that stand together.
const SEARCH_REQUESTS: u32 = 16;
/// Replies that are not HTTP, to one batch, before it is searched for the line that causes them.
const UNPARSABLE_REPLIES: u32 = 3;

/// Takes batches from the buffer to the server. Shared by all sender threads; has no thread of its own.
pub(crate) struct Sender {
    buffer: Arc<Buffer>,
    schedule: Mutex<Schedule>,
    route: Mutex<Route>,
    news: Mutex<News>,
    clock: Clock,
}

/// Where batches go, and what is said of those that are refused there.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) transport: Arc<dyn Transport>,
    /// The server's address, for the log.
    pub(crate) address: String,
    pub(crate) on_rejected: Option<RejectedHook>,
}

/// What a step of the loop came to.
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
        Self {
            buffer,
            schedule: Mutex::new(Schedule::new()),
            route: Mutex::new(route),
            news: Mutex::new(News::default()),
            clock,
        }
    }

    /// Does the next thing there is to do. `before_sending` is called when that will take a while.
    pub(crate) fn step(&self, before_sending: impl FnOnce()) -> Step {
        self.buffer.close_due();
        let now = self.clock.now();
        let news = self.tell_news(now);
        let Some((batch, pass)) = self.take(now) else {
            let opening = lock(&self.schedule).next_opening(now);
            let until = self.buffer.due_at().into_iter().chain(opening).chain(news).min();
            return Step::Idle { until };
        };
        before_sending();
        let most_bytes = lock(&self.schedule).most_bytes;
        let Some(batch) = self.buffer.load(batch, most_bytes) else { return Step::Worked };
        let route = lock(&self.route).clone();
        let is_retry = batch.retry.requests > 0;
        // A panic here would be a bug of ours or of a dependency's; it must not cost the batch.
        let attempt = catch_unwind(AssertUnwindSafe(|| route.transport.send(&batch)))
            .unwrap_or_else(|_| Attempt::failed_by_bug());
        self.buffer.count_request(attempt.bytes_sent, is_retry);
        self.act(batch, pass, attempt.verdict, &route);
        Step::Worked
    }

    /// Tries again now what waits for a better time, as far as the server allows: somebody waits for it.
    pub(crate) fn hurry(&self) {
        lock(&self.schedule).hurry(self.clock.now());
        self.buffer.wake();
    }

    /// Sends that way from now on.
    pub(crate) fn set_route(&self, route: Route) {
        let old = std::mem::replace(&mut *lock(&self.route), route.clone());
        if !Arc::ptr_eq(&old.transport, &route.transport) {
            *lock(&self.schedule) = Schedule::new();
        }
        self.buffer.wake();
    }

    fn take(&self, now: Duration) -> Option<(Batch, Pass)> {
        let mut schedule = lock(&self.schedule);
        if !schedule.is_open(now) {
            return None;
        }
        let batch = self
            .buffer
            .take(schedule.most_bytes, |database| schedule.is_open_for(database, now))?;
        let pass = schedule.pass(batch.database());
        Some((batch, pass))
    }

    /// The one place where a verdict is acted on.
    fn act(&self, mut batch: Batch, pass: Pass, verdict: Verdict, route: &Route) {
        batch.retry.requests += 1;
        match verdict {
            Verdict::Retry { cause, scope, after, reason } => {
                self.fail(batch, pass, Failure { cause, scope, after, reason }, route);
            }
            Verdict::Unparsable { reason } => {
                let (cause, scope) = (Cause::Unknown, Scope::Server);
                let failure = Failure { cause, scope, after: None, reason };
                self.fail_unparsable(batch, pass, failure, route);
            }
            Verdict::Delivered => {
                self.answered(&batch, route);
                let delivered = batch.lines();
                self.buffer.settle(batch, Outcome { delivered, rejected: 0 });
            }
            Verdict::Rejected { which, rest_stored, reason } => {
                self.answered(&batch, route);
                self.reject(batch, which, rest_stored, reason, route);
            }
            Verdict::ResendOnce { reason } => {
                self.answered(&batch, route);
                if batch.retry.resent {
                    let which = Which::Unknown { count: None };
                    self.reject(batch, which, false, reason, route);
                } else {
                    batch.retry.resent = true;
                    self.buffer.put_back(batch, QueueEnd::Front);
                }
            }
            Verdict::TooLarge { reason } => {
                self.answered(&batch, route);
                if batch.lines() == 1 {
                    self.reject(batch, Which::All, false, reason, route);
                } else {
                    if let Some(most) = lock(&self.schedule).learn_limit(batch.len()) {
                        lock(&self.news).limited(&route.address, batch.len(), most);
                    }
                    self.buffer.note_error(reason);
                    self.put_back_halves(batch);
                }
            }
        }
    }

    /// What came was no reply. If it was a line of the batch that made it so, others are answered; if it was something
    /// between us and the server, nobody is, and nothing is given up.
    fn fail_unparsable(&self, mut batch: Batch, pass: Pass, failure: Failure, route: &Route) {
        batch.retry.unparsable += 1;
        let deliveries = lock(&self.schedule).deliveries;
        let seen = *batch.retry.unparsable_since.get_or_insert(deliveries);
        if batch.retry.unparsable < UNPARSABLE_REPLIES {
            self.fail(batch, pass, failure, route);
        } else if deliveries > seen {
            let reason = failure.reason.clone();
            self.note_failure(&batch, pass, failure, route);
            self.reject(batch, Which::Unknown { count: None }, false, reason, route);
        } else if batch.lines() > 1 && self.spend(&mut batch, 2) {
            self.note_failure(&batch, pass, failure, route);
            self.put_back_halves(batch);
        } else {
            self.fail(batch, pass, failure, route);
        }
    }

    /// Has everything wait that has to.
    fn note_failure(&self, batch: &Batch, pass: Pass, failure: Failure, route: &Route) {
        let now = self.clock.now();
        let change = lock(&self.schedule).failed(batch.database(), pass, &failure, now);
        let pending = self.buffer.stats().pending;
        let reason = failure.reason;
        lock(&self.news).failed(&change, &route.address, batch.database(), &reason, pending, now);
        self.buffer.note_error(reason);
    }

    /// The batch has to wait; or, if others do not have to, it is searched for what is wrong with it.
    fn fail(&self, mut batch: Batch, pass: Pass, failure: Failure, route: &Route) {
        let Failure { cause, reason, .. } = failure.clone();
        self.note_failure(&batch, pass, failure, route);
        let (deliveries, suspicious) = {
            let schedule = lock(&self.schedule);
            (schedule.deliveries, schedule.suspicious_failures())
        };
        if cause == Cause::Unknown {
            let others_passed = deliveries > batch.retry.deliveries_seen;
            batch.retry.suspicion += u32::from(others_passed && batch.retry.requests > 1);
            batch.retry.deliveries_seen = deliveries;
            if batch.retry.suspicion >= suspicious {
                // Its halves are suspect from the start, but are tried again as well.
                batch.retry.suspicion -= 2;
                self.reject(batch, Which::Unknown { count: None }, false, reason, route);
                return;
            }
        }
        // Other batches come first next time: if this one is the problem, that shows.
        let place = if cause == Cause::Unknown { QueueEnd::Back } else { QueueEnd::Front };
        self.buffer.put_back(batch, place);
    }

    /// The server refused lines. Those that it named are settled; those that it did not are looked for by halves.
    fn reject(&self, batch: Batch, which: Which, rest_stored: bool, reason: String, route: &Route) {
        let named = match which {
            Which::Lines(lines) => lines,
            Which::All => return self.reject_all(batch, &reason, route),
            Which::Unknown { count } => {
                let all = rest_stored && count == Some(batch.lines());
                if all || batch.lines() == 1 {
                    return self.reject_all(batch, &reason, route);
                }
                return self.search(batch, count, rest_stored, reason, route);
            }
        };
        let mut reasons = named.iter().peekable();
        let mut index = 0;
        let mut refused: Vec<&str> = Vec::new();
        let (bad, mut rest) = batch.partition(|_| {
            let reason = reasons.next_if(|(bad, _)| *bad == index).map(|(_, reason)| reason);
            index += 1;
            refused.extend(reason.map(String::as_str));
            reason.is_some()
        });
        if bad.lines() == 0 {
            // A reply that names nothing of ours.
            return self.search(rest, None, rest_stored, reason, route);
        }
        self.tell_rejected(&bad, refused.into_iter(), route);
        let rejected = bad.lines();
        self.buffer.settle(bad, Outcome { delivered: 0, rejected });
        if rest.lines() == 0 {
            return;
        }
        if rest_stored {
            let delivered = rest.lines();
            self.buffer.settle(rest, Outcome { delivered, rejected: 0 });
        } else if self.spend(&mut rest, 1) {
            self.buffer.put_back(rest, QueueEnd::Front);
        } else {
            self.reject_all(rest, &reason, route);
        }
    }

    fn reject_all(&self, batch: Batch, reason: &str, route: &Route) {
        self.tell_rejected(&batch, std::iter::repeat(reason), route);
        let rejected = batch.lines();
        self.buffer.settle(batch, Outcome { delivered: 0, rejected });
    }

    /// Sends the halves of a batch by themselves. When that has cost too many requests, what the server said of numbers
    /// has to do.
    fn search(
        &self,
        mut batch: Batch,
        count: Option<usize>,
        rest_stored: bool,
        reason: String,
        route: &Route,
    ) {
        if self.spend(&mut batch, 2) {
            self.put_back_halves(batch);
            return;
        }
        if !rest_stored {
            return self.reject_all(batch, &reason, route);
        }
        let rejected = count.unwrap_or(1).clamp(1, batch.lines());
        let reason = format!("{reason} (which of {} lines is not known)", batch.lines());
        lock(&self.news).rejected(rejected, batch.database(), &reason, self.clock.now());
        self.buffer.note_error(reason);
        let delivered = batch.lines() - rejected;
        self.buffer.settle(batch, Outcome { delivered, rejected });
    }

    fn put_back_halves(&self, batch: Batch) {
        let (head, tail) = batch.split();
        if let Some(tail) = tail {
            self.buffer.put_back(tail, QueueEnd::Front);
        }
        self.buffer.put_back(head, QueueEnd::Front);
    }

    /// Takes requests from what the search for bad lines in a batch, and all of its parts, may cost.
    fn spend(&self, batch: &mut Batch, requests: u32) -> bool {
        let budget = SEARCH_REQUESTS * (batch.lines().ilog2() + 1);
        let left = batch.retry.search.get_or_insert_with(|| Arc::new(AtomicU32::new(budget)));
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(requests))
            .is_ok()
    }

    fn answered(&self, batch: &Batch, route: &Route) {
        let now = self.clock.now();
        let change = lock(&self.schedule).answered(batch.database(), now);
        lock(&self.news).answered(&change, &route.address, now);
        if change != schedule::Change::None {
            self.buffer.wake();
        }
    }

    /// Tells the hook and the log of lines that the server refused.
    fn tell_rejected<'r>(
        &self,
        lines: &'r Batch,
        reasons: impl Iterator<Item = &'r str> + Clone,
        route: &Route,
    ) {
        let first = reasons.clone().next().unwrap_or_default();
        lock(&self.news).rejected(lines.lines(), lines.database(), first, self.clock.now());
        self.buffer.note_error(first.to_owned());
        if let Some(spool) = self.buffer.spool() {
            let kept = lines.iter_lines().zip(reasons.clone());
            if let Err(error) = spool.quarantine.keep(lines.database(), lines.precision(), kept) {
                lock(&self.news).unkept(lines.lines(), &error, self.clock.now());
            }
        }
        let Some(hook) = &route.on_rejected else { return };
        for (line, reason) in lines.iter_lines().zip(reasons) {
            let line = String::from_utf8_lossy(line);
            let rejected = Rejected::new(lines.database(), &line, reason);
            // The hook is the application's; what it does wrong is not to cost other measurements.
            if catch_unwind(AssertUnwindSafe(|| hook(&rejected))).is_err() {
                tracing::error!("the hook for rejected lines panicked");
            }
        }
    }

    /// Logs what was dropped since the last time, now and then. Says when there is to be more of it.
    fn tell_news(&self, now: Duration) -> Option<Duration> {
        if !self.buffer.has_drops() {
            return None;
        }
        let mut news = lock(&self.news);
        if now < news.drops_next() {
            return Some(news.drops_next());
        }
        self.buffer.see_drops();
        news.dropped(&self.buffer.stats(), now);
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
