//! How far it is: a bar on a terminal, a line now and then elsewhere. On standard error, since the summary goes to standard
//! output.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sprockets_influxdb::Stats;

use super::TICK;
use super::import::Counts;

/// How often a line is written where there is no terminal.
const PLAIN: Duration = Duration::from_secs(10);

/// After so long without progress the reason is shown.
const STALLED: Duration = Duration::from_secs(2);

const BAR: &str = "{bytes} of {total_bytes} [{bar:30}] {eta} left, {msg}";
const SPINNER: &str = "{spinner} {bytes}, {msg}";

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    size: Option<u64>,
    started: Instant,
    looked: Instant,
    told: Instant,
    /// What was decided at the last look, and since when it is so much.
    decided: (u64, Instant),
}

impl Progress {
    pub(crate) fn new(is_quiet: bool, size: Option<u64>) -> Self {
        let bar = (!is_quiet && io::stderr().is_terminal()).then(|| bar(size));
        let now = Instant::now();
        Self { bar, is_quiet, size, started: now, looked: now, told: now, decided: (0, now) }
    }

    /// Whether it is time to look again.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.looked.elapsed() >= TICK;
        if is_due {
            self.looked = Instant::now();
        }
        is_due
    }

    pub(crate) fn update(&mut self, counts: &Counts, stats: &Stats) {
        let bytes = counts.bytes.load(Ordering::Relaxed);
        let decided = stats.delivered + stats.rejected;
        if stats.pending == 0 || decided != self.decided.0 {
            self.decided = (decided, Instant::now());
        }
        let state = self.state(counts, stats);
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(state);
        } else if !self.is_quiet && self.told.elapsed() >= PLAIN {
            self.told = Instant::now();
            let of = self.size.map_or(String::new(), |size| format!(" of {}", HumanBytes(size)));
            let _ = writeln!(io::stderr(), "{}{of}, {state}", HumanBytes(bytes));
        }
    }

    /// A line about something that happened, above the bar.
    pub(crate) fn say(&self, text: &str) {
        let write = || {
            let _ = writeln!(io::stderr(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn state(&self, counts: &Counts, stats: &Stats) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (stats.delivered as f64 / seconds) as u64;
        let lines = counts.lines.load(Ordering::Relaxed);
        let mut state = format!("{} lines, {} delivered/s", HumanCount(lines), HumanCount(rate));
        let others = [
            ("rejected", stats.rejected),
            ("invalid", counts.invalid.load(Ordering::Relaxed)),
            ("retries", stats.retries),
        ];
        for (what, count) in others.into_iter().filter(|(_, count)| *count > 0) {
            state += &format!(", {} {what}", HumanCount(count));
        }
        if let (true, Some(error)) = (self.decided.1.elapsed() >= STALLED, &stats.last_error) {
            state += &format!("; {error}");
        }
        state
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    let template = if size.is_some() { BAR } else { SPINNER };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
