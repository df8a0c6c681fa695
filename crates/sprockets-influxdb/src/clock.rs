//! Time: wall-clock timestamps that are unique in the process, and a monotonic clock that tests
//! replace, so that an hour of retries takes milliseconds.

use std::sync::atomic::{AtomicI64, Ordering};
#[cfg(test)]
use std::sync::{Arc, atomic::AtomicU64};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static STAMPS: Stamps = Stamps::new();

/// The current time in nanoseconds since the Unix epoch. No number is returned twice in a process.
pub(crate) fn unique_stamp() -> i64 {
    STAMPS.after(unix_nanoseconds(SystemTime::now()))
}

/// Nanoseconds between the Unix epoch and `time`. Saturates at the range of `i64` (1677 to 2262).
pub(crate) fn unix_nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
    }
}

/// Strictly increasing timestamps, as close to the clock as possible. InfluxDB overwrites a point
/// of the same series and timestamp, so a clock that stands still or is set back must not show.
struct Stamps {
    last: AtomicI64,
}

impl Stamps {
    const fn new() -> Self {
        Self { last: AtomicI64::new(i64::MIN) }
    }

    /// Returns `now`, or the last timestamp plus one if `now` is not later than that.
    fn after(&self, now: i64) -> i64 {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let stamp = now.max(last.saturating_add(1));
            match self.last.compare_exchange_weak(last, stamp, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return stamp,
                Err(newer) => last = newer,
            }
        }
    }
}

/// Monotonic time since the clock was created. Clones are cheap and show the same time.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The system's clock.
    Monotonic(Instant),
    /// A clock that stands still until a test moves it.
    #[cfg(test)]
    Simulated(Arc<AtomicU64>),
}

impl Clock {
    pub(crate) fn monotonic() -> Self {
        Self::Monotonic(Instant::now())
    }

    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Monotonic(start) => start.elapsed(),
            #[cfg(test)]
            Self::Simulated(nanoseconds) => {
                Duration::from_nanos(nanoseconds.load(Ordering::SeqCst))
            }
        }
    }
}

#[cfg(test)]
impl Clock {
    pub(crate) fn simulated() -> Self {
        Self::Simulated(Arc::default())
    }

    /// Moves a simulated clock forward to `time`.
    pub(crate) fn advance_to(&self, time: Duration) {
        let Self::Simulated(now) = self else { panic!("the system's clock cannot be set") };
        now.fetch_max(time.as_nanos() as u64, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    #[test]
    fn timestamps_are_unique_when_the_clock_stands_still_or_is_set_back() {
        let stamps = Stamps::new();
        let clock = [100, 100, 100, 90, -5, 101, 200, 199];
        let stamped: Vec<i64> = clock.iter().map(|&now| stamps.after(now)).collect();
        assert_eq!(stamped, [100, 101, 102, 103, 104, 105, 200, 201]);
    }

    #[test]
    fn timestamps_are_unique_across_threads() {
        let each = if cfg!(miri) { 50 } else { 10_000 };
        let stamped: Vec<i64> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..each).map(|_| unique_stamp()).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(stamped.iter().collect::<HashSet<_>>().len(), 4 * each);
    }

    #[test]
    fn times_before_the_epoch_are_negative_and_times_out_of_range_saturate() {
        assert_eq!(unix_nanoseconds(UNIX_EPOCH), 0);
        assert_eq!(unix_nanoseconds(UNIX_EPOCH - Duration::from_nanos(7)), -7);
        assert_eq!(unix_nanoseconds(UNIX_EPOCH + Duration::from_secs(1 << 40)), i64::MAX);
    }
}
