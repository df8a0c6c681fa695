//! What sender threads log: changes at once, and what goes on as a summary once a minute.

use std::io;
use std::time::Duration;

use super::circuit_breaker::Transition;
use crate::clock::Clock;
use crate::printable::{grouped, plural};
use crate::stats::{Dropped, Stats};
use crate::sync::{Mutex, lock};

const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct RateLimitedLog {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rejected: Rejections,
    failing: Limit,
    quarantine: Limit,
    own_counters: Limit,
    next_drops: Duration,
    /// The drops that were logged.
    dropped: Dropped,
    /// The reason that was logged last. A new one is logged at once.
    failure: String,
}

/// Maximum number of kinds of rejections that have a limit of their own. The others share one.
const MAX_KINDS: usize = 16;

/// Rejections by database and kind of reason, so that a new one is logged at once.
#[derive(Default)]
struct Rejections {
    kinds: Vec<(String, Limit)>,
    others: Limit,
}

impl Rejections {
    /// The counts to log, and whether they are those of this kind only.
    fn admit(
        &mut self,
        lines: u64,
        database: &str,
        reason: &str,
        now: Duration,
    ) -> Option<(Counted, bool)> {
        // What is quoted, and numbers, are of the lines.
        let head = reason.split(['"', '\'']).next().unwrap_or_default();
        let head = head.chars().filter(|character| !character.is_ascii_digit());
        let kind: String = database.chars().chain(['\n']).chain(head).collect();
        let known = self.kinds.iter_mut().find(|(known, _)| *known == kind);
        if let Some((_, limit)) = known {
            return limit.admit(lines, now).map(|counted| (counted, true));
        }
        if self.kinds.len() >= MAX_KINDS {
            return self.others.admit(lines, now).map(|counted| (counted, false));
        }
        let mut limit = Limit::default();
        let counted = limit.admit(lines, now);
        self.kinds.push((kind, limit));
        counted.map(|counted| (counted, true))
    }
}

/// Admits one message a minute, and counts what it holds back.
#[derive(Default)]
struct Limit {
    next: Duration,
    held_back: u64,
    total: u64,
}

/// What a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    /// Since the last message.
    new: u64,
    /// Since the start.
    total: u64,
}

impl Limit {
    /// The counts to log, with what was held back before; `None` holds this back, too.
    fn admit(&mut self, count: u64, now: Duration) -> Option<Counted> {
        self.held_back += count;
        self.total += count;
        if now < self.next {
            return None;
        }
        self.next = now + INTERVAL;
        Some(Counted { new: std::mem::take(&mut self.held_back), total: self.total })
    }
}

impl Counted {
    /// The total, where it is not what is new: ", 26,080 since the start".
    fn in_all(self) -> String {
        if self.new == self.total {
            return String::new();
        }
        format!(", {} since the start", grouped(self.total))
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
        state.failing = Limit { next: self.clock.now(), ..Limit::default() };
        state.failure.clear();
        let seconds = after.as_secs_f64();
        // A warning, as the failure was: what shows that shows its end.
        tracing::warn!("{address} takes measurements again, after {seconds:.1} s");
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
        let now = self.clock.now();
        let admitted = lock(&self.state).rejected.admit(lines, database, reason, now);
        let Some((counted, is_one_kind)) = admitted else { return };
        let in_all = counted.in_all();
        if is_one_kind || counted.new == lines {
            let were = if counted.new == 1 { "was" } else { "were" };
            let lines = plural(counted.new, "measurement", "measurements");
            tracing::error!("{lines} for database {database:?} {were} rejected{in_all}: {reason}");
        } else {
            // They may be of several databases, and rejected for several reasons.
            let were = plural(counted.new, "measurement was", "measurements were");
            tracing::error!(
                "{were} rejected{in_all}. The last for database {database:?}: {reason}"
            );
        }
    }

    /// Rejected lines could not be written to the quarantine.
    pub(super) fn not_quarantined(&self, lines: u64, error: &io::Error) {
        if let Some(counted) = lock(&self.state).quarantine.admit(lines, self.clock.now()) {
            let lines = plural(counted.new, "rejected line", "rejected lines");
            let in_all = counted.in_all();
            tracing::error!("cannot write {lines} to the quarantine{in_all}: {error}");
        }
    }

    /// The client's own counters could not be written.
    pub(super) fn not_reported(&self, database: &str, reason: &str) {
        if lock(&self.state).own_counters.admit(1, self.clock.now()).is_some() {
            tracing::warn!(
                "cannot write the client's own counters to database {database:?}: {reason}"
            );
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
                let in_all = Counted { new, total }.in_all();
                let were = plural(new, "measurement was", "measurements were");
                tracing::warn!("{were} dropped ({reason}){in_all}; {}", waiting(stats.pending));
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
        let counted = |new, total| Some(Counted { new, total });
        assert_eq!(limit.admit(1, seconds(5)), counted(1, 1));
        assert_eq!(limit.admit(2, seconds(6)), None);
        assert_eq!(limit.admit(3, seconds(64)), None);
        assert_eq!(limit.admit(4, seconds(65)), counted(9, 10));
        assert_eq!(Counted { new: 9, total: 26_080 }.in_all(), ", 26,080 since the start");
        assert_eq!(Counted { new: 9, total: 9 }.in_all(), "");
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
