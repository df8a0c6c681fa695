//! A client across forks: each process has a core of its own, which begins with an empty buffer.
//! Lines that wait at a fork stay with the parent, which delivers them.

use std::time::Duration;

use once_cell::race::OnceBox;

use super::core::Core;
use super::losses;
use crate::sys;

/// A client as one process sees it.
pub(super) struct Process {
    generation: u64,
    core: Core,
    /// The client of a process forked from this one. It is made without a lock: another thread may
    /// have held any lock at the moment of the fork.
    child: OnceBox<Process>,
}

impl Process {
    pub(super) fn new(core: Core) -> Self {
        Self { generation: sys::generation(), core, child: OnceBox::new() }
    }

    /// The core of the process that calls this.
    #[inline]
    pub(super) fn core(&self) -> &Core {
        if self.generation == sys::generation() { &self.core } else { self.in_child() }
    }

    /// The core of a forked process, made on first use.
    #[cold]
    fn in_child(&self) -> &Core {
        let mut process = self;
        while process.generation != sys::generation() {
            process = process.child.get_or_init(|| Box::new(Self::new(process.core.after_fork())));
        }
        &process.core
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A forked process owns nothing of its parent's.
        if self.generation != sys::generation() {
            return;
        }
        // A caller of shutdown has already waited.
        let has_waited = self.core.is_shut_down();
        let timeout = if has_waited { Duration::ZERO } else { self.core.shutdown_timeout() };
        self.core.end(self.core.begin_shutdown(timeout));
        self.core.workers.stop();
        self.core.persist_pending(Duration::ZERO);
        losses::log([&self.core]);
    }
}
