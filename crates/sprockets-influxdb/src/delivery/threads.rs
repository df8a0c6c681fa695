//! The sender threads: none before the first measurement; then as many as there is work for, up to a limit. One listens
//! to the buffer; before it sends, it calls another to listen: one that rests, or a new one. So a signal wakes one thread,
//! however many rest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Sender, Step};
use crate::buffer::{Buffer, Keeper};
use crate::measurement::Clock;
use crate::sync::{Condvar, Mutex, lock, wait};
use crate::sys;

/// When a thread could not be started, the next add after this time tries again.
const RETRY: Duration = Duration::from_millis(500);

/// A thread that was not called for so long ends.
const REST: Duration = Duration::from_secs(10);

pub(crate) struct Threads {
    sender: Arc<Sender>,
    buffer: Arc<Buffer>,
    clock: Clock,
    state: Mutex<State>,
    /// Tells threads that rest that one is called, or that they may have to end.
    called: Condvar,
    /// Whether a thread could not be started and is still missing.
    has_failed: AtomicBool,
}

struct State {
    running: usize,
    resting: usize,
    listener: Listener,
    most: usize,
    /// Whether there is a thread that keeps the spool.
    has_keeper: bool,
    stopped: bool,
    /// When to try again to start the missing thread.
    retry_at: Duration,
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
        let (has_keeper, stopped, retry_at) = (false, false, Duration::ZERO);
        let state = State { running, resting, listener, most, has_keeper, stopped, retry_at };
        let (state, called, has_failed) =
            (Mutex::new(state), Condvar::new(), AtomicBool::new(false));
        Arc::new(Self { sender, buffer, clock, state, called, has_failed })
    }

    /// Sees to it that a thread listens, unless all that there may be are at work.
    pub(crate) fn ensure_listener(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let started = self.start_keeper(&mut state);
        let started = started.and(self.start_listener(&mut state));
        state.retry_at = self.clock.now() + RETRY;
        drop(state);
        let has_failed = self.has_failed.swap(started.is_err(), Ordering::Relaxed);
        if let (false, Err(error)) = (has_failed, started) {
            tracing::error!(
                "cannot start a thread to send measurements: {error}. The next measurements try \
                 again. Raise the limit of processes or threads"
            );
        }
    }

    /// Whether a thread that could not be started is to be tried again. Costs a load otherwise.
    #[inline]
    pub(crate) fn is_retry_due(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) && self.clock.now() >= lock(&self.state).retry_at
    }

    fn start_keeper(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if self.buffer.has_spool() && !state.has_keeper && !state.stopped {
            let threads = self.clone();
            sys::spawn("influxdb-spool", move || threads.keep())?;
            state.has_keeper = true;
        }
        Ok(())
    }

    fn start_listener(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.listener != Listener::None {
            return Ok(());
        }
        if state.resting > 0 {
            state.listener = Listener::Called;
            self.called.notify_one();
            return Ok(());
        }
        if state.running >= state.most || state.stopped {
            return Ok(());
        }
        let name = format!("influxdb-sender-{}", state.running + 1);
        let threads = self.clone();
        // The new thread waits for the lock of the state.
        sys::spawn(&name, move || threads.run())?;
        state.running += 1;
        state.listener = Listener::Starting;
        Ok(())
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
        self.buffer.wake_keeper();
        self.called.notify_all();
    }

    fn keep(self: Arc<Self>) {
        let mut keeper = Keeper::default();
        while !lock(&self.state).stopped {
            let next = keeper.step(&self.buffer);
            self.buffer.await_keeping(next);
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
