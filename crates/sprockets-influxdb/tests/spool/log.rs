//! What the client tells the log. One for the whole process, as the client's own threads write it: for tests that have a
//! process to themselves.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::LONG;

static LOG: Log = Log { entries: Mutex::new(Vec::new()), changed: Condvar::new() };

pub(crate) struct Log {
    entries: Mutex<Vec<(Level, String)>>,
    changed: Condvar,
}

impl Log {
    /// Reads along from here on.
    pub(crate) fn read() -> &'static Self {
        tracing::subscriber::set_global_default(&LOG).expect("a process for this test alone");
        &LOG
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(Level, String)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is said.
    #[track_caller]
    pub(crate) fn await_entry(&self, words: &str) {
        let is_missing = |entries: &mut Vec<(Level, String)>| {
            !entries.iter().any(|(_, text)| text.contains(words))
        };
        let (entries, waited) =
            self.changed.wait_timeout_while(self.entries(), LONG, is_missing).unwrap();
        assert!(!waited.timed_out(), "{words:?} is not in {entries:?}");
    }

    /// The warnings and errors about the spool so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
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
