//! Whether the disk works. While it does not, application threads do not use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::{Mutex, lock};

#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Set while an operation of the disk fails.
    is_failing: AtomicBool,
    /// Set while the disk cannot even be read. A full disk can be read, and delivering what is read
    /// from it makes room.
    is_unreadable: AtomicBool,
    /// Set while the disk does not answer. Nothing writes to it then, not even to a mapping, and
    /// what was not written to a segment is lost to it.
    is_suspended: Arc<AtomicBool>,
    /// Set when the disk was not used for a while: it may have stopped to answer.
    is_unchecked: AtomicBool,
    /// Why it is failing, until it was logged.
    failure: Mutex<Option<String>>,
}

impl Health {
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.is_unreadable.load(Ordering::Relaxed)
    }

    /// Whether the disk does not answer. Nothing may be read from it or written to it then.
    pub(crate) fn is_suspended(&self) -> bool {
        self.is_suspended.load(Ordering::Relaxed)
    }

    /// The same, for whoever writes.
    pub(super) fn suspended(&self) -> Arc<AtomicBool> {
        self.is_suspended.clone()
    }

    pub(super) fn set_suspended(&self, is_suspended: bool) {
        self.is_suspended.store(is_suspended, Ordering::Relaxed);
    }

    /// Whether the disk has to be checked before it is written to.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.is_unchecked.load(Ordering::Relaxed)
    }

    pub(crate) fn set_unchecked(&self, is_unchecked: bool) {
        self.is_unchecked.store(is_unchecked, Ordering::Relaxed);
    }

    /// Marks the disk as failing. Keeps the reason of the first failure only.
    pub(super) fn fail(&self, reason: impl FnOnce() -> String) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            *lock(&self.failure) = Some(reason());
        }
    }

    pub(super) fn set_unreadable(&self) {
        self.is_unreadable.store(true, Ordering::Relaxed);
    }

    /// Allows reads again, before a retry.
    pub(super) fn allow_reads(&self) {
        self.is_unreadable.store(false, Ordering::Relaxed);
    }

    /// Notes the result of a retry.
    pub(super) fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Ordering::Relaxed);
    }

    /// Returns the reason of a failure, once.
    pub(crate) fn take_failure(&self) -> Option<String> {
        lock(&self.failure).take()
    }
}
