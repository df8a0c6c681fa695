//! `quarantine show`: the rejected lines, each with its reason.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};
use sprockets_influxdb::internal::one_line;
use sprockets_influxdb::spool::QuarantineEntry;

use super::files::{self, Files};
use crate::exit::{self, Problem};
use crate::output::write_data;
use crate::{args, context};

/// Show rejected lines, each below its reason
///
/// The output is line protocol with timestamps in nanoseconds. Comments name the database, so that
/// `write` can send the lines once you have corrected them.
///
/// Exit code: 0, or 2 if an argument or a file cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    files: Files,
    /// Only lines for this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    #[command(flatten)]
    output: args::Output,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut entries = Vec::new();
    for file in options.files.open(&options.spool.directory()?)? {
        entries.extend(files::read(&file).unwrap_or_default());
    }
    if let Some(database) = &options.database {
        entries.retain(|entry| entry.database == *database);
    }
    options.output.print(
        || json!({ "lines": entries.iter().map(entry_json).collect::<Vec<_>>() }),
        |out| write_to(out, &entries),
    )?;
    Ok(exit::OK)
}

fn entry_json(entry: &QuarantineEntry) -> Value {
    json!({
        "time": entry.time,
        "database": entry.database,
        "precision": entry.precision.to_string(),
        "reason": entry.reason,
        "line": String::from_utf8_lossy(&entry.line),
    })
}

fn write_to(out: &mut dyn Write, entries: &[QuarantineEntry]) -> io::Result<()> {
    let mut database = None;
    for entry in entries {
        if database != Some(&entry.database) {
            database = Some(&entry.database);
            writeln!(out, "{}", context::comment_for_people(&entry.database))?;
        }
        writeln!(out, "# {} {}", one_line(&entry.time), one_line(&entry.reason))?;
        let line = context::in_nanoseconds(&entry.line, entry.precision);
        write_data(out, &line.unwrap_or(Cow::Borrowed(&entry.line)))?;
    }
    Ok(())
}
