//! What became of the lines that a command was to deliver: for people, or as JSON.

use std::io::{self, Write};

use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::args::Output;
use crate::{exit, terminal};

/// The report of one command.
pub(crate) struct Report {
    /// The first line.
    pub(crate) heading: String,
    pub(crate) delivered: u64,
    /// Lines that were not delivered: JSON key, number, and why.
    pub(crate) undelivered: Vec<(&'static str, u64, &'static str)>,
    /// Lines or files that failed: a label, and what is wrong.
    pub(crate) failures: Vec<(&'static str, String)>,
    pub(crate) last_error: Option<String>,
    /// Why the command ended before all lines were read or decided.
    pub(crate) ended_early: Option<String>,
    /// Further lines.
    pub(crate) notes: Vec<String>,
    /// An object with the keys that only this command has.
    pub(crate) json: Value,
}

impl Report {
    /// Prints the report. `quiet`: as text, only if a line was not delivered.
    pub(crate) fn print(&self, quiet: bool, output: &Output) -> io::Result<()> {
        if quiet && !output.is_json() && self.is_complete() {
            return Ok(());
        }
        output.print(|| self.to_json(), |out| self.write_to(out))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        if self.is_complete() { exit::OK } else { exit::FAILED }
    }

    /// Whether every line was read and delivered.
    fn is_complete(&self) -> bool {
        self.ended_early.is_none()
            && self.failures.is_empty()
            && self.undelivered.iter().all(|(_, count, _)| *count == 0)
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        writeln!(out, "{}", self.heading)?;
        writeln!(out, "  {} delivered", style.good(&HumanCount(self.delivered).to_string()))?;
        for (_, count, what) in &self.undelivered {
            if *count > 0 {
                writeln!(out, "  {} {what}", style.bad(&HumanCount(*count).to_string()))?;
            }
        }
        for (label, problem) in &self.failures {
            writeln!(out, "  {} {problem}", style.bad(&format!("{label}:")))?;
        }
        if let (false, Some(error)) = (self.is_complete(), &self.last_error) {
            writeln!(out, "  last error: {error}")?;
        }
        if let Some(reason) = &self.ended_early {
            writeln!(out, "  {} {reason}", style.bad("ended early:"))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "  {note}"))
    }

    fn to_json(&self) -> Value {
        let mut json = self.json.clone();
        json["ok"] = json!(self.is_complete());
        json["delivered"] = json!(self.delivered);
        json["last_error"] = json!(self.last_error);
        json["problem"] = json!(self.ended_early);
        for (key, count, _) in &self.undelivered {
            json[*key] = json!(count);
        }
        json
    }
}
