//! Captures the log of the client. Its threads write it too, so there is one capture for the whole
//! process: for tests that run in a process of their own.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

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
        tracing::subscriber::set_global_default(&LOG).expect("a process for this test alone");
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

    /// The warnings and errors so far that are about the spool.
    pub fn spool_warnings(&self) -> Vec<String> {
        let entries = self.entries();
        let is_one = |(level, text): &&(Level, String)| {
            *level <= Level::WARN && text.contains("spool") && !text.contains("wait in the spool")
        };
        entries.iter().filter(is_one).map(|(_, text)| text.clone()).collect()
    }
}

impl Subscriber for &'static Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("sprockets_influxdb")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.entries().push((*event.metadata().level(), text.0));
        self.changed.notify_all();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
