//! What became of the lines, in the end.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use sprockets_influxdb::{DropReason, Rejected, Stats};

use crate::terminal;
use crate::wait::Stop;
use crate::write::import::{Counts, Ended};

/// So many refused lines are shown.
const SHOWN: usize = 5;

/// The first lines that the server refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Vec<Refusal>>);

#[derive(Clone, Debug)]
struct Refusal {
    database: String,
    line: String,
    reason: String,
}

impl Refusals {
    pub(crate) fn note(&self, rejected: &Rejected<'_>) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.len() < SHOWN {
            first.push(Refusal {
                database: rejected.database().to_owned(),
                line: rejected.line().to_owned(),
                reason: rejected.reason().to_owned(),
            });
        }
    }

    fn first(&self) -> Vec<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) struct Summary {
    lines: u64,
    delivered: u64,
    rejected: u64,
    invalid: u64,
    /// Given up on this side.
    dropped: u64,
    pending: u64,
    bytes_read: u64,
    bytes_sent: u64,
    requests: u64,
    retries: u64,
    elapsed: Duration,
    refusals: Vec<Refusal>,
    last_error: Option<String>,
    /// Why not everything was read, or waited for.
    problem: Option<String>,
}

impl Summary {
    pub(crate) fn new(
        stats: &Stats,
        counts: &Counts,
        refusals: &Refusals,
        elapsed: Duration,
        stop: Option<Stop>,
        ended: Option<&Ended>,
    ) -> Self {
        let problem = match (stop, ended) {
            (_, Some(Ended::Broken(problem) | Ended::Unusable(problem))) => Some(problem.clone()),
            (stop, _) => stop.map(Stop::told),
        };
        Self {
            lines: counts.lines.load(Ordering::Relaxed),
            delivered: stats.delivered,
            rejected: stats.rejected,
            invalid: counts.invalid.load(Ordering::Relaxed),
            // Invalid ones that the client refused are counted above.
            dropped: stats.sampled_out + stats.dropped.total()
                - stats.dropped.count(DropReason::Invalid),
            pending: stats.pending,
            bytes_read: counts.bytes.load(Ordering::Relaxed),
            bytes_sent: stats.bytes_sent,
            requests: stats.batches,
            retries: stats.retries,
            elapsed,
            refusals: refusals.first(),
            last_error: stats.last_error.clone(),
            problem,
        }
    }

    /// Whether each line was read, and is stored.
    pub(crate) fn is_delivered(&self) -> bool {
        self.problem.is_none() && self.undelivered() == 0
    }

    fn undelivered(&self) -> u64 {
        self.rejected + self.invalid + self.dropped + self.pending
    }

    pub(crate) fn print(&self, as_json: bool) {
        let mut out = io::stdout().lock();
        // A reader that has gone away does not change what became of the lines.
        let _ = if as_json { writeln!(out, "{}", self.json()) } else { self.write_to(&mut out) };
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        let seconds = self.elapsed.as_secs_f64();
        let rate = (self.delivered as f64 / seconds.max(1e-3)) as u64;
        writeln!(
            out,
            "{} lines read ({}) in {seconds:.1} s, {} a second; {} sent in {} requests, {} of them repeated",
            HumanCount(self.lines),
            HumanBytes(self.bytes_read),
            HumanCount(rate),
            HumanBytes(self.bytes_sent),
            HumanCount(self.requests),
            HumanCount(self.retries),
        )?;
        writeln!(out, "  {} delivered", style.good(&HumanCount(self.delivered).to_string()))?;
        for (count, what) in [
            (self.rejected, "rejected by the server"),
            (self.invalid, "invalid, not sent"),
            (self.dropped, "given up, not sent"),
            (self.pending, "not delivered"),
        ] {
            if count > 0 {
                writeln!(out, "  {} {what}", style.bad(&HumanCount(count).to_string()))?;
            }
        }
        for refusal in &self.refusals {
            writeln!(out, "  rejected: {}: {:?}", refusal.reason, shortened(&refusal.line))?;
        }
        if let (true, Some(error)) = (self.pending > 0, &self.last_error) {
            writeln!(out, "  last error: {error}")?;
        }
        if let Some(problem) = &self.problem {
            writeln!(out, "  {} {problem}", style.bad("ended early:"))?;
        }
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let refusals = self.refusals.iter().map(|refusal| {
            json!({ "database": refusal.database, "line": refusal.line, "reason": refusal.reason })
        });
        json!({
            "ok": self.is_delivered(),
            "lines": self.lines,
            "delivered": self.delivered,
            "rejected": self.rejected,
            "invalid": self.invalid,
            "dropped": self.dropped,
            "pending": self.pending,
            "bytes_read": self.bytes_read,
            "bytes_sent": self.bytes_sent,
            "requests": self.requests,
            "retries": self.retries,
            "seconds": self.elapsed.as_secs_f64(),
            "first_rejected": refusals.collect::<Vec<_>>(),
            "last_error": self.last_error,
            "problem": self.problem,
        })
    }
}

fn shortened(line: &str) -> String {
    const MOST: usize = 120;
    let mut characters = line.chars();
    let mut short: String = characters.by_ref().take(MOST).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
