//! Waits for a client to deliver lines: until all are decided, a signal arrives, or the server has
//! accepted nothing for too long.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sprockets_influxdb::{Client, Config, DropReason, Overflow, Stats};

use crate::exit::Problem;
use crate::progress::{Position, Progress};
use crate::{signals, warnings};

/// Variables for applications, which may lose measurements. The command must not lose lines.
pub(crate) const IGNORED_VARIABLES: [&str; 6] = [
    "INFLUXDB_BLOCK_TIMEOUT",
    "INFLUXDB_ENABLED",
    "INFLUXDB_INTERVAL",
    "INFLUXDB_OVERFLOW",
    "INFLUXDB_SAMPLE_PROBABILITY",
    "INFLUXDB_SELF_DATABASE",
];

/// The longest timeout that a setting can have. The command, and not the buffer, decides when to
/// give up.
pub(crate) const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a command stopped before all lines were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Interrupted,
    GaveUp,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::GaveUp => "gave up: the server accepted nothing for --give-up-after seconds",
        })
    }
}

/// A configuration that drops no line.
pub(crate) fn config() -> Config {
    Config::new()
        .overflow(Overflow::Block)
        .block_timeout(NO_TIMEOUT)
        .submission_interval(Duration::from_secs(1))
}

/// A client, after its warnings were shown.
pub(crate) fn client(config: Config, progress: &Progress) -> Result<Client, Problem> {
    let (client, warnings) = warnings::collect(|| Client::new(config));
    let client = client?;
    for warning in warnings {
        progress.message(&format!("warning: {warning}"));
    }
    Ok(client)
}

/// One wait, in the thread that polls it. It handles signals until it is dropped.
pub(crate) struct Wait<'a> {
    client: &'a Client,
    progress: Progress,
    position: Box<dyn Fn(&Stats) -> Position + 'a>,
    give_up_after: Option<Duration>,
    /// The number of lines that were decided, and when it last changed.
    decided: (u64, Instant),
    is_interrupted: Arc<AtomicBool>,
    stop: Option<Stop>,
}

impl<'a> Wait<'a> {
    /// Waits for all lines of the client. `give_up_after` is in seconds; 0 waits without limit.
    pub(crate) fn new(client: &'a Client, progress: Progress, give_up_after: u64) -> Self {
        let position = |stats: &Stats| Position { count: decided(stats), lines: 0, invalid: 0 };
        Self::with_position(client, progress, give_up_after, position, || ())
    }

    /// As [`new`](Self::new). `position` is what progress shows; `on_signal` is called when a
    /// signal arrives, in its thread.
    pub(crate) fn with_position(
        client: &'a Client,
        progress: Progress,
        give_up_after: u64,
        position: impl Fn(&Stats) -> Position + 'a,
        on_signal: impl FnOnce() + Send + 'static,
    ) -> Self {
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let flag = is_interrupted.clone();
        signals::listen(move || {
            flag.store(true, Ordering::Relaxed);
            on_signal();
        });
        Self {
            client,
            progress,
            position: Box::new(position),
            give_up_after: (give_up_after > 0).then(|| Duration::from_secs(give_up_after)),
            decided: (0, Instant::now()),
            is_interrupted,
            stop: None,
        }
    }

    /// Whether to stop waiting. Otherwise it updates the progress, if that is due.
    pub(crate) fn is_over(&mut self) -> bool {
        if self.stop.is_none() && self.is_interrupted.load(Ordering::Relaxed) {
            self.progress.message(
                "interrupted: delivering the lines that were read; Ctrl-C again ends at once",
            );
            self.stop = Some(Stop::Interrupted);
        }
        // Not for each event, of which there may be many.
        if self.stop.is_none() && self.progress.is_due() {
            let stats = self.client.stats();
            let stalled = self.stalled(&stats);
            self.progress.update((self.position)(&stats), &stats, stalled);
            if self.give_up_after.is_some_and(|limit| stalled >= limit) {
                self.stop = Some(Stop::GaveUp);
            }
        }
        self.stop.is_some()
    }

    /// Why it stopped before all lines were delivered, if it did.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.stop
    }

    pub(crate) fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// How long to wait for the rest: not at all for a server that accepts nothing.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        if self.stop == Some(Stop::GaveUp) {
            Duration::ZERO
        } else {
            self.client.shutdown_timeout()
        }
    }

    /// For how long the server has decided nothing although lines are waiting.
    fn stalled(&mut self, stats: &Stats) -> Duration {
        let decided = decided(stats);
        if stats.pending == 0 || decided != self.decided.0 {
            self.decided = (decided, Instant::now());
        }
        self.decided.1.elapsed()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.progress.clear();
        signals::reset();
    }
}

/// Lines that are delivered, rejected or lost. Invalid lines never wait for the server.
fn decided(stats: &Stats) -> u64 {
    stats.delivered + stats.rejected + stats.dropped.total()
        - stats.dropped.count(DropReason::Invalid)
}
