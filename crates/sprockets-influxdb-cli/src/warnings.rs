//! What the core has to say of a configuration that can be used but is odd: it says it to the log.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Runs `make`, and returns the warnings that it logged beside its result.
pub(crate) fn collect<T>(make: impl FnOnce() -> T) -> (T, Vec<String>) {
    let told = Told::default();
    let made = tracing::subscriber::with_default(told.clone(), make);
    let texts = std::mem::take(&mut *told.texts.lock().unwrap_or_else(PoisonError::into_inner));
    (made, texts)
}

#[derive(Clone, Default)]
struct Told {
    texts: Arc<Mutex<Vec<String>>>,
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
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
