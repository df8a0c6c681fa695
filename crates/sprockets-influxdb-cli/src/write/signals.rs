//! SIGINT, SIGTERM and SIGHUP: the first is told to the command, the next ends the process at once.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, Once, PoisonError};

use super::Event;

/// What a shell says of a process that SIGINT has ended.
const INTERRUPTED: i32 = 130;

static LISTENER: Mutex<Option<Sender<Event>>> = Mutex::new(None);
static HANDLER: Once = Once::new();

/// Tells the next signal to this listener.
pub(crate) fn tell(listener: Sender<Event>) {
    put(Some(listener));
    HANDLER.call_once(|| {
        // Where no handler can be set, the signals do what they did before.
        let _ = ctrlc::set_handler(|| {
            let told = put(None).map(|listener| listener.send(Event::Interrupted));
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

fn put(listener: Option<Sender<Event>>) -> Option<Sender<Event>> {
    std::mem::replace(&mut *LISTENER.lock().unwrap_or_else(PoisonError::into_inner), listener)
}
