//! Finds poison: a batch that makes the server fail. While no other batch is answered, no batch is
//! treated as poison: the server may be down.

use super::disposition::Cause;
use crate::buffer::Batch;

/// Failures of one batch, with answers to other batches in between, before the batch is suspected.
const MIN_FAILURES: u32 = 5;

/// Malformed replies to one batch before the batch is suspected.
const MALFORMED_REPLIES: u32 = 3;

/// How the last requests ended.
#[derive(Debug, Default)]
pub(super) struct RequestHistory {
    /// Requests, ever, that the server answered other than by a failure.
    answers: u64,
    /// The share of failures with an unknown cause among the last hundred requests or so.
    failure_rate: f64,
}

/// Who is to blame for a malformed reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// Too early to say.
    Nobody,
    /// The batch: others were answered meanwhile.
    Batch,
    /// The batch, or what lies between us and the server: no other batch was answered.
    Unclear,
}

impl RequestHistory {
    pub(super) fn record_answer(&mut self) {
        self.answers += 1;
        self.record(false);
    }

    pub(super) fn record_failure(&mut self, cause: Cause) {
        if cause == Cause::Unknown {
            self.record(true);
        }
    }

    /// Counts a failure of this batch with an unknown cause. Returns whether the batch is poison:
    /// it failed again and again while others were answered.
    pub(super) fn is_poison(&self, batch: &mut Batch) -> bool {
        let trials = &mut batch.retry;
        let others_passed = self.answers > trials.deliveries_seen;
        trials.suspicion += u32::from(others_passed && trials.requests > 1);
        trials.deliveries_seen = self.answers;
        let is_poison = trials.suspicion >= self.suspicious_failures();
        if is_poison {
            // Its halves inherit most of the suspicion, but each is retried as well.
            trials.suspicion -= 2;
        }
        is_poison
    }

    /// Counts a malformed reply to this batch. Some servers copy a bad line into a header, which
    /// makes the reply malformed.
    pub(super) fn blame_for_malformed_reply(&self, batch: &mut Batch) -> Blame {
        let trials = &mut batch.retry;
        trials.unparsable += 1;
        let seen = *trials.unparsable_since.get_or_insert(self.answers);
        if trials.unparsable < MALFORMED_REPLIES {
            Blame::Nobody
        } else if self.answers > seen {
            Blame::Batch
        } else {
            Blame::Unclear
        }
    }

    /// So many failures of one batch that chance is ruled out, even on a network that loses every
    /// second connection.
    fn suspicious_failures(&self) -> u32 {
        const CHANCE: f64 = 1e-6;
        let needed = CHANCE.ln() / self.failure_rate.clamp(0.01, 0.99).ln();
        (needed.ceil() as u32).max(MIN_FAILURES)
    }

    fn record(&mut self, is_failure: bool) {
        const WEIGHT: f64 = 0.02;
        let outcome = f64::from(u8::from(is_failure));
        self.failure_rate += WEIGHT * (outcome - self.failure_rate);
    }
}
