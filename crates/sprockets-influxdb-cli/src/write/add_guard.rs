//! Lets the reading thread add a line, until it is closed: so that what was read is in the books before they are closed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    is_busy: bool,
}

impl Gate {
    /// Runs `add`, unless the gate is closed.
    pub(crate) fn pass<T>(&self, add: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.lock();
            if state.is_closed {
                return None;
            }
            state.is_busy = true;
        }
        let added = add();
        let mut state = self.lock();
        state.is_busy = false;
        if state.is_closed {
            self.left.notify_all();
        }
        Some(added)
    }

    /// Lets nothing through any more, and waits for what is in it, at most until then.
    pub(crate) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.is_closed = true;
        let timeout = deadline.saturating_duration_since(Instant::now());
        let waited = self.left.wait_timeout_while(state, timeout, |state| state.is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
