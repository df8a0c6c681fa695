//! `quarantine retry`: sends rejected lines again.
//!
//! A file is removed once all its lines are decided, and those that remain are in a new one.
//! Whenever the command ends, each line is in the database, in a file, or in both.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::json;
use sprockets_influxdb::internal::shown;
use sprockets_influxdb::spool::{QuarantineEntry, QuarantineFile};
use sprockets_influxdb::{Client, Config, DropReason, Precision, RawLine, internal};

use super::files::{Files, Users};
use crate::args;
use crate::exit::Problem;
use crate::format::counted;
use crate::progress::{Progress, Size};
use crate::report::Report;
use crate::wait::{self, IGNORED_VARIABLES, NO_TIMEOUT, Wait};

/// How many lines are sent before the next ones.
const CHUNK_LINES: usize = 5_000;

/// Variables for applications, and those that this command sets itself.
const MORE_IGNORED_VARIABLES: [&str; 5] = [
    "INFLUXDB_MAX_BUFFER_BYTES",
    "INFLUXDB_MAX_BUFFER_SIZE",
    "INFLUXDB_PRECISION",
    "INFLUXDB_SPOOL",
    "INFLUXDB_TRIGGER_SIZE",
];

/// Send rejected lines again
///
/// Delivered lines are removed from the quarantine. Lines that are rejected again stay, with the
/// new reason, and so do undecided ones. No line is lost if the command is interrupted or killed.
///
/// Exit code: 0 if every line was delivered, 1 if one was not, 2 if an argument, a setting or a
/// file cannot be used, 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    users: Users,
    #[command(flatten)]
    server: args::Server,
    #[command(flatten)]
    delivery: args::Delivery,
}

/// The lines that the server rejected again.
#[derive(Debug, Default)]
struct RejectedAgain {
    /// Their number since the command began.
    count: u64,
    /// The reasons of those in the current chunk, by database and line.
    reasons: HashMap<(String, String), String>,
}

type Rejections = Arc<Mutex<RejectedAgain>>;

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let files = options.files.open(&options.spool.directory()?)?;
    let rejections = Rejections::default();
    let config = options.config(rejections.clone())?;
    let progress = Progress::new(options.delivery.quiet, Size::Lines(0));
    let client = wait::client(config, &progress)?;
    let wait = Wait::new(&client, progress, options.delivery.give_up_after);
    let mut retry = Retry { client: &client, wait, rejections, counts: Counts::default() };
    let mut failures = Vec::new();
    for file in files {
        let file = options.users.may_change(file);
        if let Err(error) = retry.retry(&file) {
            failures.push(("skipped", format!("{}: {error}", shown(&file.path))));
        }
    }
    let (counts, stop) = (retry.counts, retry.wait.stop());
    drop(retry.wait);
    let mut report = counts.report(client.stats().last_error, stop.map(|stop| stop.to_string()));
    report.failures = failures;
    report.print(options.delivery.quiet, &options.delivery.output)?;
    Ok(report.exit_code())
}

impl Options {
    fn config(&self, rejections: Rejections) -> Result<Config, Problem> {
        let base = wait::config().on_rejected(move |rejected| {
            let key = (rejected.database().to_owned(), rejected.line().to_owned());
            let mut rejections = rejections.lock().unwrap_or_else(PoisonError::into_inner);
            rejections.count += 1;
            rejections.reasons.insert(key, rejected.reason().to_owned());
        });
        let ignored = [&IGNORED_VARIABLES[..], &MORE_IGNORED_VARIABLES[..]].concat();
        let config = self.server.config(base, &ignored)?;
        // Without a spool, as the lines are on disk already, and with room for a whole chunk. The
        // files have lines of several precisions, which nanoseconds can all express.
        let config = config.spool("").precision(Precision::Nanoseconds);
        Ok(config.max_buffer_size(2 * CHUNK_LINES).max_buffer_bytes(1 << 30))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    lines: u64,
    delivered: u64,
    rejected: u64,
    undecided: u64,
}

impl Counts {
    fn report(self, last_error: Option<String>, ended_early: Option<String>) -> Report {
        Report {
            heading: format!("{} of the quarantine", counted(self.lines, "line")),
            delivered: self.delivered,
            undelivered: vec![
                ("rejected", self.rejected, "rejected again: they stay, with the new reason"),
                ("pending", self.undecided, "not delivered: they stay"),
            ],
            failures: Vec::new(),
            last_error,
            ended_early,
            notes: Vec::new(),
            json: json!({ "lines": self.lines }),
        }
    }
}

struct Retry<'a> {
    client: &'a Client,
    wait: Wait<'a>,
    rejections: Rejections,
    counts: Counts,
}

