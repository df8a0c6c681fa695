//! Closed batches that wait to be sent: those in memory, and the backlog, which is on disk.
//!
//! - New batches go first, but the backlog gets every second turn, oldest first.
//! - Only a few batches of the backlog are sent at once, so that a server that comes back is not
//!   flooded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::Batch;
use super::size::Size;
use super::spool_files::BacklogPermit;
use super::types::{QueueEnd, SequenceNumber};
use crate::config::Precision;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Batches of the backlog that may be sent at once.
const MAX_BACKLOG_PERMITS: usize = 2;

/// From this number of waiting batches on, new ones do not keep unused memory.
const LONG: usize = 8;

#[derive(Default)]
pub(super) struct ReadyQueue {
    due: VecDeque<Batch>,
    backlog: VecDeque<Batch>,
    /// The size of the backlog, all of it on disk.
    on_disk: Size,
    permits: Arc<AtomicUsize>,
    is_turn_of_backlog: bool,
}

/// The indexes of batches to which lines can be added.
pub(super) struct Mergeable(HashMap<(Arc<str>, Precision), usize>);

impl ReadyQueue {
    /// Takes the first batch that `may_go`.
    pub(super) fn take(
        &mut self,
        is_disk_readable: bool,
        may_go: impl Fn(&Batch) -> bool,
    ) -> Option<Batch> {
        let may_take_backlog = is_disk_readable
            && !self.backlog.is_empty()
            && self.permits.load(Ordering::Relaxed) < MAX_BACKLOG_PERMITS;
        let find = |batches: &VecDeque<Batch>| batches.iter().position(&may_go);
        let due = find(&self.due);
        if may_take_backlog && (self.is_turn_of_backlog || due.is_none()) {
            if let Some(index) = find(&self.backlog) {
                self.is_turn_of_backlog = false;
                let mut batch = self.backlog.remove(index)?;
                self.on_disk -= batch.size();
                batch.permit = Some(BacklogPermit::new(&self.permits));
                return Some(batch);
            }
        }
        self.is_turn_of_backlog = true;
        self.due.remove(due?)
    }

    /// Adds a batch that was just closed.
    pub(super) fn push(&mut self, batch: Batch, mergeable: &mut Mergeable) {
        mergeable.0.insert(batch.kind(), self.due.len());
        self.due.push_back(batch);
    }

    /// Puts a batch back: to the backlog if its lines are on disk only.
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

    /// Whether so many batches wait in memory that the server does not keep up.
    pub(super) fn is_long(&self) -> bool {
        self.due.len() >= LONG
    }

    /// For each database and precision of the new batches, the newest batch in memory to which
    /// lines can be added. One that was sent before, or that a flush up to `awaited` waits for,
    /// stays as it is.
    pub(super) fn mergeable(&self, new: &[Batch], awaited: Option<SequenceNumber>) -> Mergeable {
        let is_mergeable = |waiting: &Batch| {
            waiting.retry.requests == 0
                && waiting.is_mergeable()
                && awaited.is_none_or(|awaited| waiting.sequence > awaited)
        };
        let mut wanted: HashSet<_> = new.iter().map(Batch::kind).collect();
        let mut found = HashMap::with_capacity(wanted.len());
        for (index, waiting) in self.due.iter().enumerate().rev() {
            // Most find theirs among the newest batches. The queue may be long in an outage.
            if wanted.is_empty() {
                break;
            }
            if is_mergeable(waiting) {
                found.extend(wanted.take(&waiting.kind()).map(|kind| (kind, index)));
            }
        }
        Mergeable(found)
    }

    /// The batch to which the lines of `batch` can be added, if they fit.
    pub(super) fn find_mergeable(
        &mut self,
        mergeable: &Mergeable,
        batch: &Batch,
        limit: Size,
    ) -> Option<&mut Batch> {
        let waiting = self.due.get_mut(*mergeable.0.get(&batch.kind())?)?;
        limit.covers(waiting.size() + batch.size()).then_some(waiting)
    }

    /// The index of the oldest batch to seal, if the batches in memory take more than `max_bytes`.
    /// Counts the memory of chunks, which is most of what small batches take.
    pub(super) fn find_to_seal(
        &self,
        max_bytes: usize,
        has_room: impl Fn(&Batch) -> bool,
    ) -> Option<usize> {
        let sealable = self.due.iter().filter(|batch| !batch.is_unsealable);
        let used = sealable.map(Batch::memory).sum::<usize>();
        let is_chosen = |batch: &Batch| !batch.is_unsealable && has_room(batch);
        if used > max_bytes { self.due.iter().position(is_chosen) } else { None }
    }

    /// The index of the oldest batch with lines in memory only for whose files there is room.
    pub(super) fn find_unspooled(&self, has_room: impl Fn(&Batch) -> bool) -> Option<usize> {
        let is_chosen =
            |batch: &Batch| !batch.is_spooled() && batch.fits_segments() && has_room(batch);
        self.due.iter().position(is_chosen)
    }

    /// Takes a batch in memory.
    pub(super) fn remove(&mut self, index: usize) -> Option<Batch> {
        self.due.remove(index)
    }

    /// The oldest batch in memory.
    pub(super) fn oldest(&mut self) -> Option<&mut Batch> {
        self.due.front_mut()
    }

    /// Takes the oldest batch in memory.
    pub(super) fn take_oldest(&mut self) -> Option<Batch> {
        self.due.pop_front()
    }

    /// Takes the oldest batch on disk, to drop it.
    pub(super) fn take_oldest_on_disk(&mut self) -> Option<Batch> {
        let batch = self.backlog.pop_front()?;
        self.on_disk -= batch.size();
        Some(batch)
    }

    /// The paths of the files of the backlog.
    pub(super) fn sealed_paths(&self) -> Vec<PathBuf> {
        let sealed = self.backlog.iter().filter_map(Batch::sealed_file);
        sealed.map(|sealed| sealed.path().to_owned()).collect()
    }

    /// Takes the batch of the backlog whose file is at this path.
    pub(super) fn take_sealed(&mut self, path: &Path) -> Option<Batch> {
        let is_it = |batch: &Batch| batch.sealed_file().is_some_and(|file| file.path() == path);
        let index = self.backlog.iter().position(is_it)?;
        let batch = self.backlog.remove(index)?;
        self.on_disk -= batch.size();
        Some(batch)
    }

    /// Lines that wait in memory only.
    pub(super) fn unspooled(&self) -> usize {
        self.due.iter().map(Batch::unspooled).sum()
    }

    /// Lines that wait on disk only.
    pub(super) fn on_disk(&self) -> Size {
        self.on_disk
    }
}
