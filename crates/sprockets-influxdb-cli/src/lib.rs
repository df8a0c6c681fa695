//! The command `sprockets-influxdb`, for operators: checks a configuration against its server, writes line protocol, and looks
//! after what waits in a spool and what its quarantine holds.
//! A library, so that `python -m sprockets_influxdb` is the same command. It uses the core's public interface only; each
//! command is one module.

mod args;
mod check;
mod format;
mod progress;
mod quarantine;
mod report;
mod signals;
mod spool;
mod terminal;
mod wait;
mod warnings;
mod write;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Parser, Subcommand};

/// What a command says to the shell.
pub(crate) mod exit {
    pub(crate) const OK: u8 = 0;
    /// A check failed; a line was not delivered; a file is damaged.
    pub(crate) const FAILED: u8 = 1;
    /// An argument, a setting or a file that cannot be used.
    pub(crate) const USAGE: u8 = 2;
}

/// Records measurements in running applications and gets them into InfluxDB: its command for operators.
///
/// Where the server is, and how to speak to it, is taken from the environment (INFLUXDB_URL, INFLUXDB_USER,
/// INFLUXDB_PASSWORD, INFLUXDB_TOKEN, ...), as applications do; options win over it.
#[derive(Debug, Parser)]
#[command(name = "sprockets-influxdb", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Options),
    Write(write::Options),
    #[command(subcommand)]
    Spool(spool::Command),
    #[command(subcommand)]
    Quarantine(quarantine::Command),
}

/// Runs a command, given its arguments without its own name, and returns what the process is to end with: 0 when all
/// went well, 1 when a check failed, a line was not delivered or a file is damaged, 2 when an argument, a setting or a file cannot be used.
///
/// Takes over SIGINT, SIGTERM and SIGHUP while lines are delivered.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let name = OsString::from("sprockets-influxdb");
    let parsed = Arguments::try_parse_from(std::iter::once(name).chain(arguments));
    let done = match parsed {
        Ok(Arguments { command: Command::Check(options) }) => check::run(&options),
        Ok(Arguments { command: Command::Write(options) }) => write::run(options),
        Ok(Arguments { command: Command::Spool(command) }) => spool::run(command),
        Ok(Arguments { command: Command::Quarantine(command) }) => quarantine::run(command),
        Err(error) => {
            // A closed pipe is nothing to tell anybody.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::OK };
        }
    };
    done.unwrap_or_else(|problem| {
        let _ = writeln!(io::stderr(), "{} {problem}", terminal::on_stderr().bad("error:"));
        exit::USAGE
    })
}

/// Why a command could not begin, in words.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
