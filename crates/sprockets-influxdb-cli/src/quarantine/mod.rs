//! `quarantine`: the lines that servers refused.

mod list;
mod remove;
mod retry;
mod show;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use sprockets_influxdb::spool::{Directory, QuarantineFile};

use crate::Problem;

/// See lines that servers refused, send them again, or remove them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Options),
    Show(show::Options),
    Retry(retry::Options),
    Drop(remove::Options),
}

pub(crate) fn run(command: Command) -> Result<u8, Problem> {
    match command {
        Command::List(options) => list::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Retry(options) => retry::run(&options),
        Command::Drop(options) => remove::run(&options),
    }
}

/// The files of these names, or all of them.
fn files(directory: &Directory, names: &[PathBuf]) -> Result<Vec<QuarantineFile>, Problem> {
    if names.is_empty() {
        return Ok(directory.quarantine()?);
    }
    let file = |name: &PathBuf| {
        // As `list` shows it, or as a shell completes it.
        let is_name = name.parent() == Some(Path::new(""));
        let path = directory.path().join("quarantine").join(name);
        let path = if is_name { path } else { name.clone() };
        let shown = name.display();
        QuarantineFile::at(path).map_err(|error| format!("{shown} cannot be read: {error}").into())
    };
    names.iter().map(file).collect()
}
