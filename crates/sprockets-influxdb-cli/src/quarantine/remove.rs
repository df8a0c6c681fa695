//! `quarantine drop`: removes lines that nobody wants any more.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::format::{counted, print, print_json};
use crate::{Problem, args, exit};

const DAY: u64 = 24 * 3600;

/// Remove lines that servers refused
///
/// On a terminal it asks before; elsewhere it wants --yes.
///
/// Ends with 0, 1 if it was told not to, or 2 if an argument or a file cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Which {
    /// That file, by its name or path. May be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// All files
    #[arg(long)]
    all: bool,
    /// Files to which no line was added for so many days
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut files = super::files(&options.spool.directory()?, &options.which.files)?;
    if let Some(days) = options.which.older_than {
        let least = Duration::from_secs(days.saturating_mul(DAY));
        files.retain(|file| {
            let age = file.modified.map(|modified| modified.elapsed().unwrap_or_default());
            age.is_some_and(|age| age >= least)
        });
    }
    let mut lines = 0;
    for file in &files {
        lines += file.read()?.len() as u64;
    }
    let amount = format!("{} in {}", counted(lines, "line"), counted(files.len() as u64, "file"));
    if !files.is_empty() && !options.yes && !is_wanted(&amount)? {
        return Ok(exit::FAILED);
    }
    for file in &files {
        let shown = file.path.display();
        file.remove().map_err(|error| format!("{shown} cannot be removed: {error}"))?;
    }
    if options.json {
        print_json(&json!({ "files": files.len(), "lines": lines }))?;
    } else {
        print(|out| writeln!(out, "{amount} removed"))?;
    }
    Ok(exit::OK)
}

fn is_wanted(amount: &str) -> Result<bool, Problem> {
    if !io::stdin().is_terminal() {
        return Err(format!("{amount} would be removed: say --yes").into());
    }
    write!(io::stderr(), "remove {amount}? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
