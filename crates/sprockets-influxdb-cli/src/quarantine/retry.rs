//! `quarantine retry`: sends lines again that were refused. A file is replaced when all of its lines are decided, by one with
//! those that are left: whenever this ends, each line is in the database or in a file, and some may be in both.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use indicatif::HumanCount;
use serde_json::{Value, json};
use sprockets_influxdb::spool::QuarantineEntry;
use sprockets_influxdb::{Client, Config, DropReason, Precision, RawLine, internal};

use crate::patience::{self, NOT_FOR_FILES, PATIENCE, Stop, Watch};
use crate::progress::{Progress, Size};
use crate::words::{counted, print, print_json};
use crate::{Problem, exit, options, terminal, warnings};

/// Lines that are under way at once.
const LINES: usize = 5_000;

/// What is about an application's measurements, or decided here.
const NOT_HEEDED: [&str; 5] = [
    "INFLUXDB_MAX_BUFFER_BYTES",
    "INFLUXDB_MAX_BUFFER_SIZE",
    "INFLUXDB_PRECISION",
    "INFLUXDB_SPOOL",
    "INFLUXDB_TRIGGER_SIZE",
];

/// Send lines again that servers refused
///
/// Those that are delivered now are removed from the quarantine; those that are refused again stay, with the new reason, and
/// so do those that are not decided. If it is interrupted, or killed, no line is lost.
///
/// Ends with 0 if every line was delivered, 1 if one was not, 2 if an argument, a setting or a file cannot be used, and
/// 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: options::Spool,
    /// Only that file, by its name or path. May be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    server: options::Server,
    /// Give up when the server has taken nothing for so many seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    give_up_after: u64,
    /// No progress, and no summary unless a line was not delivered
    #[arg(long, short)]
    quiet: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default)]
struct Refused {
    /// How many, in all.
    count: u64,
    /// Why, by database and line, of those that are under way.
    reasons: HashMap<(String, String), String>,
}

type Refusals = Arc<Mutex<Refused>>;

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let files = super::files(&options.spool.directory()?, &options.files)?;
    let refusals = Refusals::default();
    let (client, told) = {
        let config = options.config(refusals.clone())?;
        warnings::collect(|| Client::new(config))
    };
    let client = client?;
    let progress = Progress::new(options.quiet, Size::Lines(0));
    for warning in told {
        progress.say(&format!("warning: {warning}"));
    }
    let watch = Watch::new(&client, progress, options.give_up_after);
    let mut retry = Retry { client: &client, watch, refusals, counts: Counts::default() };
    for file in files {
        let shown = file.path.display();
        let failed = |error| format!("{shown} of the quarantine: {error}");
        // One that is gone is another's, who takes care of it.
        let Some(taken) = file.take().map_err(failed)? else { continue };
        let left = retry.send(taken.entries());
        taken.give_back(&left).map_err(failed)?;
    }
    let (counts, stop) = (retry.counts, retry.watch.stop);
    drop(retry.watch);
    let last_error = client.stats().last_error;
    let outcome = Outcome { counts, stop, last_error };
    if options.json {
        print_json(&outcome.json())?;
    } else if !options.quiet || !outcome.is_delivered() {
        print(|out| outcome.write_to(out))?;
    }
    Ok(if outcome.is_delivered() { exit::OK } else { exit::FAILED })
}

impl Options {
    fn config(&self, refusals: Refusals) -> Result<Config, Problem> {
        let base = patience::config().on_rejected(move |rejected| {
            let key = (rejected.database().to_owned(), rejected.line().to_owned());
            let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.count += 1;
            refusals.reasons.insert(key, rejected.reason().to_owned());
        });
        let ignored = [NOT_FOR_FILES, NOT_HEEDED].concat();
        let config = self.server.config(base, &ignored)?;
        // In memory only, as they are on disk already; and there, all that are sent at once have room. Files have lines of
        // several precisions: the finest has them all.
        let config = config.spool("").precision(Precision::Nanoseconds);
        Ok(config.max_buffer_size(2 * LINES).max_buffer_bytes(1 << 30))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    lines: u64,
    delivered: u64,
    refused: u64,
    undecided: u64,
}

struct Retry<'a> {
    client: &'a Client,
    watch: Watch<'a>,
    refusals: Refusals,
    counts: Counts,
}

