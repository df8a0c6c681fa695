//! `Expect: 100-continue`: large bodies are announced, and sent when the server consents.
//!
//! A server that rejects a request before it has read the body may close the connection on what is
//! still being sent, and its reply is lost. The announcement avoids that for one more round trip.

use std::sync::atomic::{AtomicBool, Ordering};

/// Larger bodies are announced. In bytes.
const THRESHOLD: u64 = 256 * 1024;

#[derive(Debug)]
pub(super) struct ExpectContinue {
    /// Until the server, or a proxy, shows that it does not know how to consent.
    is_enabled: AtomicBool,
}

impl Default for ExpectContinue {
    fn default() -> Self {
        Self { is_enabled: AtomicBool::new(true) }
    }
}

impl ExpectContinue {
    /// Whether a body of this many bytes is announced.
    pub(super) fn applies_to(&self, length: u64) -> bool {
        length > THRESHOLD && self.is_enabled.load(Ordering::Relaxed)
    }

    /// Announces no body from now on. Returns whether it did so far.
    pub(super) fn disable(&self) -> bool {
        self.is_enabled.swap(false, Ordering::Relaxed)
    }
}
