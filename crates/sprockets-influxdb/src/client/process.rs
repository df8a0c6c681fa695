//! A client across forks: each process has a core of its own.

use std::time::Duration;

use once_cell::race::OnceBox;

use super::core::Core;
use crate::printable::plural;
use crate::stats::Stats;
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
        self.core.end(self.core.begin_shutdown(), timeout);
        self.core.workers.stop();
        self.core.buffer.persist_pending();
        let (spooled, lost) = what_is_left(&self.core.buffer.stats());
        if let Some(spooled) = spooled {
            tracing::warn!("{spooled}");
        }
        if let Some(lost) = lost {
            tracing::error!("{lost}");
        }
    }
}

/// Messages about measurements that were not delivered: those in the spool, and those that are
/// lost.
fn what_is_left(stats: &Stats) -> (Option<String>, Option<String>) {
    let lost = stats.pending.saturating_sub(stats.spooled);
    let spooled = plural(stats.spooled, "measurement waits", "measurements wait");
    let are_lost = plural(lost, "measurement is", "measurements are");
    (
        (stats.spooled > 0).then(|| format!("{spooled} in the spool for the next process")),
        (lost > 0).then(|| format!("{are_lost} lost: not delivered when the client ended")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_reports_what_is_in_the_spool_and_what_is_lost() {
        let messages = |pending, spooled| {
            let (spooled, lost) = what_is_left(&Stats { pending, spooled, ..Stats::default() });
            [spooled, lost].map(Option::unwrap_or_default)
        };
        assert_eq!(messages(0, 0), ["", ""]);
        assert_eq!(messages(1, 1), ["1 measurement waits in the spool for the next process", ""]);
        let lost = "2 measurements are lost: not delivered when the client ended";
        assert_eq!(messages(2, 0), ["", lost]);
        assert_eq!(messages(7, 5), ["5 measurements wait in the spool for the next process", lost]);
    }
}
