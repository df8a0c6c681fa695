//! The sender threads: one at first; while the last idle one is about to send, another is started, up to a limit. So
//! there is always one that listens, and as many as there is work for.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{Sender, Step};
use crate::buffer::Buffer;
use crate::measurement::Clock;
use crate::sync::lock;

/// A thread beyond the first that heard nothing for so long ends.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) struct Threads {
    sender: Arc<Sender>,
    buffer: Arc<Buffer>,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    running: usize,
    idle: usize,
    most: usize,
    stopped: bool,
}

impl Threads {
    /// No threads yet; at most so many.
    pub(crate) fn new(
        sender: Arc<Sender>,
        buffer: Arc<Buffer>,
        clock: Clock,
        most: usize,
    ) -> Arc<Self> {
        let state = State { running: 0, idle: 0, most, stopped: false };
        Arc::new(Self { sender, buffer, clock, state: Mutex::new(state) })
    }

    /// Sees to it that a thread listens, unless all that there may be are at work.
    pub(crate) fn ensure_listener(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.idle > 0 || state.running >= state.most || state.stopped {
            return;
        }
        state.running += 1;
        // It counts as idle from the start, or each batch until it runs would start one more.
        state.idle += 1;
        let name = format!("influxdb-sender-{}", state.running);
        let threads = self.clone();
        let spawned = thread::Builder::new().name(name).spawn(move || threads.run());
        if let Err(error) = spawned {
            state.running -= 1;
            state.idle -= 1;
            drop(state);
            // The next flush or batch tries again.
            tracing::error!("cannot start a thread to send measurements: {error}");
        }
    }

    pub(crate) fn set_most(&self, most: usize) {
        lock(&self.state).most = most;
        self.buffer.wake();
    }

    /// Lets every thread end as soon as the request that it is busy with is over.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.buffer.wake();
    }

    fn run(self: Arc<Self>) {
        // Threads start idle.
        lock(&self.state).idle -= 1;
        while !self.leaves(|state| state.stopped || state.running > state.most) {
            let seen = self.buffer.signals();
            if let Step::Idle { until } = self.sender.step(|| self.ensure_listener()) {
                let unneeded = self.listen(seen, until);
                if unneeded && self.leaves(|state| state.idle > 0) {
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

    /// Waits for something to do. Returns whether nothing came for long.
    fn listen(&self, seen: u64, until: Option<Duration>) -> bool {
        let give_up = self.clock.now() + IDLE;
        let is_last = {
            let mut state = lock(&self.state);
            state.idle += 1;
            state.idle == 1
        };
        let until = if is_last { until } else { Some(until.map_or(give_up, |u| u.min(give_up))) };
        self.buffer.wait(seen, until);
        lock(&self.state).idle -= 1;
        !is_last && self.clock.now() >= give_up && self.buffer.signals() == seen
    }
}
