//! What sender threads log: changes at once, and what goes on as a summary once a minute.

use std::io;
use std::time::Duration;

use super::circuit_breaker::Transition;
use crate::clock::Clock;
use crate::printable::plural;
use crate::stats::{Dropped, Stats};
use crate::sync::{Mutex, lock};

const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct RateLimitedLog {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rejected: Limit,
    failing: Limit,
    quarantine: Limit,
    next_drops: Duration,
    /// The drops that were logged.
    dropped: Dropped,
    /// The reason that was logged last. A new one is logged at once.
    failure: String,
}

/// Admits one message a minute, and counts what it holds back.
#[derive(Default)]
struct Limit {
    next: Duration,
    held_back: u64,
}

impl Limit {
    /// The count to log, with what was held back before; `None` holds this back, too.
    fn admit(&mut self, count: u64, now: Duration) -> Option<u64> {
        self.held_back += count;
        if now < self.next {
            return None;
        }
        self.next = now + INTERVAL;
        Some(std::mem::take(&mut self.held_back))
    }
}

impl RateLimitedLog {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// A batch failed. `pending` measurements are waiting.
    pub(super) fn failed(
        &self,
        transition: &Transition,
        address: &str,
        database: &str,
        reason: &str,
        pending: u64,
    ) {
        let mut state = lock(&self.state);
        let is_new = *transition == Transition::Opened || state.failure != reason;
        let is_due = state.failing.admit(1, self.clock.now()).is_some();
        if !is_due && !is_new {
            return;
        }
        reason.clone_into(&mut state.failure);
        let waiting = waiting(pending);
        tracing::warn!("cannot write to database {database:?} at {address}: {reason}; {waiting}");
    }

    /// A batch was answered.
    pub(super) fn answered(&self, transition: &Transition, address: &str) {
        let Transition::Closed { after } = transition else { return };
        let mut state = lock(&self.state);
        state.failing = Limit { next: self.clock.now(), held_back: 0 };
        state.failure.clear();
        let seconds = after.as_secs_f64();
        tracing::info!("{address} takes measurements again, after {seconds:.1} s");
    }

    /// A body was too large, and later ones are smaller.
    pub(super) fn limited(&self, address: &str, too_large: usize, limit: usize) {
        tracing::info!(
            "{address} rejected a body of {too_large} bytes as too large: \
             the next ones have at most {limit}"
        );
    }

    /// The server rejected lines.
    pub(super) fn rejected(&self, lines: u64, database: &str, reason: &str) {
        if let Some(lines) = lock(&self.state).rejected.admit(lines, self.clock.now()) {
            let were = if lines == 1 { "was" } else { "were" };
            let lines = plural(lines, "measurement", "measurements");
            tracing::error!("{lines} for database {database:?} {were} rejected: {reason}");
        }
    }

    /// Rejected lines could not be written to the quarantine.
    pub(super) fn not_quarantined(&self, lines: u64, error: &io::Error) {
        if let Some(lines) = lock(&self.state).quarantine.admit(lines, self.clock.now()) {
            let lines = plural(lines, "rejected line", "rejected lines");
            tracing::error!("cannot write {lines} to the quarantine: {error}");
        }
    }

    /// Logs what was dropped since the last call. If it is too early for that, returns when it is
    /// due. `stats` is called under the log's lock, so that no older counters follow newer ones.
    pub(super) fn dropped(&self, stats: impl FnOnce() -> Stats) -> Option<Duration> {
        let mut state = lock(&self.state);
        let now = self.clock.now();
        if now < state.next_drops {
            return Some(state.next_drops);
        }
        let stats = stats();
        if stats.dropped == state.dropped {
            return None;
        }
        for (reason, total) in stats.dropped.iter() {
            let new = total - state.dropped.count(reason);
            if new > 0 {
                let new = plural(new, "measurement was", "measurements were");
                tracing::warn!("{new} dropped ({reason}); {}", waiting(stats.pending));
            }
        }
        state.dropped = stats.dropped;
        state.next_drops = now + INTERVAL;
        None
    }
}

fn waiting(pending: u64) -> String {
    plural(pending, "measurement is waiting", "measurements are waiting")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_admits_one_message_a_minute_with_what_it_held_back() {
        let mut limit = Limit::default();
        let seconds = Duration::from_secs;
        assert_eq!(limit.admit(1, seconds(5)), Some(1));
        assert_eq!(limit.admit(2, seconds(6)), None);
        assert_eq!(limit.admit(3, seconds(64)), None);
        assert_eq!(limit.admit(4, seconds(65)), Some(9));
    }

    #[test]
    fn singular_and_plural_are_right() {
        let said: Vec<_> = [0, 1, 2].map(waiting).into();
        let expected = [
            "0 measurements are waiting",
            "1 measurement is waiting",
            "2 measurements are waiting",
        ];
        assert_eq!(said, expected);
    }
}
