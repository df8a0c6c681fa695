//! `quarantine`: the lines that servers rejected.

mod files;
mod list;
mod remove;
mod retry;
mod show;

use clap::Subcommand;

use crate::exit::Problem;

/// List, show, retry or remove lines that servers rejected
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