impl Retry<'_> {
    /// Sends lines. Returns those that are left.
    fn send(&mut self, entries: &[QuarantineEntry]) -> Vec<QuarantineEntry> {
        self.counts.lines += entries.len() as u64;
        self.watch.progress().set_size(Size::Lines(self.counts.lines));
        let mut left = Vec::new();
        for part in entries.chunks(LINES) {
            if self.watch.is_over() {
                self.counts.undecided += part.len() as u64;
                left.extend_from_slice(part);
            } else {
                self.send_part(part, &mut left);
            }
        }
        left
    }

    fn send_part(&mut self, part: &[QuarantineEntry], left: &mut Vec<QuarantineEntry>) {
        let unsure_before = self.unsure();
        let sent: Vec<Result<String, String>> = part.iter().map(|entry| self.add(entry)).collect();
        let (client, watch) = (self.client, &mut self.watch);
        let report = internal::flush_unless(client, PATIENCE, || watch.is_over());
        if !report.is_complete() {
            watch.shut_down();
        }
        let is_decided = self.unsure() == unsure_before;
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        for (entry, sent) in part.iter().zip(sent) {
            let reason = match sent {
                Ok(line) => refusals.reasons.get(&(entry.database.clone(), line)).cloned(),
                Err(problem) => Some(problem),
            };
            match reason {
                Some(reason) => {
                    self.counts.refused += 1;
                    left.push(entry.refused_again(reason));
                }
                None if is_decided => self.counts.delivered += 1,
                None => {
                    self.counts.undecided += 1;
                    left.push(entry.clone());
                }
            }
        }
        refusals.reasons.clear();
    }

    /// How many lines cannot be said to be delivered, nor to be refused: those that were not sent, for whatever reason, and
    /// those of which the server only said how many it refused.
    fn unsure(&self) -> u64 {
        let stats = self.client.stats();
        let invalid = stats.dropped.count(DropReason::Invalid);
        let unsent = stats.pending + stats.sampled_out + stats.dropped.total() - invalid;
        let known = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).count;
        unsent + stats.rejected.saturating_sub(known)
    }

    /// Returns the line as it is sent, or why it cannot be.
    fn add(&self, entry: &QuarantineEntry) -> Result<String, String> {
        let line = RawLine::parse(&entry.line, entry.precision).map_err(|e| e.to_string())?;
        let Some(time) = line.timestamp() else {
            return Err("it has no timestamp: give it one".to_owned());
        };
        self.client.add_line(&entry.database, &line).map_err(|error| error.to_string())?;
        Ok(format!("{} {}", line.text(), time.nanoseconds()))
    }
}

struct Outcome {
    counts: Counts,
    stop: Option<Stop>,
    last_error: Option<String>,
}

impl Outcome {
    fn is_delivered(&self) -> bool {
        self.stop.is_none() && self.counts.refused + self.counts.undecided == 0
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let (style, counts) = (terminal::on_stdout(), &self.counts);
        writeln!(out, "{} of the quarantine", counted(counts.lines, "line"))?;
        writeln!(out, "  {} delivered", style.good(&HumanCount(counts.delivered).to_string()))?;
        for (count, what) in [
            (counts.refused, "refused again: they stay, with the new reason"),
            (counts.undecided, "not delivered: they stay"),
        ] {
            if count > 0 {
                writeln!(out, "  {} {what}", style.bad(&HumanCount(count).to_string()))?;
            }
        }
        if let (false, Some(error)) = (self.is_delivered(), &self.last_error) {
            writeln!(out, "  last error: {error}")?;
        }
        if let Some(stop) = self.stop {
            writeln!(out, "  {} {}", style.bad("ended early:"), stop.told())?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "ok": self.is_delivered(),
            "lines": self.counts.lines,
            "delivered": self.counts.delivered,
            "rejected": self.counts.refused,
            "pending": self.counts.undecided,
            "last_error": self.last_error,
            "problem": self.stop.map(Stop::told),
        })
    }
}
