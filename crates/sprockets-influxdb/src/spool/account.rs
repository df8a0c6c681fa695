//! How much of the disk the spool takes: one account for all processes of a user, and for all files
//! in the directory: segments, sealed, damaged and quarantined ones.
//!
//! - The account is a number in a mapped file. A process adds the size of a file before it makes
//!   the file, and subtracts it after the file is gone. This takes no system call, and a lock only
//!   to find the mapping.
//! - What a dead process has claimed remains claimed, as its files remain. Whoever adopts and
//!   removes them subtracts it.
//! - Now and then a process counts the files and corrects the account: another program may have
//!   removed files, or a process may have ended between the two steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Counters, DirEntry, Disk};
use super::format::MAX_FILE_BYTES;
use crate::sync::{Mutex, lock};

/// Sizes are rounded up to a multiple of this.
const BLOCK: u64 = 4096;

/// What the directory of a slot takes, with its lock.
pub(super) const SLOT_BYTES: u64 = BLOCK;

#[derive(Debug)]
pub(crate) struct Account {
    disk: Arc<dyn Disk>,
    /// The directory of its file.
    directory: PathBuf,
    /// The most that the spool may take, in bytes.
    limit: AtomicU64,
    /// The part of the limit that is kept for files which make room: sealed and merged ones.
    reserve: AtomicU64,
    counters: Mutex<Option<Arc<Counters>>>,
    /// How much more than the files the account had at the last count.
    last_excess: AtomicU64,
}

/// Bytes that are claimed for a file that is about to be made. They are released unless it is kept.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    account: &'a Account,
    bytes: u64,
}

impl Account {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Self {
        let (limit, reserve) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        let (counters, last_excess) = (Mutex::default(), AtomicU64::new(0));
        Self { disk, directory, limit, reserve, counters, last_excess }
    }

    pub(super) fn set_limit(&self, limit: u64, reserve: u64) {
        self.limit.store(limit, Ordering::Relaxed);
        self.reserve.store(reserve, Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// What the spool takes, in bytes. 0 until the account is opened.
    pub(crate) fn used(&self) -> u64 {
        let counters = lock(&self.counters);
        counters.as_ref().map_or(0, |counters| counters.used().load(Ordering::Relaxed))
    }

    /// Claims room for a file with new lines. Returns `None` if there is none.
    pub(super) fn claim(&self, bytes: u64) -> Option<Claim<'_>> {
        self.claim_below(bytes, self.limit().saturating_sub(self.reserve.load(Ordering::Relaxed)))
    }

    /// Claims room for a file that takes the place of others.
    pub(super) fn claim_reserved(&self, bytes: u64) -> Option<Claim<'_>> {
        self.claim_below(bytes, self.limit())
    }

    /// Claims room for a file that grows by `added` bytes.
    pub(super) fn claim_growth(&self, bytes: u64, added: u64) -> Option<Claim<'_>> {
        self.claim_below(blocks(bytes + added) - blocks(bytes), self.limit())
    }

    fn claim_below(&self, bytes: u64, limit: u64) -> Option<Claim<'_>> {
        let bytes = blocks(bytes);
        let counters = self.opened();
        let claimed = |used: u64| used.checked_add(bytes).filter(|used| *used <= limit);
        let used = counters.used();
        used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, claimed).ok()?;
        counters.note_change();
        Some(Claim { account: self, bytes })
    }

    /// Adds what takes room in any case.
    pub(super) fn add(&self, bytes: u64) {
        let counters = self.opened();
        counters.used().fetch_add(blocks(bytes), Ordering::AcqRel);
        counters.note_change();
    }

    /// Subtracts a file that is gone.
    pub(super) fn release(&self, bytes: u64) {
        let counters = self.opened();
        let released = |used: u64| Some(used.saturating_sub(blocks(bytes)));
        let _ = counters.used().fetch_update(Ordering::AcqRel, Ordering::Relaxed, released);
        counters.note_change();
    }

    /// Corrects the account by the size of all files. Has no effect if the account changes while
    /// `measure` counts them. What is missing is added at once. What is too much is subtracted at
    /// the second count that finds it: the first may miss a file that is being made.
    pub(super) fn correct(&self, measure: impl FnOnce() -> u64) {
        self.reopen_if_replaced();
        let counters = self.opened();
        let changes = counters.changes().load(Ordering::Acquire);
        let used = counters.used().load(Ordering::Acquire);
        let measured = measure();
        if counters.changes().load(Ordering::Acquire) != changes {
            return;
        }
        let excess = used.saturating_sub(measured);
        let stale = excess.min(self.last_excess.swap(excess, Ordering::Relaxed));
        let corrected = used.max(measured) - stale;
        if corrected != used {
            let _ = counters.used().compare_exchange(
                used,
                corrected,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
    }

    /// Whether the last count found less than the account has.
    pub(super) fn has_excess(&self) -> bool {
        self.last_excess.load(Ordering::Relaxed) > 0
    }

    /// The counters. Opens them on first use. Without a disk they are in memory.
    fn opened(&self) -> Arc<Counters> {
        lock(&self.counters).get_or_insert_with(|| self.open()).clone()
    }

    fn open(&self) -> Arc<Counters> {
        let directory = self.disk.usable_dir(&self.directory, false);
        let opened = directory.and_then(|found| self.disk.open_counters(&found.join("used")));
        Arc::new(opened.unwrap_or_else(|_| Counters::in_memory()))
    }

    /// Opens the account again if its file was removed, replaced or cut. Does not hold the lock
    /// meanwhile: threads that add take it.
    fn reopen_if_replaced(&self) {
        let path = self.disk.usable_dir(&self.directory, false).map(|found| found.join("used"));
        let id = path.and_then(|path| self.disk.stat(&path)).ok().map(|found| found.id);
        let is_current = |counters: &Arc<Counters>| counters.is_of(id);
        if !lock(&self.counters).as_ref().is_some_and(is_current) {
            let opened = self.open();
            *lock(&self.counters) = Some(opened);
        }
    }
}

impl Claim<'_> {
    /// The file exists now.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}

/// A size, rounded up to whole blocks.
fn blocks(bytes: u64) -> u64 {
    bytes.saturating_add(BLOCK - 1) / BLOCK * BLOCK
}

/// What a file of this user counts. One that is too long to be ours counts as what it takes on the
/// disk: it may have holes.
pub(super) fn counted(entry: &DirEntry) -> u64 {
    match entry {
        entry if entry.is_foreign => 0,
        entry if entry.bytes > MAX_FILE_BYTES as u64 => blocks(entry.allocated),
        entry => blocks(entry.bytes),
    }
}

#[cfg(all(test, unix))]
mod tests;
