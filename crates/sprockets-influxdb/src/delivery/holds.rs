//! Batches that wait by themselves, while others are sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::backoff::Backoff;
use crate::buffer::{Batch, Hold};

/// The shortest and the longest time between requests of searches that have used up their budget.
const SEARCH_INTERVALS: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_millis(50));

/// The time between those requests, as a multiple of the time that the last request took. A search
/// takes at most a quarter of one connection's time.
const SEARCH_PACE: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Holds {
    /// When batches may be sent, for the next look at the queue, and when they were sent before.
    ends: BinaryHeap<Reverse<(Duration, Duration)>>,
    /// Since when the last one who asked for a retry waits. Holds for what was sent before have
    /// ended.
    asked_since: Duration,
    /// When the next request of a search without a budget may be made.
    next_search: Duration,
    /// How long the last request took.
    request_time: Duration,
}

impl Holds {
    /// Whether the batch may be sent.
    pub(super) fn allow(&self, batch: &Batch, now: Duration) -> bool {
        batch.retry.hold.is_none_or(|hold| hold.until <= now || hold.sent < self.asked_since)
    }

    /// Lets the batch wait, which was sent at `sent`. The wait grows with the number of failures.
    pub(super) fn back_off(
        &mut self,
        batch: &mut Batch,
        failures: u32,
        sent: Duration,
        now: Duration,
    ) {
        let wait = Backoff::after(failures.saturating_sub(1)).next(fastrand::f64());
        self.hold(batch, sent, now + wait);
    }

    /// Lets the batch wait, which was sent at `sent`, until an operator may have changed something.
    pub(super) fn wait_for_operator(&mut self, batch: &mut Batch, sent: Duration, now: Duration) {
        self.hold(batch, sent, now + Backoff::for_operator(fastrand::f64()));
    }

    /// Lets a part of a search wait until it is its turn.
    pub(super) fn slow_down(&mut self, batch: &mut Batch, now: Duration) {
        let until = self.next_search_at(now);
        self.hold(batch, now, until);
    }

    /// Takes the next turn of the slow searches.
    fn next_search_at(&mut self, now: Duration) -> Duration {
        let (shortest, longest) = SEARCH_INTERVALS;
        let interval = (self.request_time * SEARCH_PACE).clamp(shortest, longest);
        self.next_search = self.next_search.max(now) + interval;
        self.next_search
    }

    /// A request took so long.
    pub(super) fn record_request(&mut self, time: Duration) {
        self.request_time = time;
    }

    /// Ends the holds for what was sent before `since`, also those that are still to come: somebody
    /// waits for the outcome since then.
    pub(super) fn release(&mut self, since: Duration) {
        self.asked_since = self.asked_since.max(since);
        self.ends.retain(|Reverse((_, sent))| *sent >= self.asked_since);
        self.next_search = Duration::ZERO;
    }

    /// When the next hold ends.
    pub(super) fn next_end(&mut self, now: Duration) -> Option<Duration> {
        while self.ends.peek().is_some_and(|Reverse((end, _))| *end <= now) {
            self.ends.pop();
        }
        self.ends.peek().map(|Reverse((end, _))| *end)
    }

    fn hold(&mut self, batch: &mut Batch, sent: Duration, until: Duration) {
        batch.retry.hold = Some(Hold { until, sent });
        self.ends.push(Reverse((until, sent)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_search_is_paced_by_the_last_request() {
        let milliseconds = Duration::from_millis;
        for (took, interval) in [(0, 1), (5, 20), (1_000, 50)] {
            let mut holds = Holds::default();
            holds.record_request(milliseconds(took));
            assert_eq!(holds.next_search_at(milliseconds(7)), milliseconds(7 + interval));
            let second = holds.next_search_at(milliseconds(7));
            assert_eq!(second, milliseconds(7 + 2 * interval));
        }
    }
}
