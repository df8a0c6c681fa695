//! SIGINT, SIGTERM and SIGHUP: the command handles the first; the second ends the process at once.

use std::sync::{Mutex, Once, PoisonError};

type Listener = Box<dyn FnOnce() + Send>;

/// The exit code of a process that SIGINT ended, as shells report it.
const INTERRUPTED: i32 = 130;

static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);
static HANDLER: Once = Once::new();

/// Calls this listener at the next signal.
pub(crate) fn listen(listener: impl FnOnce() + Send + 'static) {
    replace(Some(Box::new(listener)));
    HANDLER.call_once(|| {
        // If no handler can be set, signals keep their default effect.
        let _ = ctrlc::set_handler(|| match replace(None) {
            Some(listener) => listener(),
            None => std::process::exit(INTERRUPTED),
        });
    });
}

/// Removes the listener: the next signal ends the process.
pub(crate) fn reset() {
    replace(None);
}

fn replace(listener: Option<Listener>) -> Option<Listener> {
    std::mem::replace(&mut *LISTENER.lock().unwrap_or_else(PoisonError::into_inner), listener)
}
