//! The sender threads: none before the first measurement; then as many as there is work for, up to a limit. One listens
//! to the buffer; before it sends, it calls another to listen: one that rests, or a new one. So a signal wakes one thread,
//! however many rest.

use std::sync::Arc;
use std::time::Duration;

use super::{Sender, Step};
use crate::buffer::Buffer;
use crate::buffer::spool_worker::SpoolWorker;
use crate::clock::Clock;
use crate::sync::{Condvar, Mutex, lock, wait};
use crate::sys;

/// A thread that was not called for so long ends.
const REST: Duration = Duration::from_secs(10);

pub(crate) struct Threads {
    sender: Arc<Sender>,
    buffer: Arc<Buffer>,
    clock: Clock,
    state: Mutex<State>,
    /// Tells threads that rest that one is called, or that they may have to end.
    called: Condvar,
}

struct State {
    running: usize,
    resting: usize,
    listener: Listener,
    most: usize,
    /// Whether there is a worker for the spool.
    has_spool_worker: bool,
    stopped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    None,
    /// A resting thread is to listen.
    Called,
    /// A new thread is.
    Starting,
    Listens,
}

impl Threads {
    /// No threads yet; at most so many.
    pub(crate) fn new(
        sender: Arc<Sender>,
        buffer: Arc<Buffer>,
        clock: Clock,
        most: usize,
    ) -> Arc<Self> {
        let (running, resting, listener) = (0, 0, Listener::None);
        let (has_spool_worker, stopped) = (false, false);
        let state =
            Mutex::new(State { running, resting, listener, most, has_spool_worker, stopped });
        Arc::new(Self { sender, buffer, clock, state, called: Condvar::new() })
    }

    /// Sees to it that a thread listens, unless all that there may be are at work.
    pub(crate) fn ensure_listener(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if self.buffer.has_spool() && !state.has_spool_worker && !state.stopped {
            let threads = self.clone();
            state.has_spool_worker =
                sys::spawn("influxdb-spool", move || threads.run_spool_worker()).is_ok();
        }
        if state.listener != Listener::None {
            return;
        }
        if state.resting > 0 {
            state.listener = Listener::Called;
            self.called.notify_one();
            return;
        }
        if state.running >= state.most || state.stopped {
            return;
        }
        state.running += 1;
        state.listener = Listener::Starting;
        let name = format!("influxdb-sender-{}", state.running);
        let threads = self.clone();
        if let Err(error) = sys::spawn(&name, move || threads.run()) {
            state.running -= 1;
            state.listener = Listener::None;
            drop(state);
            // The next flush or batch tries again.
            tracing::error!("cannot start a thread to send measurements: {error}");
        }
    }

    pub(crate) fn set_most(self: &Arc<Self>, most: usize) {
        let is_at_work = {
            let mut state = lock(&self.state);
            state.most = most;
            state.running > 0
        };
        self.wake();
        if is_at_work {
            // There may be room for another, and work for it.
            self.ensure_listener();
        }
    }

    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        lock(&self.state).running
    }

    /// Lets every thread end as soon as the request that it is busy with is over.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.wake();
    }

    fn wake(&self) {
        self.buffer.wake();
        self.buffer.wake_spool_worker();
        self.called.notify_all();
    }

    fn run_spool_worker(self: Arc<Self>) {
        let mut worker = SpoolWorker::default();
        while !lock(&self.state).stopped {
            let next = worker.step(&self.buffer);
            self.buffer.await_spool_work(next);
        }
    }

    fn run(self: Arc<Self>) {
        lock(&self.state).listener = Listener::None;
        while !self.leaves(State::has_too_many) {
            let seen = self.buffer.signals();
            if let Step::Idle { until } = self.sender.step(|| self.ensure_listener()) {
                if self.listens() {
                    self.buffer.wait(seen, until);
                    lock(&self.state).listener = Listener::None;
                } else if !self.rest() && self.leaves(|_| true) {
                    break;
                }
            }
        }
    }

    /// Counts this thread out if the state of all says so.
    fn leaves(&self, is_over: impl FnOnce(&State) -> bool) -> bool {
        let mut state = lock(&self.state);
        let is_over = is_over(&state);
        state.running -= usize::from(is_over);
        is_over
    }

    /// Makes this thread the one that listens, if there is none.
    fn listens(&self) -> bool {
        let mut state = lock(&self.state);
        let is_free = state.listener == Listener::None;
        if is_free {
            state.listener = Listener::Listens;
        }
        is_free
    }

    /// Rests until this thread is called. Returns false if it was not called for long.
    fn rest(&self) -> bool {
        let mut state = lock(&self.state);
        let until = self.clock.now() + REST;
        state.resting += 1;
        let is_needed = loop {
            // Without a call, the one that listened may have ended.
            if matches!(state.listener, Listener::Called | Listener::None) {
                state.listener = Listener::None;
                break true;
            }
            let left = until.saturating_sub(self.clock.now());
            if state.has_too_many() || left.is_zero() {
                break state.has_too_many();
            }
            state = wait(&self.called, state, Some(left));
        };
        state.resting -= 1;
        is_needed
    }
}

impl State {
    fn has_too_many(&self) -> bool {
        self.stopped || self.running > self.most
    }
}
