//! Log records and rejected lines of the core, kept until a Python thread takes them. So no native
//! thread ever waits for the interpreter.

use std::collections::VecDeque;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sprockets_influxdb::internal::{self, LogSubscriber, generation};
use sprockets_influxdb::{self as core};
use tracing::Level;

use crate::handle;
use crate::rejected::{Callback, Rejected, Rejection};

/// More than the core's rate limits let through in minutes. The oldest are dropped first.
const MAX_RECORDS: usize = 1_000;

/// Maximum memory of the rejected lines, in bytes. Later ones are dropped, and counted.
const MAX_REJECTED_BYTES: usize = 64 * 1024 * 1024;

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
    rejections: VecDeque<Rejection>,
    rejected_bytes: usize,
    /// Records and rejections that were taken, and are not written or passed on yet.
    in_hand: usize,
    /// How many rejected lines were dropped since Python was told.
    dropped: u64,
    bell: Option<Bell>,
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rejections.is_empty()
    }

    /// Whether everything is written and passed on. Without a bell, nobody takes what is queued.
    /// What is in hand is still written.
    fn is_finished(&self) -> bool {
        self.in_hand == 0 && (self.bell.is_none() || self.is_empty())
    }

    /// Wakes the thread that takes all this.
    fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
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

    fn push(&self, level: u8, message: String) {
        let mut kept = self.lock();
        if kept.records.len() >= MAX_RECORDS {
            kept.records.pop_front();
        }
        kept.records.push_back((level, message));
        if kept.records.len() == 1 {
            kept.ring();
        }
    }

    fn push_rejection(&self, rejection: Rejection) {
        let mut kept = self.lock();
        if kept.rejected_bytes >= MAX_REJECTED_BYTES {
            kept.dropped += 1;
            return;
        }
        kept.rejected_bytes += rejection.memory();
        kept.rejections.push_back(rejection);
        if kept.rejections.len() == 1 {
            kept.ring();
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
    if !kept.is_empty() {
        bell.ring();
    }
    kept.bell = Some(bell);
    Ok(returned.into_raw_fd())
}

/// Takes all records: Python's level and the message of each. Call [`note_done`] afterwards.
#[pyfunction]
pub(crate) fn take_logs() -> Vec<(u8, String)> {
    let log = Log::current();
    let mut kept = log.lock();
    kept.in_hand += kept.records.len();
    kept.records.drain(..).collect()
}

/// Takes the oldest rejected line: the callback, and its argument. `None` if there is none. Call
/// [`note_done`] after the callback.
#[pyfunction]
pub(crate) fn take_rejected(py: Python<'_>) -> Option<(Py<PyAny>, Rejected)> {
    let rejection = {
        let log = Log::current();
        let mut kept = log.lock();
        let rejection = kept.rejections.pop_front()?;
        kept.rejected_bytes = kept.rejected_bytes.saturating_sub(rejection.memory());
        kept.in_hand += 1;
        rejection
    };
    Some((rejection.callback.0.clone_ref(py), rejection.rejected))
}

/// Returns how many rejected lines were dropped since the last call. With `all`, drops those too
/// that nobody has taken.
#[pyfunction]
pub(crate) fn take_dropped_rejections(all: bool) -> u64 {
    let (dropped, rest) = {
        let log = Log::current();
        let mut kept = log.lock();
        let rest = if all { std::mem::take(&mut kept.rejections) } else { VecDeque::new() };
        (std::mem::take(&mut kept.dropped), rest)
    };
    dropped + rest.len() as u64
}

/// Keeps a rejected line for its callback, and wakes the thread that calls it.
pub(crate) fn keep_rejected(callback: &Arc<Callback>, rejected: &core::Rejected<'_>) {
    Log::current().push_rejection(Rejection::new(callback, rejected));
}

/// Tells the reader that there will be no more records.
#[pyfunction]
pub(crate) fn close_log() {
    if let Some(bell) = Log::current().lock().bell.take() {
        // It cannot fail: both ends are open.
        let _ = bell.writer.shutdown(Shutdown::Write);
    }
}

/// This many taken records are written, or rejections passed on.
#[pyfunction]
pub(crate) fn note_done(count: usize) {
    let log = Log::current();
    let mut kept = log.lock();
    // A forked child may end what its parent's thread has begun, and has taken nothing itself.
    kept.in_hand = kept.in_hand.saturating_sub(count);
}

/// Logs what the clients of a process that ends have lost since their start, and what they leave in
/// the spool.
#[pyfunction]
pub(crate) fn log_end() {
    internal::log_end(handle::all().iter().map(|client| client.core()));
}

/// Waits without the interpreter until the log is written, at most until `deadline`.
pub(crate) fn finish(deadline: Instant) {
    while !Log::current().lock().is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Logs an error of the package's own.
pub(crate) fn keep_error(message: String) {
    keep(Level::ERROR, message);
}

/// Keeps a record, and wakes the thread that writes the log.
fn keep(level: Level, message: String) {
    // Python's levels.
    let level = match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => 10,
    };
    Log::current().push(level, message);
}
