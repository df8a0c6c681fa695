//! An event that happens once, which any thread can wait for: an interrupt, the end of the load.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Clones are the same latch.
#[derive(Clone, Default)]
pub(crate) struct Latch {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Latch {
    pub(crate) fn set(&self) {
        *self.lock() = true;
        self.shared.1.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.lock()
    }

    /// Waits for it, at most this long; says whether it is set.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let waited = self.shared.1.wait_timeout_while(self.lock(), timeout, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
