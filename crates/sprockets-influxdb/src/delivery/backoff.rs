//! How long to wait after a failure. Pure: time and randomness come from the caller.

use std::time::Duration;

/// The window of the first wait. It doubles with each failure.
const FIRST: Duration = Duration::from_millis(250);
/// The largest window.
const LONGEST: Duration = Duration::from_secs(30);

/// Exponential backoff with full jitter: each wait is drawn from the whole window, so that many
/// clients do not return at the same moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The backoff after this many failures.
    pub(crate) fn after(failures: u32) -> Self {
        Self { failures }
    }

    /// The next wait. `chance` is a random number from 0 to 1.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let window = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        window.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// How long to wait for an operator to change something: 30 to 60 s.
    pub(crate) fn for_operator(chance: f64) -> Duration {
        LONGEST + LONGEST.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_from_a_quarter_second_to_thirty() {
        let mut backoff = Backoff::default();
        let windows: Vec<f64> = (0..10).map(|_| backoff.next(1.0).as_secs_f64()).collect();
        assert_eq!(windows, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
    }

    #[test]
    fn the_jitter_is_full() {
        let mut backoff = Backoff::after(3);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        assert_eq!(backoff.next(0.5), Duration::from_secs(2));
        let mut old = Backoff::after(u32::MAX);
        assert_eq!(old.next(1.0), LONGEST);
        assert_eq!(Backoff::for_operator(0.5), Duration::from_secs(45));
    }
}
