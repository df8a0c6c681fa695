//! Finds poison: lines that make the server fail, whatever they are sent with. (Lines that it
//! refuses without a name are found by `bisect`.)
//!
//! - A batch that fails while others of its database are answered waits by itself, and is halved
//!   when it fails again. Its good lines are delivered on the way.
//! - A single line is rejected when it failed so often while others were answered that chance is
//!   ruled out. If there is nothing else to send, a line that was delivered before is sent again,
//!   to see whether the server answers: the last line of the last batch, which no delivered line
//!   has overwritten.
//! - While no batch of a database is answered, the server may be down, or its part for that
//!   database: nothing is rejected. A few batches are cut all the same, so that small parts are
//!   tried first: there may be poison in every batch.

use std::collections::HashMap;

use super::disposition::Scope;
use crate::buffer::{Batch, FirstFailure};

/// Failures of one line, with answers to others in between, before it is rejected.
const MIN_FAILURES: u32 = 5;

/// A line is rejected if the probability is lower that it failed by chance.
const MAX_CHANCE: f64 = 1e-8;

/// Failures in a row, of any batches, after which the server, or what is in front of a database, is
/// considered to be down.
const MAX_FAILURES_IN_ROW: u32 = 8;

/// How often batches are cut while no batch is answered. Enough to get from a large batch to a
/// single line.
const MAX_CUTS: u32 = 5;

/// Maximum number of databases with a history of their own. Beyond it, all are forgotten.
const MAX_DATABASES: usize = 1_000;

/// How the last requests ended.
#[derive(Debug, Default)]
pub(super) struct RequestHistory {
    /// Requests, ever, that the server answered other than by a failure.
    answers: u64,
    /// Requests, ever, that failed by chance: the same lines were answered later.
    failures: u64,
    failure_rate: FailureRate,
    server: Streak,
    databases: HashMap<String, Streak>,
}

/// The requests since the last answer, of the server or of one database.
#[derive(Debug, Default)]
struct Streak {
    /// How many answers of the server there were, with that one. 0: none.
    last_answer: u64,
    failures: u32,
    /// Batches that were cut.
    cuts: u32,
    /// A copy of the last line of the batch that was delivered last. None of the server.
    control: Option<Batch>,
}

/// What to do about a batch that failed without a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// No batch is answered, of the server or of the database. All of these wait, and others are
    /// tried first.
    AllWait,
    /// The same, but a small part of this batch is tried first.
    AllWaitForPart,
    /// Others of the database are answered: only this batch waits.
    BatchWaits,
    /// The batch is searched for poison.
    Search,
    /// The line is poison.
    Reject,
}

impl RequestHistory {
    /// Forgets everything of the server. Batches compare the counters with those that they saw.
    pub(super) fn restart(&mut self) {
        let Self { answers, failures, .. } = *self;
        *self = Self { answers, failures, ..Self::default() };
    }

    /// The server answered this batch other than by a failure.
    pub(super) fn record_answer(&mut self, batch: &Batch) {
        let mut control = batch.last_line();
        if let Some(control) = &mut control {
            control.retry.requests = 1;
        }
        self.begin_streaks(batch.database(), control);
        self.failures += u64::from(batch.retry.failures);
        self.failure_rate.record(false);
    }

    fn begin_streaks(&mut self, database: &str, control: Option<Batch>) {
        self.answers += 1;
        self.server = Streak { last_answer: self.answers, ..Streak::default() };
        let last_answer = self.answers;
        *self.streak_of(database) = Streak { last_answer, control, ..Streak::default() };
    }

    /// A line to send before this failure of a batch is judged, to see whether the server answers
    /// for this database.
    pub(super) fn take_control(&mut self, batch: &Batch, is_probe: bool) -> Option<Batch> {
        let has_failed_before = batch.retry.answers_seen.is_some();
        if !has_failed_before || self.is_answering(batch, is_probe, Scope::Database) {
            return None;
        }
        self.databases.get_mut(batch.database())?.control.take()
    }

    /// The control was answered.
    pub(super) fn record_control(&mut self, control: Batch) {
        let database = control.database().to_owned();
        self.begin_streaks(&database, Some(control));
        self.failure_rate.record(false);
    }

    /// A batch has to wait for the server. Returns whether others are answered.
    pub(super) fn record_wait(&mut self, batch: &mut Batch, is_probe: bool) -> bool {
        let is_answering = self.is_answering(batch, is_probe, Scope::Server);
        self.record_failure(batch);
        is_answering
    }

    /// Judges a failure for which an operator has to change something. `is_probe` says whether all
    /// others of the database waited for this batch.
    pub(super) fn judge_configuration(&mut self, batch: &mut Batch, is_probe: bool) -> Reaction {
        let is_answering = self.is_answering(batch, is_probe, Scope::Database);
        self.record_failure(batch);
        if is_answering { Reaction::BatchWaits } else { Reaction::AllWait }
    }

