//! `spool`: what waits on disk, also of processes that are no more.

mod deliver;
mod export;
mod list;
mod show;
mod verify;

use clap::Subcommand;
use sprockets_influxdb::spool::FileKind;

use crate::Problem;

/// See, check, deliver and export what waits in a spool
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

/// What a file is, as a word.
fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Open => "open",
        FileKind::Sealed(_) => "sealed",
        FileKind::Unfinished => "unfinished",
        _ => "other",
    }
}
