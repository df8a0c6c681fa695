//! Log records of the core, kept until a Python thread takes them. So no native thread ever waits
//! for the interpreter.

use std::collections::VecDeque;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sprockets_influxdb::internal::{LogSubscriber, generation};
use tracing::Level;

/// More than the core's rate limits let through in minutes. The oldest are dropped first.
const MAX_RECORDS: usize = 1_000;

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

/// Wakes the thread that writes the log. Both ends stay open: see `flush`.
struct Bell {
    _reader: UnixStream,
    writer: UnixStream,
}

impl Bell {
    fn ring(&self) {
        // It fails only if so much was written that the reader will wake.
        let _ = (&self.writer).write(&[1]);
    }
}

impl Log {
    /// The log of this process. A forked process starts a new one and ignores the old one, whose
    /// lock may be held by a thread that does not exist there.
    fn current() -> Arc<Self> {
        loop {
            let log = LOG.load_full();
            match &log {
                Some(own) if own.generation == generation() => return own.clone(),
                _ => {
                    let kept = Mutex::default();
                    let own = Some(Arc::new(Self { generation: generation(), kept }));
                    LOG.compare_and_swap(&log, own);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what the core logs from now on.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    // It cannot be set already: nothing else sees this copy of the core.
    WATCH.call_once(|| _ = tracing::subscriber::set_global_default(LogSubscriber(keep)));
}

/// Starts the Python thread that writes the log, once for each process.
#[inline]
pub(crate) fn ensure_writer(py: Python<'_>) {
    static STARTED: AtomicU64 = AtomicU64::new(u64::MAX);
    if STARTED.load(Ordering::Relaxed) != generation() {
        STARTED.store(generation(), Ordering::Relaxed);
        start_writer(py);
    }
}

#[cold]
fn start_writer(py: Python<'_>) {
    let lifecycle = py.import("sprockets_influxdb._lifecycle");
    if let Err(error) = lifecycle.and_then(|module| module.call_method0("start_writer")) {
        // The measurement is added all the same. The log is then written at the end of the process.
        error.write_unraisable(py, None);
    }
}

/// Returns a file descriptor that becomes readable when there are records. The caller closes it.
/// End of file means that there will be no more.
#[pyfunction]
pub(crate) fn open_log() -> PyResult<i32> {
    let (reader, writer) = UnixStream::pair()?;
    writer.set_nonblocking(true)?;
    let returned = reader.try_clone()?;
    let bell = Bell { _reader: reader, writer };
    let log = Log::current();
    let mut kept = log.lock();
    if !kept.records.is_empty() {
        bell.ring();
    }
    kept.bell = Some(bell);
    Ok(returned.into_raw_fd())
}

/// Takes all records: Python's level and the message of each.
#[pyfunction]
pub(crate) fn take_logs() -> Vec<(u8, String)> {
    Log::current().lock().records.drain(..).collect()
}

/// Tells the reader that there will be no more records.
#[pyfunction]
pub(crate) fn close_log() {
    if let Some(bell) = Log::current().lock().bell.take() {
        // It cannot fail: both ends are open.
        let _ = bell.writer.shutdown(Shutdown::Write);
    }
}

/// Keeps a record, and wakes the thread that writes the log.
fn keep(level: Level, message: String) {
    let level = match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => 10,
    };
    let log = Log::current();
    let mut kept = log.lock();
    if kept.records.len() >= MAX_RECORDS {
        kept.records.pop_front();
    }
    kept.records.push_back((level, message));
    if let Some(bell) = kept.bell.as_ref().filter(|_| kept.records.len() == 1) {
        bell.ring();
    }
}
