//! Captures the log of the client. Its threads write it too, so there is one capture for the whole
//! process: for tests that run in a process of their own.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use sprockets_influxdb::internal::LogSubscriber;
use tracing::Level;

use crate::LONG;

static LOG: Log = Log { entries: Mutex::new(Vec::new()), changed: Condvar::new() };

/// The messages of the client, and their levels.
pub struct Log {
    entries: Mutex<Vec<(Level, String)>>,
    changed: Condvar,
}

impl Log {
    /// Captures the log from now on. Panics if this process has a subscriber already.
    pub fn capture() -> &'static Self {
        let keep = |level, text| {
            LOG.entries().push((level, text));
            LOG.changed.notify_all();
        };
        let captured = tracing::subscriber::set_global_default(LogSubscriber(keep));
        captured.expect("a process for this test alone");
        &LOG
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(Level, String)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a message that contains this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let is_missing = |entries: &mut Vec<(Level, String)>| {
            !entries.iter().any(|(_, message)| message.contains(text))
        };
        let waited = self.changed.wait_timeout_while(self.entries(), LONG, is_missing);
        let (entries, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{text:?} is not in {entries:?}");
    }

    /// The messages so far that contain this text.
    pub fn entries_with(&self, text: &str) -> Vec<(Level, String)> {
        self.entries().iter().filter(|(_, message)| message.contains(text)).cloned().collect()
    }

    /// The warnings and errors so far that are about the spool.
    pub fn spool_warnings(&self) -> Vec<String> {
        let entries = self.entries();
        let is_one = |(level, text): &&(Level, String)| {
            *level <= Level::WARN
                && text.contains("spool")
                && !text.contains("in the spool for the next process")
        };
        entries.iter().filter(is_one).map(|(_, text)| text.clone()).collect()
    }
}
