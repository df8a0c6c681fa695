//! SIGINT, SIGTERM and SIGHUP: the first is told to the command, the next ends the process at once.

use std::sync::{Mutex, Once, PoisonError};

/// What is called at the first signal.
type Listener = Box<dyn FnOnce() + Send>;

/// What a shell says of a process that SIGINT has ended.
const INTERRUPTED: i32 = 130;

static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);
static HANDLER: Once = Once::new();

/// Tells the next signal to this listener.
pub(crate) fn tell(listener: impl FnOnce() + Send + 'static) {
    put(Some(Box::new(listener)));
    HANDLER.call_once(|| {
        // Where no handler can be set, the signals do what they did before.
        let _ = ctrlc::set_handler(|| {
            let told = put(None).map(|listener| listener());
            if told.is_none() {
                std::process::exit(INTERRUPTED);
            }
        });
    });
}

/// From now on a signal ends the process.
pub(crate) fn forget() {
    put(None);
}

fn put(listener: Option<Listener>) -> Option<Listener> {
    std::mem::replace(&mut *LISTENER.lock().unwrap_or_else(PoisonError::into_inner), listener)
}
