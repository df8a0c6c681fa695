//! The sender threads, as leader and followers. There is none before the first measurement, then as
//! many as there is work for, up to a limit. The leader waits for the buffer's signal. Before it
//! sends, it promotes a follower, or starts a thread, to lead. So a signal wakes one thread,
//! however many there are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::sender::{Sender, Step};
use crate::buffer::Buffer;
use crate::buffer::spool_worker::SpoolWorker;
use crate::clock::Clock;
use crate::sync::{Condvar, Mutex, lock, wait};
use crate::sys;

/// A follower that is not promoted for so long ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a thread could not be started, the next add after this time tries again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Workers {
    sender: Arc<Sender>,
    buffer: Arc<Buffer>,
    clock: Clock,
    state: Mutex<State>,
    /// Wakes followers: one is promoted, or all of them have to look whether they must end.
    promoted: Condvar,
    /// Whether a thread could not be started and is still missing.
    has_failed: AtomicBool,
}

#[derive(Default)]
struct State {
    running: usize,
    /// Of those that run, the ones that wait to be promoted.
    followers: usize,
    leader: Leader,
    limit: usize,
    has_spool_worker: bool,
    is_stopped: bool,
    /// When to try again to start a missing thread.
    retry_at: Duration,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Leader {
    #[default]
    None,
    /// A follower is to become the leader.
    Promoted,
    /// A thread is being started that becomes the leader.
    Starting,
    /// It waits for the buffer.
    Waiting,
}

impl Workers {
    /// No threads yet, and at most `limit`.
    pub(crate) fn new(
        sender: Arc<Sender>,
        buffer: Arc<Buffer>,
        clock: Clock,
        limit: usize,
    ) -> Arc<Self> {
        let state = Mutex::new(State { limit, ..State::default() });
        let (promoted, has_failed) = (Condvar::new(), AtomicBool::new(false));
        Arc::new(Self { sender, buffer, clock, state, promoted, has_failed })
    }

    /// Makes sure that there is a leader, unless all threads that may run are sending.
    pub(crate) fn ensure_leader(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let started = self.start_spool_worker(&mut state);
        let started = started.and(self.start_leader(&mut state));
        state.retry_at = self.clock.now() + RETRY_INTERVAL;
        drop(state);
        let has_failed = self.has_failed.swap(started.is_err(), Ordering::Relaxed);
        if let (false, Err(error)) = (has_failed, started) {
            tracing::error!(
                "cannot start a thread to send measurements: {error}. The next measurements try \
                 again. Raise the limit of processes or threads"
            );
        }
    }

    /// Whether to try again to start a thread that could not be started. Otherwise it costs a load.
    #[inline]
    pub(crate) fn is_retry_due(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) && self.clock.now() >= lock(&self.state).retry_at
    }

    fn start_spool_worker(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if self.buffer.has_spool() && !state.has_spool_worker && !state.is_stopped {
            let workers = self.clone();
            sys::spawn("influxdb-spool", move || workers.run_spool())?;
            state.has_spool_worker = true;
        }
        Ok(())
    }

    fn start_leader(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.leader != Leader::None {
            return Ok(());
        }
        if state.followers > 0 {
            state.leader = Leader::Promoted;
            self.promoted.notify_one();
            return Ok(());
        }
        if state.running >= state.limit || state.is_stopped {
            return Ok(());
        }
        let name = format!("influxdb-sender-{}", state.running + 1);
        let workers = self.clone();
        // The new thread waits for the lock of the state.
        sys::spawn(&name, move || workers.run())?;
        state.running += 1;
        state.leader = Leader::Starting;
        Ok(())
    }

    /// Sets how many sender threads may run.
    pub(crate) fn set_limit(self: &Arc<Self>, limit: usize) {
        let is_running = {
            let mut state = lock(&self.state);
            state.limit = limit;
            state.running > 0
        };
        self.wake();
        if is_running {
            // There may be room for another thread, and work for it.
            self.ensure_leader();
        }
    }

    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        lock(&self.state).running
    }

    /// Lets every thread end as soon as its request is over.
    pub(crate) fn stop(&self) {
        lock(&self.state).is_stopped = true;
        self.wake();
    }

    fn wake(&self) {
        self.buffer.wake();
        self.buffer.wake_spool_worker();
        self.promoted.notify_all();
    }

    /// The thread that does the spool's disk work.
    fn run_spool(self: Arc<Self>) {
        if let Some(spool) = self.buffer.spool() {
            // The thread that starts this one may block the signal of a lost mapping.
            spool.prepare_thread();
        }
        let mut worker = SpoolWorker::default();
        while !lock(&self.state).is_stopped {
            let next = worker.step(&self.buffer);
            self.buffer.await_spool_work(next);
        }
    }

    /// A sender thread, which starts as the leader.
    fn run(self: Arc<Self>) {
        lock(&self.state).leader = Leader::None;
        while !self.ends(State::has_too_many) {
            let seen = self.buffer.signals();
            if let Step::Idle { until } = self.sender.step(|| self.ensure_leader()) {
                if self.becomes_leader() {
                    self.buffer.wait(seen, until);
                    lock(&self.state).leader = Leader::None;
                } else if !self.follow() && self.ends(|_| true) {
                    break;
                }
            }
        }
    }

    /// Counts this thread out if the condition holds.
    fn ends(&self, condition: impl FnOnce(&State) -> bool) -> bool {
        let mut state = lock(&self.state);
        let ends = condition(&state);
        state.running -= usize::from(ends);
        ends
    }

    /// Makes this thread the leader, if there is none.
    fn becomes_leader(&self) -> bool {
        let mut state = lock(&self.state);
        let is_free = state.leader == Leader::None;
        if is_free {
            state.leader = Leader::Waiting;
        }
        is_free
    }

    /// Waits to be promoted. Returns false after [`IDLE_TIMEOUT`].
    fn follow(&self) -> bool {
        let mut state = lock(&self.state);
        let until = self.clock.now() + IDLE_TIMEOUT;
        state.followers += 1;
        let is_needed = loop {
            // Without a promotion: the leader may have ended.
            if matches!(state.leader, Leader::Promoted | Leader::None) {
                state.leader = Leader::None;
                break true;
            }
            let left = until.saturating_sub(self.clock.now());
            if state.has_too_many() || left.is_zero() {
                break state.has_too_many();
            }
            state = wait(&self.promoted, state, Some(left));
        };
        state.followers -= 1;
        is_needed
    }
}

impl State {
    fn has_too_many(&self) -> bool {
        self.is_stopped || self.running > self.limit
    }
}
