//! SealOutcome batches that wait to be sent: those in memory, and behind them the backlog, which is on disk. What was just
//! recorded goes first, but the backlog has every second turn, the oldest first, and few at a time: a server that comes
//! back is not flooded with what it missed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Size;
use super::batch::{BacklogPermit, Batch};
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Batches of the backlog that may be on their way at once.
const BACKLOG_AT_ONCE: usize = 2;

#[derive(Default)]
pub(super) struct ReadyQueue {
    pub(super) due: VecDeque<Batch>,
    pub(super) backlog: VecDeque<Batch>,
    /// What the backlog has, all of it on disk.
    on_disk: Size,
    permits: Arc<AtomicUsize>,
    prefers_backlog: bool,
}

/// Where a batch goes that waits again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum QueueEnd {
    Front,
    Back,
}

impl ReadyQueue {
    /// Takes the first batch of a database that `is_open`.
    pub(super) fn take(
        &mut self,
        is_readable: bool,
        is_open: impl Fn(&str) -> bool,
    ) -> Option<Batch> {
        let has_permit = is_readable
            && !self.backlog.is_empty()
            && self.permits.load(Ordering::Relaxed) < BACKLOG_AT_ONCE;
        let find =
            |batches: &VecDeque<Batch>| batches.iter().position(|batch| is_open(batch.database()));
        let due = find(&self.due);
        if has_permit && (self.prefers_backlog || due.is_none()) {
            if let Some(index) = find(&self.backlog) {
                self.prefers_backlog = false;
                let mut batch = self.backlog.remove(index)?;
                self.on_disk -= batch.size();
                batch.permit = Some(BacklogPermit::new(&self.permits));
                return Some(batch);
            }
        }
        self.prefers_backlog = true;
        self.due.remove(due?)
    }

    /// Puts a batch where it waits again: in memory, or on disk, if its lines are there only.
    pub(super) fn put_back(&mut self, mut batch: Batch, end: QueueEnd) {
        batch.permit = None;
        let batches = if batch.is_on_disk() {
            self.on_disk += batch.size();
            &mut self.backlog
        } else {
            &mut self.due
        };
        match end {
            QueueEnd::Front => batches.push_front(batch),
            QueueEnd::Back => batches.push_back(batch),
        }
    }

    /// Where the oldest batch is that is in memory and `chosen`, if all of them take up more than so many bytes of it, which
    /// the lines of small ones are the least part of.
    pub(super) fn find_beyond(
        &self,
        bytes: usize,
        chosen: impl Fn(&Batch) -> bool,
    ) -> Option<usize> {
        let may_leave = |batch: &&Batch| !batch.stays;
        let used = self.due.iter().filter(may_leave).map(Batch::capacity).sum::<usize>();
        let is_it = |batch: &Batch| !batch.stays && chosen(batch);
        if used > bytes { self.due.iter().position(is_it) } else { None }
    }

    /// The oldest batch whose lines may be dropped.
    pub(super) fn oldest(&mut self) -> Option<&mut Batch> {
        self.due.front_mut()
    }

    /// Takes the oldest batch on disk, to be dropped.
    pub(super) fn take_oldest_on_disk(&mut self) -> Option<Batch> {
        let batch = self.backlog.pop_front()?;
        self.on_disk -= batch.size();
        Some(batch)
    }

    /// Lines that wait in memory only.
    pub(super) fn unspooled(&self) -> usize {
        self.due.iter().filter(|batch| !batch.is_spooled()).map(Batch::lines).sum()
    }

    /// Lines that wait on disk only.
    pub(super) fn on_disk(&self) -> Size {
        self.on_disk
    }
}
