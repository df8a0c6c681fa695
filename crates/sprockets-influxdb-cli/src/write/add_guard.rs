//! Lets the reading thread add lines until the command stops it, so that every line that was read
//! is in the client's counters before those are read.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct AddGuard {
    state: Mutex<State>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    is_adding: bool,
}

impl AddGuard {
    /// Calls `add`, unless it was stopped.
    pub(crate) fn run<T>(&self, add: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.lock();
            if state.is_stopped {
                return None;
            }
            state.is_adding = true;
        }
        let added = add();
        let mut state = self.lock();
        state.is_adding = false;
        if state.is_stopped {
            self.finished.notify_all();
        }
        Some(added)
    }

    /// Prevents further calls, and waits for the one under way until the deadline.
    pub(crate) fn stop(&self, deadline: Instant) {
        let mut state = self.lock();
        state.is_stopped = true;
        let timeout = deadline.saturating_duration_since(Instant::now());
        let waited = self.finished.wait_timeout_while(state, timeout, |state| state.is_adding);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
