//! Progress on standard error: a bar on a terminal, a line every ten seconds elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sprockets_influxdb::Stats;

use crate::format::counted;
use crate::output;

/// How often progress is updated.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// How often a line is written if there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// After so long without progress the last error is shown.
const STALLED: Duration = Duration::from_secs(2);

const BAR: &str = "{bytes} of {total_bytes} [{bar:30}] {eta} left, {msg}";
const LINES: &str = "{human_pos} of {human_len} lines [{bar:30}] {msg}";
const SPINNER: &str = "{spinner} {bytes}, {msg}";

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Unknown,
    Bytes(u64),
    Lines(u64),
}

impl Size {
    /// A count in the unit of this size.
    fn format(self, count: u64) -> String {
        match self {
            Self::Lines(_) => counted(count, "line"),
            _ => HumanBytes(count).to_string(),
        }
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// In the unit of the [`Size`]; bytes, if that is unknown.
    pub(crate) count: u64,
    /// Lines read, valid or not. Not shown if the size is in lines.
    pub(crate) lines: u64,
    pub(crate) invalid: u64,
}

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    size: Size,
    started: Instant,
    updated: Instant,
    line_written: Instant,
}

impl Progress {
    pub(crate) fn new(is_quiet: bool, size: Size) -> Self {
        let bar = (!is_quiet && io::stderr().is_terminal()).then(|| bar(size));
        let now = Instant::now();
        Self { bar, is_quiet, size, started: now, updated: now, line_written: now }
    }

    /// Whether an update is due. If so, the next is due after [`TICK`].
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.updated.elapsed() >= TICK;
        if is_due {
            self.updated = Instant::now();
        }
        is_due
    }

    /// `stalled`: for how long the server has decided nothing.
    pub(crate) fn update(&mut self, position: Position, stats: &Stats, stalled: Duration) {
        let state = self.state(position, stats, stalled);
        if let Some(bar) = &self.bar {
            bar.set_position(position.count);
            bar.set_message(output::visible(&state).replace('\n', " "));
        } else if !self.is_quiet && self.line_written.elapsed() >= LINE_INTERVAL {
            self.line_written = Instant::now();
            let total = match self.size {
                Size::Unknown => String::new(),
                Size::Bytes(size) | Size::Lines(size) => format!(" of {}", self.size.format(size)),
            };
            output::message(&format!("{}{total}, {state}", self.size.format(position.count)));
        }
    }

    pub(crate) fn set_size(&mut self, size: Size) {
        self.size = size;
        if let (Some(bar), Size::Bytes(size) | Size::Lines(size)) = (&self.bar, size) {
            bar.set_length(size);
        }
    }

    /// Writes a message above the bar.
    pub(crate) fn message(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::message(text)),
            None => output::message(text),
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn state(&self, position: Position, stats: &Stats, stalled: Duration) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (stats.delivered as f64 / seconds) as u64;
        let mut state = match self.size {
            Size::Lines(_) => format!("{} delivered/s", HumanCount(rate)),
            _ => format!("{}, {} delivered/s", counted(position.lines, "line"), HumanCount(rate)),
        };
        for (count, what) in [
            (stats.rejected, "rejected"),
            (position.invalid, "invalid"),
            (stats.retries, "retries"),
        ] {
            if count > 0 {
                state += &format!(", {} {what}", HumanCount(count));
            }
        }
        if let (true, Some(error)) = (stalled >= STALLED, &stats.last_error) {
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
