//! Time: wall-clock timestamps that are unique on the host, and a monotonic clock that tests
//! replace, so that an hour of retries takes milliseconds.

mod partition;
mod stamps;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
#[cfg(test)]
use std::sync::{Arc, atomic::AtomicU64};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::partition::{PARTITIONS, Partition};
use self::stamps::Stamps;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
use crate::sys::monotonic_clock;
#[cfg(all(unix, target_pointer_width = "64"))]
use crate::sys::wall_clock;

static STAMPS: Stamps = Stamps::new(Partition::claim);

/// The current time in nanoseconds since the Unix epoch. No number is returned twice, on Linux not
/// even by two processes of a host.
#[inline]
pub(crate) fn unique_stamp() -> i64 {
    STAMPS.now(wall_clock)
}

#[cfg(not(all(unix, target_pointer_width = "64")))]
fn wall_clock() -> i64 {
    unix_nanoseconds(SystemTime::now())
}

/// The timestamp of something that began this long ago. As `unique_stamp`, but no number is
/// returned twice only as long as no two threads begin something in the same 256 ns and others
/// overwrite the note of that before the second one ends.
pub fn unique_stamp_before(elapsed: Duration) -> i64 {
    static RECENT: [AtomicI64; 256] = [const { AtomicI64::new(i64::MIN) }; 256];
    let elapsed = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
    // The remainder stays that of the process.
    let mut stamp = unique_stamp().saturating_sub(elapsed / PARTITIONS * PARTITIONS);
    loop {
        let recent = &RECENT[(stamp / PARTITIONS).rem_euclid(256) as usize];
        if recent.swap(stamp, Ordering::Relaxed) != stamp {
            return stamp;
        }
        stamp = stamp.saturating_add(PARTITIONS);
    }
}

/// Nanoseconds between the Unix epoch and `time`. Saturates at the range of `i64` (1677 to 2262).
pub(crate) fn unix_nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
    }
}

/// A moment of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment(i64);

impl Moment {
    /// This moment.
    #[inline]
    pub fn now() -> Self {
        Self(monotonic_clock())
    }

    /// The time since then.
    #[inline]
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(u64::try_from(Self::now().0 - self.0).unwrap_or(0))
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn monotonic_clock() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)
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

    #[test]
    fn what_began_earlier_has_an_earlier_stamp_of_its_own() {
        let minute = Duration::from_secs(60);
        let now = unique_stamp();
        let stamps: std::collections::BTreeSet<_> =
            (0..100).map(|_| unique_stamp_before(minute)).collect();
        assert_eq!(stamps.len(), 100);
        for stamp in stamps {
            assert_eq!((stamp - now) % PARTITIONS, 0);
            assert!(stamp < now && now - stamp <= 60_000_000_000, "{stamp} {now}");
        }
    }

    #[test]
    fn times_before_the_epoch_are_negative_and_times_out_of_range_saturate() {
        assert_eq!(unix_nanoseconds(UNIX_EPOCH), 0);
        assert_eq!(unix_nanoseconds(UNIX_EPOCH - Duration::from_nanos(7)), -7);
        assert_eq!(unix_nanoseconds(UNIX_EPOCH + Duration::from_secs(1 << 40)), i64::MAX);
    }
}
