//! `quarantine list`: how many lines were refused, and why.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use sprockets_influxdb::spool::QuarantineFile;

use crate::format::{age, counted, name, print, print_json, seconds};
use crate::{Problem, args, exit, terminal};

/// List what servers refused, by database and reason, and the files that it is in
///
/// Ends with 0, or 2 if an argument or the directory cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Lines that were refused for the same reason.
#[derive(Default)]
struct Refused {
    lines: u64,
    /// As RFC 3339 has it, which sorts by time.
    first: String,
    last: String,
}

#[derive(Default)]
struct Found {
    files: Vec<(QuarantineFile, u64)>,
    /// By database and reason.
    refused: BTreeMap<(String, String), Refused>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut found = Found::default();
    for file in options.spool.directory()?.quarantine()? {
        let entries = file.read()?;
        found.files.push((file, entries.len() as u64));
        for entry in entries {
            let refused = found.refused.entry((entry.database, entry.reason)).or_default();
            refused.lines += 1;
            if refused.first.is_empty() || entry.time < refused.first {
                refused.first.clone_from(&entry.time);
            }
            refused.last = entry.time.max(std::mem::take(&mut refused.last));
        }
    }
    if options.json {
        let refused = found.refused.iter().map(|((database, reason), refused)| {
            json!({
                "database": database,
                "reason": reason,
                "lines": refused.lines,
                "first": refused.first,
                "last": refused.last,
            })
        });
        let files = found.files.iter().map(|(file, lines)| {
            let age = seconds(file.modified);
            json!({ "file": file.path, "lines": lines, "bytes": file.bytes, "age_seconds": age })
        });
        let (refused, files) = (refused.collect::<Vec<_>>(), files.collect::<Vec<_>>());
        print_json(&json!({ "lines": found.lines(), "refused": refused, "files": files }))?;
    } else {
        print(|out| found.write_to(out))?;
    }
    Ok(exit::OK)
}

impl Found {
    fn lines(&self) -> u64 {
        self.files.iter().map(|(_, lines)| lines).sum()
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        if self.files.is_empty() {
            return writeln!(out, "no line was refused");
        }
        for ((database, reason), refused) in &self.refused {
            let (lines, Refused { first, last, .. }) = (HumanCount(refused.lines), refused);
            let times = if first == last { first.clone() } else { format!("{first} to {last}") };
            let database = if database.is_empty() { "no database" } else { database };
            writeln!(out, "{} for {database}: {reason} ({times})", style.bad(&lines.to_string()))?;
        }
        writeln!(out, "{}:", counted(self.files.len() as u64, "file"))?;
        for (file, lines) in &self.files {
            let (name, lines, age) =
                (name(&file.path), counted(*lines, "line"), age(file.modified));
            let bytes = HumanBytes(file.bytes).to_string();
            writeln!(out, "  {name:<40} {lines:>14} {bytes:>12}  {}", style.faint(&age))?;
        }
        Ok(())
    }
}
