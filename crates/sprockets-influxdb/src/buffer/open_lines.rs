//! Open lines: written to a shard, or granted to one, and not yet part of a closed batch.

use std::time::Duration;

use super::size::Size;
use super::types::Limits;

#[derive(Default)]
pub(super) struct OpenLines {
    /// The size of the open lines and of unused grants.
    pub(super) granted: Size,
    /// When the first of them was added.
    pub(super) first_added: Option<Duration>,
    /// Whether they are due now, whatever their age.
    is_submitted: bool,
}

impl OpenLines {
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
        self.first_added.map(|first| first.saturating_add(limits.submission_interval))
    }

    /// Notes that all of them are in closed batches.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
