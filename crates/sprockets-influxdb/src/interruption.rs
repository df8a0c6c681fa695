//! Ends the wait of an add that blocks on a full buffer when the runtime around the client asks for
//! it. In Python that is a signal whose handler raises.

use std::sync::OnceLock;
use std::time::Duration;

/// How often an add that blocks calls the function.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

static IS_INTERRUPTED: OnceLock<fn() -> bool> = OnceLock::new();

/// Sets the function that an add that blocks calls every 100 ms, on its own thread and without a
/// lock. If it returns true, the measurement is dropped as after the block timeout.
pub fn interrupt_blocked_adds_if(is_interrupted: fn() -> bool) {
    // The first one stays: a process has one runtime.
    let _ = IS_INTERRUPTED.set(is_interrupted);
}

pub(crate) fn is_interrupted() -> bool {
    IS_INTERRUPTED.get().is_some_and(|is_interrupted| is_interrupted())
}
