//! Measurements whose memory a thread uses again.

use std::cell::RefCell;

use crate::measurement::Measurement;

thread_local! {
    static SPARE: RefCell<Vec<Measurement>> = const { RefCell::new(Vec::new()) };
}

/// Maximum number of spare measurements of a thread.
const MAX_COUNT: usize = 16;

/// Maximum size of a spare measurement, in bytes. A larger one is not worth its memory.
const MAX_BYTES: usize = 4 * 1024;

/// A measurement with unspecified content: the caller has to restart it.
pub(crate) fn take() -> Measurement {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    spare.unwrap_or_else(|| Measurement::new("", ""))
}

/// Keeps a measurement that is not needed any more.
pub(crate) fn keep(measurement: Measurement) {
    let is_kept = measurement.memory() <= MAX_BYTES;
    // This fails when the thread is at its end.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if is_kept && spare.len() < MAX_COUNT {
            spare.push(measurement);
        }
    });
}
