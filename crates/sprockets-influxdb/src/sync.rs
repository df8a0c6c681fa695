//! Locks and condition variables: those of std, or in the models of `make models` those of loom,
//! which tries all interleavings. Poisoning is ignored: no code panics under a lock.

use std::sync::PoisonError;
#[cfg(not(all(loom, test)))]
use std::sync::TryLockError;
use std::time::Duration;

pub(crate) use primitives::*;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks unless the lock is held. In a model it waits: what happens meanwhile is the same.
#[inline]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    #[cfg(all(loom, test))]
    return Some(lock(mutex));
    #[cfg(not(all(loom, test)))]
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Waits for a signal, at most for `timeout` if there is one. In a model no timeout ends a wait: a
/// thread that would go on only then has missed a signal.
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

    /// A `static` for each process. In a model, for each run of it.
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