impl Retry<'_> {
    fn retry(&mut self, file: &QuarantineFile) -> io::Result<()> {
        // Another process claimed or removed it.
        let Some(claim) = file.claim()? else { return Ok(()) };
        let left = self.send(&claim.read()?);
        claim.finish(&left)
    }

    /// Sends lines. Returns those that remain in the quarantine.
    fn send(&mut self, entries: &[QuarantineEntry]) -> Vec<QuarantineEntry> {
        self.counts.lines += entries.len() as u64;
        self.wait.progress().set_size(Size::Lines(self.counts.lines));
        let mut left = Vec::new();
        for chunk in entries.chunks(CHUNK_LINES) {
            if self.wait.is_over() {
                self.counts.undecided += chunk.len() as u64;
                left.extend_from_slice(chunk);
            } else {
                self.send_chunk(chunk, &mut left);
            }
        }
        left
    }

    fn send_chunk(&mut self, chunk: &[QuarantineEntry], left: &mut Vec<QuarantineEntry>) {
        let undecided_before = self.undecided();
        let sent: Vec<Result<String, String>> = chunk.iter().map(|entry| self.add(entry)).collect();
        let (client, wait) = (self.client, &mut self.wait);
        let report = internal::flush_unless(client, NO_TIMEOUT, || wait.is_over());
        if !report.is_complete() {
            client.shutdown(wait.shutdown_timeout());
        }
        let is_decided = self.undecided() == undecided_before;
        let mut rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        for (entry, sent) in chunk.iter().zip(sent) {
            let reason = match sent {
                Ok(line) => rejections.reasons.get(&(entry.database.clone(), line)).cloned(),
                Err(problem) => Some(problem),
            };
            match reason {
                Some(reason) => {
                    self.counts.rejected += 1;
                    left.push(entry.rejected_again(reason));
                }
                None if is_decided => self.counts.delivered += 1,
                None => {
                    self.counts.undecided += 1;
                    left.push(entry.clone());
                }
            }
        }
        rejections.reasons.clear();
    }

    /// The number of lines that may be delivered or not: those that were not sent, and those that
    /// the server counted as rejected without naming them.
    fn undecided(&self) -> u64 {
        let stats = self.client.stats();
        let invalid = stats.dropped.count(DropReason::Invalid);
        let unsent = stats.pending + stats.sampled_out + stats.dropped.total() - invalid;
        let known = self.rejections.lock().unwrap_or_else(PoisonError::into_inner).count;
        unsent + stats.rejected.saturating_sub(known)
    }

    /// Adds a line. Returns it as it is sent, or the reason why it cannot be.
    fn add(&self, entry: &QuarantineEntry) -> Result<String, String> {
        let line = RawLine::parse(&entry.line, entry.precision).map_err(|e| e.to_string())?;
        let Some(time) = line.timestamp() else {
            return Err("it has no timestamp: give it one".to_owned());
        };
        self.client.add_line(&entry.database, &line).map_err(|error| error.to_string())?;
        Ok(format!("{} {}", line.text(), time.nanoseconds()))
    }
}
