//! Flush and shutdown: begun at once, and ended by a wait that blocks, or as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Client, Core};
use crate::stats::Report;
use crate::sync::{Mutex, lock};
use crate::sys;

/// How often a flush that may be interrupted asks whether it is.
const INTERRUPTIBLE: Duration = Duration::from_millis(100);

/// A flush that has begun.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    flush: u64,
    /// Whether nothing is added after it.
    is_shutdown: bool,
}

impl Core {
    pub(super) fn flush(&self, timeout: Duration) -> Report {
        self.end(self.begin_flush(), timeout)
    }

    pub(super) fn shutdown(&self, timeout: Duration) -> Report {
        self.end(self.begin_shutdown(), timeout)
    }

    pub(super) fn begin_flush(&self) -> Begun {
        self.hurried(Begun { flush: self.buffer.begin_flush(), is_shutdown: false })
    }

    pub(super) fn begin_shutdown(&self) -> Begun {
        self.is_shut_down.store(true, Ordering::Relaxed);
        self.hurried(Begun { flush: self.buffer.begin_shutdown(), is_shutdown: true })
    }

    fn hurried(&self, begun: Begun) -> Begun {
        if !self.buffer.is_flushed(begun.flush) {
            self.sender.retry_now();
            self.workers.ensure_leader();
        }
        begun
    }

    fn end(&self, begun: Begun, timeout: Duration) -> Report {
        let until = self.clock.now().saturating_add(timeout);
        self.buffer.sync();
        self.buffer.await_flush(begun.flush, until);
        self.ended(begun)
    }

    pub(super) fn end_unless(
        &self,
        begun: Begun,
        timeout: Duration,
        mut is_interrupted: impl FnMut() -> bool,
    ) -> Report {
        let until = self.clock.now().saturating_add(timeout);
        self.buffer.sync();
        loop {
            let now = self.clock.now();
            let is_flushed = self.buffer.await_flush(begun.flush, until.min(now + INTERRUPTIBLE));
            if is_flushed || now >= until || is_interrupted() {
                return self.ended(begun);
            }
        }
    }

    fn ended(&self, begun: Begun) -> Report {
        let report = self.buffer.end_flush(begun.flush);
        if begun.is_shutdown {
            self.buffer.persist_pending();
        }
        report
    }
}

/// The [`Report`] of a flush or shutdown under way. The work goes on whether or not this is polled, or dropped.
#[derive(Debug)]
pub struct Flush {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    report: Option<Report>,
    waker: Option<Waker>,
}

impl Flush {
    /// Waits for a flush, if there is something to wait for, on a thread of its own, as no executor's timer is known to
    /// hold its deadline. With a spool there is: the disk.
    pub(super) fn start(client: &Client, begun: Begun) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let core = client.core();
        if !core.buffer.has_spool() && core.buffer.is_flushed(begun.flush) {
            lock(&shared).report = Some(core.end(begun, Duration::ZERO));
            return Self { shared };
        }
        let (result, own) = (shared.clone(), client.clone());
        let spawned = sys::spawn("influxdb-flush", move || {
            let core = own.core();
            let report = core.end(begun, core.shutdown_timeout());
            let waker = {
                let mut shared = lock(&result);
                shared.report = Some(report);
                shared.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        });
        if let Err(error) = spawned {
            tracing::error!("cannot start a thread to wait for a flush: {error}");
            let pending = client.stats().pending;
            lock(&shared).report = Some(Report { pending, ..Report::default() });
        }
        Self { shared }
    }
}

impl Future for Flush {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Report> {
        let mut shared = lock(&self.shared);
        match shared.report {
            Some(report) => Poll::Ready(report),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
