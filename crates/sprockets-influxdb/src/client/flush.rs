//! Flush and shutdown as futures.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Client;
use crate::stats::Report;
use crate::sync::lock;
use crate::sys;

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
    /// hold its deadline.
    pub(super) fn start(client: &Client, flush: u64) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let core = client.core();
        if core.buffer.is_flushed(flush) {
            lock(&shared).report = Some(core.end_flush(flush, Duration::ZERO));
            return Self { shared };
        }
        let (result, own) = (shared.clone(), client.clone());
        let spawned = sys::spawn("influxdb-flush", move || {
            let core = own.core();
            let report = core.end_flush(flush, core.shutdown_timeout());
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
