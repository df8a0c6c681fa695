//! Sends less to a server that answers too late. A request that timed out may still be stored:
//! repeating the same at the same rate only adds to the server's work.
//!
//! A timeout halves the number of requests under way and the size of bodies, and doubles the
//! timeout. Fast replies raise each of them slowly again.

use std::time::Duration;

/// Requests at once to a server of which nothing is known yet. Each reply adds one.
const FIRST_WINDOW: usize = 2;

/// As many requests at once are no limit: there are not so many threads.
const MAX_WINDOW: usize = 1024;

/// Bodies are not made smaller than this for timeouts. In bytes.
const MIN_BODY: usize = 16 * 1024;

/// A limit for bodies beyond this is none: no batch is larger.
const MAX_BODY: usize = 64 << 20;

/// The timeout grows to so many times the configured one.
const MAX_FACTOR: u32 = 4;

/// Fast replies in a row before each step of the recovery.
const FAST_REPLIES: u32 = 4;

#[derive(Debug)]
pub(super) struct Congestion {
    under_way: usize,
    /// Requests that may be under way at once.
    window: usize,
    /// Whether there was a timeout: from then on the window grows slowly.
    is_careful: bool,
    /// The largest body in bytes.
    max_bytes: usize,
    /// Of the configured timeout.
    factor: u32,
    /// Fast replies since the last step.
    fast: u32,
    /// When the last timeout had its effect. Requests that began earlier have none.
    slowed_at: Option<Duration>,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    at: Duration,
    bytes: usize,
}

impl Begun {
    /// When the request was sent.
    pub(super) fn at(&self) -> Duration {
        self.at
    }
}

impl Default for Congestion {
    fn default() -> Self {
        Self {
            under_way: 0,
            window: FIRST_WINDOW,
            is_careful: false,
            max_bytes: usize::MAX,
            factor: 1,
            fast: 0,
            slowed_at: None,
        }
    }
}

impl Congestion {
    /// Whether another request may begin.
    pub(super) fn allows(&self) -> bool {
        self.under_way < self.window
    }

    /// The largest body in bytes.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The timeout of a request, of the configured one.
    pub(super) fn timeout(&self, configured: Duration) -> Duration {
        configured.saturating_mul(self.factor)
    }

    /// Counts a request that is about to begin.
    pub(super) fn reserve(&mut self) {
        self.under_way += 1;
    }

    /// Whether a request is under way, or its outcome is not acted on yet.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// A request ended, or does not begin.
    pub(super) fn release(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A request of this many bytes begins.
    pub(super) fn begin(bytes: usize, now: Duration) -> Begun {
        Begun { at: now, bytes }
    }

    /// There was no reply in time.
    pub(super) fn record_timeout(&mut self, begun: Begun, now: Duration) {
        self.fast = 0;
        self.is_careful = true;
        // Requests that time out together are one event.
        if self.slowed_at.is_some_and(|slowed_at| begun.at < slowed_at) {
            return;
        }
        self.slowed_at = Some(now);
        self.window = (self.window.min(self.under_way.max(1)) / 2).max(1);
        self.max_bytes = (self.max_bytes.min(begun.bytes) / 2).max(MIN_BODY);
        self.factor = (self.factor * 2).min(MAX_FACTOR);
    }

    /// The server answered. Returns whether a request that was held back may begin now.
    pub(super) fn record_reply(
        &mut self,
        begun: Begun,
        configured: Duration,
        now: Duration,
    ) -> bool {
        let was_full = !self.allows();
        if !self.is_careful {
            self.window = (self.window + 1).min(MAX_WINDOW);
            return was_full;
        }
        if now.saturating_sub(begun.at) > configured / 3 {
            self.fast = 0;
            return false;
        }
        self.fast += 1;
        if self.fast < FAST_REPLIES {
            return false;
        }
        self.fast = 0;
        self.factor = (self.factor / 2).max(1);
        // Small bodies tell nothing about larger ones.
        if begun.bytes >= self.max_bytes / 3 {
            let grown = self.max_bytes.saturating_add(self.max_bytes / 4);
            self.max_bytes = if grown > MAX_BODY { usize::MAX } else { grown };
        }
        self.window = (self.window + 1).min(MAX_WINDOW);
        was_full
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
