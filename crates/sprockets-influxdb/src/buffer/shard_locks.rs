//! The locks of shards. A thread that writes to a disk that hangs waits in the kernel and holds
//! its shard. Nobody else waits for it: the others leave that shard out, or use a spare one.

use std::thread;
use std::time::Duration;

use super::Buffer;
use super::shard::{self, Open, Shard};
use crate::sync::{MutexGuard, lock, try_lock};

/// Attempts to lock a shard before a thread sleeps between them.
const SPINS: u32 = 64;
/// How long it sleeps.
const INTERVAL: Duration = Duration::from_micros(50);
/// Intervals after which it looks whether the disk is frozen: about 20 ms.
const PATIENCE: u32 = 200;

impl Buffer {
    /// Locks this thread's shard, or the spare one if a thread that waits for the disk holds it.
    #[inline]
    pub(super) fn lock_own_shard(&self) -> MutexGuard<'_, Open> {
        let own = &self.shards[shard::index_for_this_thread(shard::usual(self.shards.len()))];
        try_lock(&own.0).unwrap_or_else(|| self.await_own_shard(own))
    }

    #[cold]
    fn await_own_shard<'a>(&'a self, own: &'a Shard) -> MutexGuard<'a, Open> {
        self.await_shard(own).unwrap_or_else(|| lock(&self.shards[self.shards.len() - 1].0))
    }

    /// Locks every shard in turn, except those whose holders wait for the disk.
    pub(super) fn lock_shards(&self) -> impl Iterator<Item = MutexGuard<'_, Open>> {
        self.shards
            .iter()
            .filter_map(|shard| try_lock(&shard.0).or_else(|| self.await_shard(shard)))
    }

    /// Waits for the lock of a shard. Returns `None` if the disk does not answer.
    #[cold]
    fn await_shard<'a>(&self, shard: &'a Shard) -> Option<MutexGuard<'a, Open>> {
        let Some(spool) = &self.spool else { return Some(lock(&shard.0)) };
        for attempt in 0_u32.. {
            if let Some(open) = try_lock(&shard.0) {
                return Some(open);
            }
            match attempt {
                ..SPINS => thread::yield_now(),
                _ if attempt % PATIENCE == 0 && spool.check_frozen() => break,
                _ => thread::sleep(INTERVAL),
            }
        }
        None
    }
}
