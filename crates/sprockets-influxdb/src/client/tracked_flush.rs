//! A flush of what is added to one database, which counts what became of it.

use std::fmt;
use std::time::Duration;

use super::core::Added;
use super::handle::Client;
use crate::buffer::RoomWait;
use crate::error::Result;
use crate::measurement::Measurement;
use crate::stats::Report;
use crate::sys;

/// Counts what becomes of the measurements that are added to one database while this lives, by any
/// thread.
pub struct TrackedFlush {
    client: Client,
    flush: u64,
    /// A forked process has another buffer, which does not know this flush.
    generation: u64,
}

impl TrackedFlush {
    /// Begins to count. An empty name is that of the default database. What waits for a backoff is
    /// sent at once.
    pub fn begin(client: &Client, database: &str) -> Self {
        let flush = client.core().begin_tracked_flush(database);
        Self { client: client.clone(), flush, generation: sys::generation() }
    }

    /// [`Client::add_measurement`] that waits for room in a full buffer, whatever the overflow
    /// setting, at most for `timeout`, and not if the server refuses the database.
    ///
    /// # Errors
    ///
    /// Those of [`Client::add_measurement`].
    pub fn add(&self, measurement: &Measurement, timeout: Duration) -> Result<Added> {
        let flush = self.is_own().then_some(self.flush);
        self.client.core().add_or_wait(measurement, RoomWait { timeout, flush })
    }

    /// Waits until what was added is decided, at most for `timeout`. Ends early if the server
    /// refuses the database until an operator changes something. Returns what became of the
    /// measurements, and the newest failure that is about them. Later additions are not counted.
    pub fn end(
        &self,
        timeout: Duration,
        is_interrupted: impl FnMut() -> bool,
    ) -> (Report, Option<String>) {
        if !self.is_own() {
            return Default::default();
        }
        self.client.core().end_tracked_flush(self.flush, timeout, is_interrupted)
    }

    fn is_own(&self) -> bool {
        self.generation == sys::generation()
    }
}

impl Drop for TrackedFlush {
    fn drop(&mut self) {
        if self.is_own() {
            self.client.core().buffer.end_flush(self.flush);
        }
    }
}

impl fmt::Debug for TrackedFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedFlush").finish_non_exhaustive()
    }
}

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
