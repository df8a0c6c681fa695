//! Flush and shutdown as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::core::Begun;
use super::process::Process;
use crate::stats::Report;
use crate::sync::{Mutex, lock};
use crate::sys;

/// The [`Report`] of a flush or shutdown that is in progress. It goes on whether or not this is
/// polled or dropped.
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
    /// Waits for a flush on a thread of its own, if there is something to wait for: no timer of an
    /// executor is known that could keep the deadline.
    pub(super) fn start(process: &Arc<Process>, begun: Begun) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let core = process.core();
        if core.is_over(begun) {
            lock(&shared).report = Some(core.end(begun));
            return Self { shared };
        }
        let (result, own) = (shared.clone(), process.clone());
        let spawned = sys::spawn("influxdb-flush", move || {
            let core = own.core();
            let report = core.end(begun);
            let waker = {
                let mut shared = lock(&result);
                shared.report = Some(report);
                shared.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        });
        if let Err(error) = spawned {
            tracing::error!("cannot start a thread to wait for a flush: {error}");
            let pending = core.buffer.stats().pending;
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
