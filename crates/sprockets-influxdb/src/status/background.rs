//! Work on a thread of its own, so that no executor waits for the disk of a spool.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};
use crate::sys;

/// The result of a function that runs on a thread. `None` if the thread could not start, or if the
/// function panicked.
pub(super) struct Background<T>(Arc<Mutex<Shared<T>>>);

struct Shared<T> {
    result: Option<T>,
    is_done: bool,
    waker: Option<Waker>,
}

/// Tells that the thread has ended, however it ends.
struct Done<T>(Arc<Mutex<Shared<T>>>);

impl<T: Send + 'static> Background<T> {
    pub(super) fn run(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let shared = Arc::new(Mutex::new(Shared { result: None, is_done: false, waker: None }));
        let done = Done(shared.clone());
        // If it fails, `done` is dropped with the closure.
        let _ = sys::spawn("influxdb-status", move || {
            let result = work();
            lock(&done.0).result = Some(result);
        });
        Self(shared)
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.is_done = true;
            shared.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for Background<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = lock(&self.0);
        if shared.is_done {
            return Poll::Ready(shared.result.take());
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
