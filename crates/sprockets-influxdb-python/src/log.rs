//! What the core logs, kept until a Python thread takes it: no native thread ever waits for the interpreter.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sprockets_influxdb as core;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// More than the core's own limits let through in minutes; the oldest go first.
const MOST: usize = 1_000;

// Python's levels.
const ERROR: u8 = 40;
const WARNING: u8 = 30;

/// The process, by its generation, whose thread has written the log to its end.
static WRITTEN_BY: AtomicU64 = AtomicU64::new(u64::MAX);

static LOG: ArcSwapOption<Log> = ArcSwapOption::const_empty();

/// The log of one process.
struct Log {
    generation: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Python's level, and the message.
    records: VecDeque<(u8, String)>,
    bell: Option<Bell>,
}

/// Tells whoever writes the log that there are records. Both ends are kept: see `flush`.
struct Bell {
    _heard: UnixStream,
    rung: UnixStream,
}

impl Bell {
    fn ring(&self) {
        // It fails only if it was rung so often that it will be heard.
        let _ = (&self.rung).write(&[1]);
    }
}

impl Log {
    /// That of this process. A forked one starts anew, without a look at what there was: its lock may be held by a
    /// thread that is not there.
    fn current() -> Arc<Self> {
        loop {
            let log = LOG.load_full();
            match &log {
                Some(own) if own.generation == core::generation() => return own.clone(),
                _ => {
                    let kept = Mutex::default();
                    let own = Some(Arc::new(Self { generation: core::generation(), kept }));
                    LOG.compare_and_swap(&log, own);
                }
            }
        }
    }

    fn push(&self, level: u8, message: String) {
        let mut kept = self.lock();
        if kept.records.len() >= MOST {
            kept.records.pop_front();
        }
        kept.records.push_back((level, message));
        if let Some(bell) = kept.bell.as_ref().filter(|_| kept.records.len() == 1) {
            bell.ring();
        }
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

/// A file descriptor, the caller's to close, that becomes readable when there are records: a byte for those that came
/// since the last were taken. At its end there will be no more.
#[pyfunction]
pub(crate) fn open_log() -> PyResult<i32> {
    let (heard, rung) = UnixStream::pair()?;
    rung.set_nonblocking(true)?;
    let theirs = heard.try_clone()?;
    let bell = Bell { _heard: heard, rung };
    let log = Log::current();
    let mut kept = log.lock();
    if !kept.records.is_empty() {
        bell.ring();
    }
    kept.bell = Some(bell);
    Ok(theirs.into_raw_fd())
}

/// Takes the records that there are: Python's level, and the message.
#[pyfunction]
pub(crate) fn take_logs() -> Vec<(u8, String)> {
    Log::current().lock().records.drain(..).collect()
}

/// Lets whoever listens know that there will be no more.
#[pyfunction]
pub(crate) fn close_log() {
    if let Some(bell) = Log::current().lock().bell.take() {
        // It cannot fail: both ends are open.
        let _ = bell.rung.shutdown(Shutdown::Write);
    }
}

/// Called when a thread that writes the log has ended.
#[pyfunction]
pub(crate) fn log_is_written() {
    WRITTEN_BY.store(core::generation(), Ordering::Relaxed);
}

/// Logs what a process that ends has not delivered.
#[pyfunction]
pub(crate) fn log_losses(lost: u64, spooled: u64) {
    let log = Log::current();
    let measurements = |count| match count {
        1 => "1 measurement".to_owned(),
        _ => format!("{count} measurements"),
    };
    if spooled > 0 {
        let wait = if spooled == 1 { "waits" } else { "wait" };
        let message = format!("{} {wait} in the spool for the next process", measurements(spooled));
        log.push(WARNING, message);
    }
    if lost > 0 {
        let are = if lost == 1 { "is" } else { "are" };
        let message =
            format!("{} {are} lost: not delivered when the client ended", measurements(lost));
        log.push(ERROR, message);
    }
}

/// Has the log written to its end, without the interpreter, and waits for that until `deadline`.
pub(crate) fn finish(deadline: Instant) {
    let log = Log::current();
    if log.lock().bell.is_none() || log.lock().records.is_empty() {
        return;
    }
    close_log();
    while WRITTEN_BY.load(Ordering::Relaxed) != core::generation() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Bridge;

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sprockets_influxdb")
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => ERROR,
            Level::WARN => WARNING,
            Level::INFO => 20,
            _ => 10,
        };
        let mut message = Message::default();
        event.record(&mut message);
        Log::current().push(level, message.0);
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
