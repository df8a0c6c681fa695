//! `quarantine show`: the lines that were refused, each with its reason.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sprockets_influxdb::spool::QuarantineEntry;

use crate::format::{self, print, print_json};
use crate::{Problem, args, exit};

/// Show lines that servers refused, each below its reason
///
/// The output is line protocol with timestamps in nanoseconds, with comments that say which database the lines are for:
/// once mended, `write` takes it.
///
/// Ends with 0, or 2 if an argument or a file cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// Only that file, by its name or path. May be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only lines for that database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut entries = Vec::new();
    for file in super::files(&options.spool.directory()?, &options.files)? {
        entries.extend(file.read()?);
    }
    if let Some(database) = &options.database {
        entries.retain(|entry| entry.database == *database);
    }
    if options.json {
        let lines = entries.iter().map(|entry| {
            json!({
                "time": entry.time,
                "database": entry.database,
                "precision": entry.precision.to_string(),
                "reason": entry.reason,
                "line": String::from_utf8_lossy(&entry.line),
            })
        });
        print_json(&json!({ "lines": lines.collect::<Vec<_>>() }))?;
    } else {
        print(|out| write_to(out, &entries))?;
    }
    Ok(exit::OK)
}

fn write_to(out: &mut dyn Write, entries: &[QuarantineEntry]) -> io::Result<()> {
    let mut database = None;
    for entry in entries {
        if database != Some(&entry.database) {
            database = Some(&entry.database);
            match format::context(&entry.database) {
                Some(context) => writeln!(out, "{context}")?,
                None => writeln!(out, "# database={:?}", entry.database)?,
            }
        }
        writeln!(out, "# {} {}", entry.time, entry.reason)?;
        let line = format::in_nanoseconds(&entry.line, entry.precision);
        out.write_all(&line.unwrap_or(Cow::Borrowed(&entry.line)))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
