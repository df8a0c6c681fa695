//! What a forwarder did: for people, or as JSON.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;
use sprockets_influxdb::Stats;

use crate::args::Output;
use crate::format::counted;
use crate::terminal;

#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// Messages taken, redelivered ones included.
    pub(super) messages: u64,
    /// Of those, the ones that had been delivered before.
    pub(super) redelivered: u64,
    pub(super) acknowledged: u64,
    /// Messages that were not decided when the command ended.
    pub(super) returned: u64,
    /// Messages with lines, or as a whole, that are not line protocol.
    pub(super) set_aside: u64,
    /// Lines in them that are not.
    pub(super) bad_lines: u64,
    pub(super) lines: u64,
    /// Bytes of payloads.
    pub(super) bytes: u64,
    /// Rejected lines that could not be kept.
    pub(super) lost: u64,
    /// Why it ended before it was told to.
    pub(super) problem: Option<String>,
    pub(super) elapsed: Duration,
    pub(super) stats: Stats,
}

/// Adds the counters of one client to others.
pub(super) fn add(sum: &mut Stats, stats: &Stats) {
    sum.added += stats.added;
    sum.delivered += stats.delivered;
    sum.rejected += stats.rejected;
    sum.pending += stats.pending;
    sum.batches += stats.batches;
    sum.retries += stats.retries;
    sum.bytes_sent += stats.bytes_sent;
    if stats.last_error.is_some() {
        sum.last_error.clone_from(&stats.last_error);
    }
}

impl Totals {
    /// Whether every line that was decided was delivered, and the command ended as it should.
    pub(super) fn is_complete(&self) -> bool {
        self.problem.is_none() && self.stats.rejected + self.set_aside + self.lost == 0
    }

    /// Prints the totals, unless all is well and the options ask for silence.
    pub(super) fn print(&self, quiet: bool, output: &Output) -> io::Result<()> {
        if quiet && !output.is_json() && self.is_complete() {
            return Ok(());
        }
        output.print(|| self.to_json(), |out| self.write_to(out))
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        let (messages, seconds) = (counted(self.messages, "message"), self.elapsed.as_secs_f64());
        writeln!(out, "{messages} with {}; {seconds:.1} s", counted(self.lines, "line"))?;
        let delivered = counted(self.stats.delivered, "line");
        writeln!(out, "  {} delivered", style.good(&delivered))?;
        for (count, noun, what) in [
            (self.stats.rejected, "line", "rejected by the server: see `quarantine list`"),
            (self.set_aside, "message", "set aside: not line protocol, at least in part"),
            (self.lost, "rejected line", "not kept"),
        ] {
            if count > 0 {
                writeln!(out, "  {} {what}", style.bad(&counted(count, noun)))?;
            }
        }
        for (count, what) in [
            (self.redelivered, "delivered to a forwarder before"),
            (self.returned, "not decided, for another forwarder"),
        ] {
            if count > 0 {
                writeln!(out, "  {} {what}", counted(count, "message"))?;
            }
        }
        if let (false, Some(error)) = (self.is_complete(), &self.stats.last_error) {
            writeln!(out, "  last error: {error}")?;
        }
        if let Some(problem) = &self.problem {
            writeln!(out, "  {} {problem}", style.bad("ended early:"))?;
        }
        Ok(())
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "ok": self.is_complete(),
            "messages": self.messages,
            "redelivered": self.redelivered,
            "acknowledged": self.acknowledged,
            "returned": self.returned,
            "set_aside": self.set_aside,
            "bad_lines": self.bad_lines,
            "lines": self.lines,
            "delivered": self.stats.delivered,
            "rejected": self.stats.rejected,
            "not_kept": self.lost,
            "requests": self.stats.batches,
            "retries": self.stats.retries,
            "bytes": self.bytes,
            "bytes_sent": self.stats.bytes_sent,
            "seconds": self.elapsed.as_secs_f64(),
            "last_error": self.stats.last_error,
            "problem": self.problem,
        })
    }
}
