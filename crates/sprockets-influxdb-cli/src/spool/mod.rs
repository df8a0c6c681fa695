//! `spool`: lines that wait on disk, including those of processes that have ended.

mod deliver;
mod export;
mod list;
mod show;
mod verify;

use clap::Subcommand;

use crate::exit::Problem;

/// List, check, deliver and export the lines in a spool
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Options),
    Show(show::Options),
    Verify(verify::Options),
    Deliver(deliver::Options),
    Export(export::Options),
}

pub(crate) fn run(command: Command) -> Result<u8, Problem> {
    match command {
        Command::List(options) => list::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Deliver(options) => deliver::run(&options),
        Command::Export(options) => export::run(&options),
    }
}
