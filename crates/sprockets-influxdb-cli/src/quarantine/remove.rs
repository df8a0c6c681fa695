//! `quarantine drop`: removes rejected lines.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use sprockets_influxdb::internal::shown;
use sprockets_influxdb::spool::QuarantineFile;

use super::files::{self, Users};
use crate::args;
use crate::exit::{self, Problem};
use crate::format::counted;
use crate::output::{ask, message};

const DAY: u64 = 24 * 3600;

/// Remove lines that servers rejected
///
/// Asks for confirmation on a terminal. Elsewhere it requires --yes.
///
/// Exit code: 0, 1 if the answer was no, or 2 if an argument or a file cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    users: Users,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    output: args::Output,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Which {
    /// Remove this file, by name or path; may be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Remove all files
    #[arg(long)]
    all: bool,
    /// Remove files to which no line was added for that many days
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut files = files::open(&options.spool.directory()?, &options.which.files)?;
    if let Some(days) = options.which.older_than {
        let min_age = Duration::from_secs(days.saturating_mul(DAY));
        files.retain(|file| {
            let age = file.modified.map(|modified| modified.elapsed().unwrap_or_default());
            age.is_some_and(|age| age >= min_age)
        });
    }
    let files: Vec<_> = files.into_iter().map(|file| (lines_in(&file), file)).collect();
    let amount = amount(files.len(), files.iter().map(|(lines, _)| lines).sum());
    if !files.is_empty() && !options.yes && !is_confirmed(&amount)? {
        return Ok(exit::FAILED);
    }
    let (mut removed, mut lines, total) = (0, 0, files.len());
    for (lines_of_file, file) in files {
        let file = options.users.may_change(file);
        match file.remove() {
            Ok(()) => {
                removed += 1;
                lines += lines_of_file;
            }
            // The others are removed all the same.
            Err(error) => message(&format!("{} cannot be removed: {error}", shown(&file.path))),
        }
    }
    options.output.print(
        || json!({ "files": removed, "lines": lines }),
        |out| writeln!(out, "{} removed", self::amount(removed, lines)),
    )?;
    Ok(if removed == total { exit::OK } else { exit::USAGE })
}

/// The number of lines of a file. One that cannot be read can be removed nevertheless.
fn lines_in(file: &QuarantineFile) -> u64 {
    files::read(file).map_or(0, |entries| entries.len() as u64)
}

fn amount(files: usize, lines: u64) -> String {
    format!("{} in {}", counted(lines, "line"), counted(files as u64, "file"))
}

fn is_confirmed(amount: &str) -> Result<bool, Problem> {
    if !io::stdin().is_terminal() {
        return Err(format!("{amount} would be removed: pass --yes").into());
    }
    ask(&format!("remove {amount}? [y/N]"))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
