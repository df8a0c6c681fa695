//! How far it is: a bar on a terminal, a line now and then elsewhere. On standard error, since the summary goes to standard
//! output.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sprockets_influxdb::Stats;

use crate::wait::TICK;

/// How often a line is written where there is no terminal.
const PLAIN: Duration = Duration::from_secs(10);

/// After so long without progress the reason is shown.
const STALLED: Duration = Duration::from_secs(2);

const BAR: &str = "{bytes} of {total_bytes} [{bar:30}] {eta} left, {msg}";
const LINES: &str = "{human_pos} of {human_len} lines [{bar:30}] {msg}";
const SPINNER: &str = "{spinner} {bytes}, {msg}";

/// Of what there is so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Unknown,
    Bytes(u64),
    Lines(u64),
}

impl Size {
    /// So much of it, in words.
    fn shown(self, count: u64) -> String {
        match self {
            Self::Lines(_) => format!("{} lines", HumanCount(count)),
            _ => HumanBytes(count).to_string(),
        }
    }
}

/// How far it is.
pub(crate) struct Done<'a> {
    /// As the size counts.
    pub(crate) count: u64,
    /// Of lines, valid or not.
    pub(crate) lines: u64,
    pub(crate) invalid: u64,
    pub(crate) stats: &'a Stats,
}

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    size: Size,
    started: Instant,
    looked: Instant,
    told: Instant,
    /// What was decided at the last look, and since when it is so much.
    decided: (u64, Instant),
}

impl Progress {
    pub(crate) fn new(is_quiet: bool, size: Size) -> Self {
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

    pub(crate) fn update(&mut self, done: &Done<'_>) {
        let decided = done.stats.delivered + done.stats.rejected;
        if done.stats.pending == 0 || decided != self.decided.0 {
            self.decided = (decided, Instant::now());
        }
        let state = self.state(done);
        if let Some(bar) = &self.bar {
            bar.set_position(done.count);
            bar.set_message(state);
        } else if !self.is_quiet && self.told.elapsed() >= PLAIN {
            self.told = Instant::now();
            let of = match self.size {
                Size::Unknown => String::new(),
                Size::Bytes(size) | Size::Lines(size) => format!(" of {}", self.size.shown(size)),
            };
            let _ = writeln!(io::stderr(), "{}{of}, {state}", self.size.shown(done.count));
        }
    }

    /// It has become known, or has changed.
    pub(crate) fn set_size(&mut self, size: Size) {
        self.size = size;
        if let (Some(bar), Size::Bytes(size) | Size::Lines(size)) = (&self.bar, size) {
            bar.set_length(size);
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

    fn state(&self, done: &Done<'_>) -> String {
        let stats = done.stats;
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (stats.delivered as f64 / seconds) as u64;
        let mut state = match self.size {
            Size::Lines(_) => format!("{} delivered/s", HumanCount(rate)),
            _ => format!("{} lines, {} delivered/s", HumanCount(done.lines), HumanCount(rate)),
        };
        let others =
            [("rejected", stats.rejected), ("invalid", done.invalid), ("retries", stats.retries)];
        for (what, count) in others.into_iter().filter(|(_, count)| *count > 0) {
            state += &format!(", {} {what}", HumanCount(count));
        }
        if let (true, Some(error)) = (self.decided.1.elapsed() >= STALLED, &stats.last_error) {
            state += &format!("; {error}");
        }
        state
    }
}

fn bar(size: Size) -> ProgressBar {
    let (length, template) = match size {
        Size::Unknown => (None, SPINNER),
        Size::Bytes(size) => (Some(size), BAR),
        Size::Lines(size) => (Some(size), LINES),
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
