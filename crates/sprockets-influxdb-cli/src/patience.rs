//! How long a command waits for its server: until all is decided, somebody interrupts it, or the server has taken nothing for
//! too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sprockets_influxdb::{Client, Config, Overflow, Stats};

use crate::progress::{Done, Progress};
use crate::signals;

/// What is about an application's measurements, and would lose some of a file's.
pub(crate) const NOT_FOR_FILES: [&str; 5] = [
    "INFLUXDB_BLOCK_TIMEOUT",
    "INFLUXDB_ENABLED",
    "INFLUXDB_INTERVAL",
    "INFLUXDB_OVERFLOW",
    "INFLUXDB_SAMPLE_PROBABILITY",
];

/// The longest that a setting can say: the summary, and not the buffer, is to tell of a server that takes nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often progress is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// Why a command stopped before all was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Interrupted,
    GaveUp,
}

impl Stop {
    pub(crate) fn told(self) -> String {
        match self {
            Self::Interrupted => "interrupted".to_owned(),
            Self::GaveUp => {
                "gave up: the server has taken nothing for --give-up-after seconds".to_owned()
            }
        }
    }
}

/// A configuration by which no line is given up for the sake of an application.
pub(crate) fn config() -> Config {
    Config::new()
        .overflow(Overflow::Block)
        .block_timeout(PATIENCE)
        .submission_interval(Duration::from_secs(1))
}

/// For how long the server has taken nothing.
pub(crate) struct Stall {
    limit: Option<Duration>,
    since: Instant,
    decided: u64,
}

impl Stall {
    pub(crate) fn new(seconds: u64) -> Self {
        let limit = (seconds > 0).then(|| Duration::from_secs(seconds));
        Self { limit, since: Instant::now(), decided: 0 }
    }

    pub(crate) fn is_too_long(&mut self, pending: u64, decided: u64) -> bool {
        if pending == 0 || decided != self.decided {
            self.decided = decided;
            self.since = Instant::now();
        }
        self.limit.is_some_and(|limit| self.since.elapsed() >= limit)
    }
}

/// Waits for what a client does, in the thread that calls it.
pub(crate) struct Watch<'a> {
    client: &'a Client,
    progress: Progress,
    stall: Stall,
    is_interrupted: Arc<AtomicBool>,
    /// Why it waits no longer.
    pub(crate) stop: Option<Stop>,
}

impl<'a> Watch<'a> {
    /// Takes over signals, until it is dropped.
    pub(crate) fn new(client: &'a Client, progress: Progress, give_up_after: u64) -> Self {
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let flag = is_interrupted.clone();
        signals::tell(move || flag.store(true, Ordering::Relaxed));
        Self { client, progress, stall: Stall::new(give_up_after), is_interrupted, stop: None }
    }

    /// Whether there is nothing to wait for any more; shows how far it is otherwise.
    pub(crate) fn is_over(&mut self) -> bool {
        if self.stop.is_none() && self.is_interrupted.load(Ordering::Relaxed) {
            self.progress.say("interrupted: waiting for what is on its way");
            self.stop = Some(Stop::Interrupted);
        }
        if self.stop.is_none() && self.progress.is_due() {
            let stats = self.client.stats();
            let decided = decided(&stats);
            self.progress.update(&Done { count: decided, lines: 0, invalid: 0, stats: &stats });
            if self.stall.is_too_long(stats.pending, decided) {
                self.stop = Some(Stop::GaveUp);
            }
        }
        self.stop.is_some()
    }

    pub(crate) fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// Waits no longer than the shutdown timeout for what is left, and not at all for a server that takes nothing.
    pub(crate) fn shut_down(&mut self) {
        let is_hopeless = self.stop == Some(Stop::GaveUp);
        let timeout = if is_hopeless { Duration::ZERO } else { self.client.shutdown_timeout() };
        self.client.shutdown(timeout);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.progress.clear();
        signals::forget();
    }
}

fn decided(stats: &Stats) -> u64 {
    stats.delivered + stats.rejected + stats.dropped.total()
}
