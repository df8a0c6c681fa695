//! What the core logs, kept until a Python thread takes it: no native thread ever waits for the interpreter.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// More than the core's own limits let through in minutes; the oldest go first.
const MOST: usize = 1_000;

static LOG: ArcSwapOption<Log> = ArcSwapOption::const_empty();

#[derive(Default)]
struct Log {
    kept: Mutex<Kept>,
    news: Condvar,
}

#[derive(Default)]
struct Kept {
    /// Python's level, and the message.
    records: VecDeque<(u8, String)>,
    is_closed: bool,
}

impl Log {
    fn current() -> Arc<Self> {
        if LOG.load().is_none() {
            let none: Option<Arc<Self>> = None;
            LOG.compare_and_swap(&none, Some(Arc::default()));
        }
        LOG.load_full().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what the core logs from now on.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    // An error says that there is one already, which cannot be: nobody else sees this copy of the core.
    WATCH.call_once(|| _ = tracing::subscriber::set_global_default(Bridge));
}

/// Waits for records, `timeout` seconds at most, and takes them; `None` when there will be no more.
#[pyfunction]
pub(crate) fn take_logs(py: Python<'_>, timeout: f64) -> Option<Vec<(u8, String)>> {
    let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
    py.detach(|| {
        let log = Log::current();
        let mut kept = log.lock();
        if kept.records.is_empty() && !kept.is_closed {
            let waited = log.news.wait_timeout(kept, timeout);
            kept = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let records: Vec<_> = kept.records.drain(..).collect();
        if records.is_empty() && kept.is_closed { None } else { Some(records) }
    })
}

/// Ends the wait of whoever takes records, once all are taken.
#[pyfunction]
pub(crate) fn close_log() {
    let log = Log::current();
    log.lock().is_closed = true;
    log.news.notify_all();
}

/// Starts anew, without a look at what there was: in a forked process its lock may be held by a thread that is not
/// there.
#[pyfunction]
pub(crate) fn forget_log() {
    LOG.store(Some(Arc::default()));
}

struct Bridge;

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sprockets_influxdb")
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            Level::INFO => 20,
            _ => 10,
        };
        let mut message = Message::default();
        event.record(&mut message);
        let log = Log::current();
        let mut kept = log.lock();
        if kept.records.len() >= MOST {
            kept.records.pop_front();
        }
        kept.records.push_back((level, message.0));
        drop(kept);
        log.news.notify_all();
    }

    // The core has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