    /// Judges a failure of this batch. `is_probe` says whether all others of the database waited
    /// for it.
    pub(super) fn judge(&mut self, batch: &mut Batch, is_probe: bool) -> Reaction {
        let is_answering = self.is_answering(batch, is_probe, Scope::Database);
        self.record_failure(batch);
        if self.server.failures <= MAX_FAILURES_IN_ROW {
            self.failure_rate.record(true);
            batch.retry.failures_counted += 1;
        }
        let reaction = match (is_answering, batch.lines()) {
            (false, 1) => Reaction::AllWait,
            (false, _) => self.streak_of(batch.database()).judge_blindly(),
            (true, lines) => {
                batch.retry.failures += 1;
                let failures = batch.retry.failures;
                match lines {
                    1 if failures >= MIN_FAILURES && self.chance(batch) < MAX_CHANCE => {
                        self.failure_rate.forget(batch.retry.failures_counted);
                        Reaction::Reject
                    }
                    1 => Reaction::BatchWaits,
                    _ if failures >= self.failures_to_search(batch) => Reaction::Search,
                    _ => Reaction::BatchWaits,
                }
            }
        };
        if matches!(reaction, Reaction::Search | Reaction::AllWaitForPart) {
            // Its parts start anew, but under suspicion.
            batch.retry.is_suspect = true;
            batch.retry.failures = 0;
            batch.retry.first_failure = None;
        }
        reaction
    }

    fn record_failure(&mut self, batch: &mut Batch) {
        self.server.failures += 1;
        self.streak_of(batch.database()).failures += 1;
        let retry = &mut batch.retry;
        retry.answers_seen = Some(self.answers);
        retry
            .first_failure
            .get_or_insert(FirstFailure { answers: self.answers, failures: self.failures });
    }

    /// Whether others were answered since the last failure of this batch, or just before its first:
    /// others at all, or of its database.
    pub(super) fn is_answering(&self, batch: &Batch, is_probe: bool, scope: Scope) -> bool {
        let streak = match scope {
            Scope::Server => &self.server,
            Scope::Database => match self.databases.get(batch.database()) {
                Some(streak) => streak,
                None => return false,
            },
        };
        let was_answering = match batch.retry.answers_seen {
            Some(seen) => streak.last_answer > seen,
            None => streak.last_answer > 0 && streak.failures == 0,
        };
        was_answering && !is_probe && streak.failures < MAX_FAILURES_IN_ROW
    }

    fn streak_of(&mut self, database: &str) -> &mut Streak {
        if !self.databases.contains_key(database) && self.databases.len() >= MAX_DATABASES {
            self.databases.clear();
        }
        self.databases.entry(database.to_owned()).or_default()
    }

    /// The probability that a batch fails that often if each request fails with the same
    /// probability, as other requests have shown it since the first failure. Many different
    /// batches fail when a network loses replies, and then all of them are delivered.
    fn chance(&self, batch: &Batch) -> f64 {
        let retry = &batch.retry;
        let Some(first) = retry.first_failure else { return 1.0 };
        let failures = (self.failures - first.failures) as f64;
        let answers = (self.answers - first.answers) as f64;
        // The rule of succession, for one failure after another.
        (0..retry.failures)
            .map(|n| (failures + f64::from(n) + 1.0) / (failures + answers + f64::from(n) + 2.0))
            .product()
    }

    /// So many failures that chance is unlikely. On a bad network, batches must not fall to pieces.
    fn failures_to_search(&self, batch: &Batch) -> u32 {
        let least = if batch.retry.is_suspect { 1 } else { 2 };
        let rate = self.failure_rate.estimate(batch.retry.failures_counted);
        failures_by_chance(0.05, rate).max(least)
    }
}

/// How many failures of one batch in a row have this probability, if it is not to blame.
fn failures_by_chance(probability: f64, failure_rate: f64) -> u32 {
    (probability.ln() / failure_rate.clamp(0.01, 0.99).ln()).ceil() as u32
}

/// How often requests fail. The newest count most. Failures count until poison is found that
/// explains them, so that a bad network makes no line poison.
#[derive(Debug, Default)]
struct FailureRate {
    failures: f64,
    requests: f64,
}

impl FailureRate {
    fn record(&mut self, has_failed: bool) {
        /// About the last 50 requests count.
        const DECAY: f64 = 0.98;
        self.failures = self.failures * DECAY + f64::from(u8::from(has_failed));
        self.requests = self.requests * DECAY + 1.0;
    }

    /// Poison explains so many failures.
    fn forget(&mut self, failures: u32) {
        (self.failures, self.requests) = self.without(failures);
    }

    fn without(&self, failures: u32) -> (f64, f64) {
        let explained = f64::from(failures).min(self.failures);
        (self.failures - explained, self.requests - explained)
    }

    /// The rate, if these failures are left out.
    fn estimate(&self, without: u32) -> f64 {
        let (failures, requests) = self.without(without);
        failures / requests.max(1.0)
    }
}

impl Streak {
    /// Nobody is answered. After a failure of another batch there may be poison in every one.
    fn judge_blindly(&mut self) -> Reaction {
        if self.failures < 3 || self.cuts >= MAX_CUTS {
            return Reaction::AllWait;
        }
        self.cuts += 1;
        Reaction::AllWaitForPart
    }
}
