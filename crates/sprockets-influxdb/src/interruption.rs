//! Ends the wait of an add that blocks on a full buffer, where the runtime around the client has a
//! reason to: in Python, a signal whose handler raises.

use std::sync::OnceLock;
use std::time::Duration;

/// How often an add that blocks asks.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

static IS_INTERRUPTED: OnceLock<fn() -> bool> = OnceLock::new();

/// Sets what an add that blocks asks every 100 ms, on its own thread and without a lock. An add
/// that is interrupted is dropped as after its timeout.
pub fn interrupt_blocked_adds_if(is_interrupted: fn() -> bool) {
    // The first stays: a process has one runtime.
    let _ = IS_INTERRUPTED.set(is_interrupted);
}

pub(crate) fn is_interrupted() -> bool {
    IS_INTERRUPTED.get().is_some_and(|is_interrupted| is_interrupted())
}
