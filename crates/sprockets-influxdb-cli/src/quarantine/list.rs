//! `quarantine list`: how many lines were rejected, and why.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use sprockets_influxdb::internal::one_line;
use sprockets_influxdb::spool::QuarantineFile;

use super::files;
use crate::exit::{self, Problem};
use crate::format::{age, age_seconds, counted, file_name};
use crate::{args, terminal};

/// List rejected lines by database and reason, and the files with them
///
/// Exit code: 0, or 2 if an argument or the directory cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    output: args::Output,
}

/// The lines that were rejected for one reason.
#[derive(Default)]
struct Rejected {
    lines: u64,
    /// In the format of RFC 3339, which sorts by time.
    first: String,
    last: String,
}

#[derive(Default)]
struct Listing {
    files: Vec<(QuarantineFile, u64)>,
    /// By database and reason.
    rejected: BTreeMap<(String, String), Rejected>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut listing = Listing::default();
    for file in options.spool.directory()?.quarantine()? {
        let Some(entries) = files::read(&file) else { continue };
        listing.files.push((file, entries.len() as u64));
        for entry in entries {
            let rejected = listing.rejected.entry((entry.database, entry.reason)).or_default();
            rejected.lines += 1;
            if rejected.first.is_empty() || entry.time < rejected.first {
                rejected.first.clone_from(&entry.time);
            }
            rejected.last = entry.time.max(std::mem::take(&mut rejected.last));
        }
    }
    options.output.print(|| listing.json(), |out| listing.write_to(out))?;
    Ok(exit::OK)
}

impl Listing {
    fn lines(&self) -> u64 {
        self.files.iter().map(|(_, lines)| lines).sum()
    }

    fn json(&self) -> Value {
        let rejected = self.rejected.iter().map(|((database, reason), rejected)| {
            json!({
                "database": database,
                "reason": reason,
                "lines": rejected.lines,
                "first": rejected.first,
                "last": rejected.last,
            })
        });
        let files = self.files.iter().map(|(file, lines)| {
            let age = age_seconds(file.modified);
            json!({ "file": file.path, "lines": lines, "bytes": file.bytes, "age_seconds": age })
        });
        let (rejected, files) = (rejected.collect::<Vec<_>>(), files.collect::<Vec<_>>());
        json!({ "lines": self.lines(), "rejected": rejected, "files": files })
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        if self.files.is_empty() {
            return writeln!(out, "no lines were rejected");
        }
        for ((database, reason), rejected) in &self.rejected {
            let (lines, Rejected { first, last, .. }) = (HumanCount(rejected.lines), rejected);
            let times = if first == last { first.clone() } else { format!("{first} to {last}") };
            let database =
                if database.is_empty() { "no database".into() } else { one_line(database) };
            let reason = one_line(reason);
            writeln!(out, "{} for {database}: {reason} ({times})", style.bad(&lines.to_string()))?;
        }
        writeln!(out, "{}:", counted(self.files.len() as u64, "file"))?;
        for (file, lines) in &self.files {
            let (name, lines, age) =
                (file_name(&file.path), counted(*lines, "line"), age(file.modified));
            let bytes = HumanBytes(file.bytes).to_string();
            writeln!(out, "  {name:<40} {lines:>14} {bytes:>12}  {}", style.faint(&age))?;
        }
        Ok(())
    }
}
