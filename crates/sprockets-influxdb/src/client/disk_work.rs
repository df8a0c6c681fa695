//! Disk work that a flush or shutdown waits for, though not beyond its deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::clock::Clock;
use crate::sync::{Condvar, Mutex, lock, wait};
use crate::sys;

/// Runs `work` on a thread of its own, and waits for its end until a time. Does not begin it while
/// the disk does not answer: a thread that waits for the disk keeps the process from ending.
pub(super) fn run(buffer: &Arc<Buffer>, clock: &Clock, until: Duration, work: fn(&Buffer)) {
    let Some(spool) = buffer.spool() else { return };
    spool.health().set_unchecked(true);
    if !spool.check() {
        return;
    }
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let (own, worked) = (buffer.clone(), done.clone());
    let spawned = sys::spawn("influxdb-disk", move || {
        work(&own);
        *lock(&worked.0) = true;
        worked.1.notify_all();
    });
    if spawned.is_err() {
        return work(buffer);
    }
    let mut is_done = lock(&done.0);
    while !*is_done {
        let left = until.saturating_sub(clock.now());
        if left.is_zero() {
            return;
        }
        is_done = wait(&done.1, is_done, Some(left));
    }
}
