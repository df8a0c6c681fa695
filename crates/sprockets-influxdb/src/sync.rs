//! Locks whose poison is ignored: nothing that runs under them panics, and a measurement is not lost because something
//! else did. And the one seam to threads: locks are std's, but in the models of `make models` loom's, which tries in
//! what order they may be taken.

use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use primitives::*;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a signal, at most for `timeout`; for ever without one. A model's time is never over: who would go on only
/// then has missed a signal.
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Option<Duration>,
) -> MutexGuard<'a, T> {
    match timeout {
        Some(timeout) => {
            condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
        }
        None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
    }
}

#[cfg(not(all(loom, test)))]
mod primitives {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

    /// A `static` for each process; in a model, for each of its runs.
    macro_rules! per_process {
        (static $name:ident: $type:ty = $value:expr;) => {
            static $name: $type = $value;
        };
    }

    macro_rules! per_thread {
        (static $name:ident: $type:ty = $value:expr;) => {
            std::thread_local! { static $name: $type = const { $value }; }
        };
    }

    pub(crate) use {per_process, per_thread};
}

#[cfg(all(loom, test))]
mod primitives {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};

    macro_rules! per_process {
        (static $name:ident: $type:ty = $value:expr;) => {
            loom::lazy_static! { static ref $name: $type = $value; }
        };
    }

    macro_rules! per_thread {
        (static $name:ident: $type:ty = $value:expr;) => {
            loom::thread_local! { static $name: $type = $value; }
        };
    }

    pub(crate) use {per_process, per_thread};
}
