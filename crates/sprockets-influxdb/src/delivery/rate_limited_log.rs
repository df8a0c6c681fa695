//! What the log is told: changes, and of what goes on and on a summary once a minute. Written on sender threads only.

use std::time::Duration;

use super::circuit_breaker::Change;
use crate::stats::{Dropped, Stats};

/// How often the log hears of what goes on.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct RateLimitedLog {
    rejected: Limit,
    failing: Limit,
    unkept: Limit,
    drops_next: Duration,
    dropped: Dropped,
    /// What the gates that are closed are closed for; told again only when it is another reason.
    failure: String,
}

/// Lets the first through, then one a minute, with the number of those that were held back.
#[derive(Default)]
struct Limit {
    next: Duration,
    held_back: usize,
}

impl Limit {
    fn admit(&mut self, count: usize, now: Duration) -> Option<usize> {
        self.held_back += count;
        if now < self.next {
            return None;
        }
        self.next = now + EVERY;
        Some(std::mem::take(&mut self.held_back))
    }
}

impl RateLimitedLog {
    pub(super) fn failed(
        &mut self,
        change: &Change,
        address: &str,
        database: &str,
        reason: &str,
        pending: u64,
        now: Duration,
    ) {
        let is_news = *change == Change::Closed || self.failure != reason;
        let Some(_) = self.failing.admit(1, now).or(is_news.then_some(0)) else { return };
        reason.clone_into(&mut self.failure);
        tracing::warn!(
            "cannot write to database {database:?} at {address}: {reason}; {pending} measurements wait"
        );
    }

    pub(super) fn answered(&mut self, change: &Change, address: &str, now: Duration) {
        if let Change::Opened { after } = change {
            self.failing = Limit { next: now, held_back: 0 };
            self.failure.clear();
            tracing::info!(
                "{address} takes measurements again, after {:.1} s",
                after.as_secs_f64()
            );
        }
    }

    pub(super) fn limited(&mut self, address: &str, too_large: usize, most: usize) {
        tracing::info!(
            "{address} takes no body of {too_large} bytes: from now on they have at most {most}"
        );
    }

    pub(super) fn rejected(&mut self, lines: usize, database: &str, reason: &str, now: Duration) {
        if let Some(lines) = self.rejected.admit(lines, now) {
            tracing::error!(
                "{lines} measurements for database {database:?} were rejected: {reason}"
            );
        }
    }

    pub(super) fn unkept(&mut self, lines: usize, error: &std::io::Error, now: Duration) {
        if let Some(lines) = self.unkept.admit(lines, now) {
            tracing::error!("{lines} rejected lines cannot be kept in the quarantine: {error}");
        }
    }

    /// When the log may hear of drops again.
    pub(super) fn drops_next(&self) -> Duration {
        self.drops_next
    }

    pub(super) fn dropped(&mut self, stats: &Stats, now: Duration) {
        if stats.dropped == self.dropped {
            return;
        }
        for (reason, count) in stats.dropped.iter() {
            let new = count - self.dropped.count(reason);
            if new > 0 {
                let pending = stats.pending;
                tracing::warn!("{new} measurements were dropped ({reason}); {pending} wait");
            }
        }
        self.dropped = stats.dropped;
        self.drops_next = now + EVERY;
    }
}
