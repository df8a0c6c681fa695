//! Open lines: written to a shard, or granted to one, and not yet part of a closed batch.

use std::time::Duration;

use super::size::Size;
use super::types::Limits;

#[derive(Default)]
pub(super) struct OpenLines {
    /// The size of the open lines and of unused grants.
    pub(super) granted: Size,
    /// When the first of them was added.
    first_added: Option<Duration>,
    phase: Phase,
    /// Whether they are due now, whatever their age.
    is_submitted: bool,
}

/// How long lines wait. Until a batch was kept to be sent, they wait for the first interval. If
/// batches are sampled out, that ends after a submission interval.
#[derive(Clone, Copy, Default)]
enum Phase {
    #[default]
    NothingAdded,
    First {
        ends: Duration,
    },
    Usual,
}

impl OpenLines {
    pub(super) fn is_empty(&self) -> bool {
        self.first_added.is_none()
    }

    /// Whether a line was added so far.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.phase, Phase::NothingAdded)
    }

    /// The first line is about to be added.
    pub(super) fn begin(&mut self, now: Duration, limits: &Limits) {
        self.first_added = Some(now);
        self.phase = match self.phase {
            Phase::NothingAdded => {
                Phase::First { ends: now.saturating_add(limits.submission_interval) }
            }
            Phase::First { ends } if now >= ends => Phase::Usual,
            phase => phase,
        };
    }

    /// The next batch is a first one again, as for a new server.
    pub(super) fn restart(&mut self, now: Duration, limits: &Limits) {
        self.phase = Phase::NothingAdded;
        if !self.is_empty() {
            self.begin(now, limits);
        }
    }

    /// Lines that may still be granted before the trigger size is reached.
    pub(super) fn lines_to_trigger(&self, limits: &Limits) -> usize {
        if self.is_submitted {
            return usize::MAX;
        }
        limits.trigger_size.saturating_sub(self.granted.lines)
    }

    /// Whether there are enough to submit them.
    pub(super) fn is_triggered(&self, limits: &Limits) -> bool {
        !self.is_submitted
            && (self.granted.lines >= limits.trigger_size
                || self.granted.bytes >= limits.batch.bytes)
    }

    /// Makes all of them due. Returns whether there are any that were not.
    pub(super) fn submit(&mut self) -> bool {
        let is_new = !self.is_submitted && self.granted.lines > 0;
        self.is_submitted |= is_new;
        is_new
    }

    /// When they are due. `None` if there are none.
    pub(super) fn due_at(&self, limits: &Limits) -> Option<Duration> {
        if self.is_submitted {
            return Some(Duration::ZERO);
        }
        let interval = match self.phase {
            Phase::Usual => limits.submission_interval,
            _ => limits.first_interval.min(limits.submission_interval),
        };
        self.first_added.map(|first| first.saturating_add(interval))
    }

    /// Notes that they are in closed batches, of which some may have been `kept`. Those of `held`
    /// size are not: they are in shards that could not be locked, and wait anew, or in batches that
    /// are to be closed next, if there are `more`.
    pub(super) fn clear(&mut self, kept: bool, held: Size, more: bool, now: Duration) {
        let phase = if kept { Phase::Usual } else { self.phase };
        let first_added = (held.lines > 0).then_some(now);
        *self = Self { phase, granted: held, first_added, is_submitted: more };
    }
}
