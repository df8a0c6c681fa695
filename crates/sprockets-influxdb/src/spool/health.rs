//! Whether the disk works. While it does not, application threads do not use it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::{Mutex, lock};

#[derive(Debug, Default)]
pub(super) struct Health {
    /// Set while an operation of the disk fails.
    is_failing: AtomicBool,
    /// Set while the disk cannot even be read. A full disk can be read, and delivering what is read
    /// from it makes room.
    is_unreadable: AtomicBool,
    /// Why it is failing, until it was logged.
    failure: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(super) fn is_unreadable(&self) -> bool {
        self.is_unreadable.load(Ordering::Relaxed)
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
    pub(super) fn take_failure(&self) -> Option<String> {
        lock(&self.failure).take()
    }
}
