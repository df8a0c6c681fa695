//! Strictly increasing timestamps as close to the clock as possible.
//!
//! InfluxDB overwrites a point of the same series and timestamp, so timestamps must be unique: in
//! a process, and among the workers on a host, which often write the same series. Each process has
//! a partition of all nanoseconds: its timestamps leave the same remainder modulo [`PARTITIONS`],
//! which those of no other running process leave. The last timestamp holds that remainder, so
//! the state of the hot path is one number.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::partition::{PARTITIONS, Partition};
use crate::sys;

/// How far timestamps may be ahead of the clock, in nanoseconds, before they follow it back.
const MAX_AHEAD: i64 = 1_000_000_000;

/// No generation of forks.
const UNCLAIMED: u64 = u64::MAX;

/// An entry without a timestamp.
const VACANT: i64 = i64::MAX;

pub(super) struct Stamps {
    last: AtomicI64,
    /// The generation of forks that claimed the partition of `last`.
    generation: AtomicU64,
    /// The last timestamps in partitions that were left when the clock went back. The process
    /// still holds them. They can be used again once the clock has passed these timestamps.
    left: [AtomicI64; 16],
    has_followed: AtomicBool,
    claim: fn() -> Partition,
}

impl Stamps {
    pub(super) const fn new(claim: fn() -> Partition) -> Self {
        Self {
            last: AtomicI64::new(i64::MIN),
            generation: AtomicU64::new(UNCLAIMED),
            left: [const { AtomicI64::new(VACANT) }; 16],
            has_followed: AtomicBool::new(false),
            claim,
        }
    }

    /// The first timestamp of the partition that is neither before the time of `clock` nor used.
    /// Follows a clock that went back by more than [`MAX_AHEAD`].
    #[inline]
    pub(super) fn now(&self, clock: impl Fn() -> i64) -> i64 {
        let mut now = clock();
        if self.generation.load(Ordering::Acquire) != sys::generation() {
            self.begin(now);
        }
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            if is_ahead(last, now) {
                // Read again: this thread may have been suspended since.
                now = clock();
                if is_ahead(last, now) && self.follow_back(last, now) {
                    last = self.last.load(Ordering::Relaxed);
                    continue;
                }
            }
            let stamp = next(last, now);
            match self.last.compare_exchange_weak(last, stamp, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return stamp,
                Err(newer) => last = newer,
            }
        }
    }

    /// Claims a partition for this process. A forked child must not use its parent's.
    // Without a lock, as another thread of the parent may have held it at the fork. Threads that
    // come here at once may all claim one: the last wins, and those that were used are kept.
    #[cold]
    fn begin(&self, now: i64) {
        sys::watch_forks();
        let generation = sys::generation();
        while self.generation.load(Ordering::Acquire) != generation {
            let last = self.last.load(Ordering::Relaxed);
            for left in &self.left {
                left.store(VACANT, Ordering::Relaxed);
            }
            let partition = (self.claim)();
            let start = before(now, partition.number());
            if self.change(last, start) {
                partition.keep();
                self.generation.store(generation, Ordering::Release);
            }
        }
    }

    /// Changes to a partition in which no timestamp after `now` was used. Returns whether `last`
    /// is outdated.
    #[cold]
    fn follow_back(&self, last: i64, now: i64) -> bool {
        let is_free = |left: &&AtomicI64| left.load(Ordering::Relaxed) == VACANT;
        let is_past = |left: &&AtomicI64| left.load(Ordering::Relaxed) < now;
        let changed = if let Some(entry) = self.left.iter().find(is_past) {
            let left = entry.load(Ordering::Relaxed);
            let is_taken = |from, to| {
                entry.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            };
            if left >= now || !is_taken(left, VACANT) {
                return true;
            }
            let changed = self.change(last, before(now, left));
            entry.store(if changed { last } else { left }, Ordering::Relaxed);
            changed
        } else if let Some(entry) = self.left.iter().find(is_free) {
            let partition = (self.claim)();
            let changed = self.change(last, before(now, partition.number()));
            if changed {
                partition.keep();
                entry.store(last, Ordering::Relaxed);
            }
            changed
        } else {
            // A clock that goes back and forth all the time is not followed.
            return false;
        };
        if changed && !self.has_followed.swap(true, Ordering::Relaxed) {
            let seconds = last.saturating_sub(now) / 1_000_000_000;
            tracing::warn!(
                "influxdb: the timestamps of measurements were {seconds} s ahead of the system \
                 clock, which was probably set back. They follow it now. Later changes of the \
                 clock are not logged."
            );
        }
        true
    }

    fn change(&self, last: i64, new: i64) -> bool {
        self.last.compare_exchange(last, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[inline]
fn is_ahead(last: i64, now: i64) -> bool {
    last > now.saturating_add(MAX_AHEAD)
}

/// The first number after `last`, and not before `now`, with the remainder of `last`.
#[inline]
fn next(last: i64, now: i64) -> i64 {
    let earliest = now.max(last.saturating_add(1));
    earliest.saturating_add(last.wrapping_sub(earliest) & (PARTITIONS - 1))
}

/// The last number before `now` with the remainder of `partition`.
fn before(now: i64, partition: i64) -> i64 {
    let latest = now.saturating_sub(1);
    latest.saturating_sub(latest.wrapping_sub(partition) & (PARTITIONS - 1))
}

#[cfg(test)]
mod tests;
