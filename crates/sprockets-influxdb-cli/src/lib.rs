//! The command `sprockets-influxdb`, for operators. It checks a configuration against its server,
//! writes line protocol, and manages the spool and its quarantine.
//!
//! It is a library, so that `python -m sprockets_influxdb` is the same command. It uses the core's
//! public interface only. Each command is one module.

mod args;
mod check;
mod context;
mod exit;
mod format;
#[cfg(feature = "nats")]
mod forward;
mod generated;
mod output;
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

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

/// Delivers measurements to InfluxDB: the command for operators
///
/// The server and how to reach it come from the environment, as for applications: INFLUXDB_URL,
/// INFLUXDB_USER, INFLUXDB_PASSWORD, INFLUXDB_TOKEN and so on. Options take precedence.
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
    #[cfg(feature = "nats")]
    Forward(Box<forward::Options>),
    #[command(subcommand)]
    Spool(spool::Command),
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    Completions(generated::Completions),
    Man(generated::Man),
}

/// Runs a command. `arguments` are those after the command's own name. Returns the exit code:
/// 0 on success; 1 if a check failed, a line was not delivered or a file is damaged; 2 if an
/// argument, a setting or a file cannot be used.
///
/// While it delivers lines, it handles SIGINT, SIGTERM and SIGHUP.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let name = OsString::from("sprockets-influxdb");
    let parsed = Arguments::try_parse_from(std::iter::once(name).chain(arguments));
    let done = match parsed {
        Ok(Arguments { command: Command::Check(options) }) => check::run(&options),
        Ok(Arguments { command: Command::Write(options) }) => write::run(options),
        #[cfg(feature = "nats")]
        Ok(Arguments { command: Command::Forward(options) }) => forward::run(&options),
        Ok(Arguments { command: Command::Spool(command) }) => spool::run(command),
        Ok(Arguments { command: Command::Quarantine(command) }) => quarantine::run(command),
        Ok(Arguments { command: Command::Completions(options) }) => {
            options.run(&mut Arguments::command())
        }
        Ok(Arguments { command: Command::Man(options) }) => options.run(Arguments::command()),
        Err(error) => {
            let error = with_tip(error);
            // If the pipe is closed, nobody reads it.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::OK };
        }
    };
    done.unwrap_or_else(|problem| {
        output::message(&format!("{} {problem}", terminal::on_stderr().bad("error:")));
        exit::USAGE
    })
}

/// Says how a spool is named, where its path was passed as such.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        _ => return error,
    };
    let is_path = error.kind() == ErrorKind::UnknownArgument && !argument.starts_with('-');
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    if is_path && takes_spool(&usage) {
        let tip = format!("name the spool by '--spool {argument}' or INFLUXDB_SPOOL");
        let tips = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn takes_spool(usage: &str) -> bool {
    ["sprockets-influxdb spool", "sprockets-influxdb quarantine"]
        .iter()
        .any(|command| usage.contains(command))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_declared_consistently() {
        super::Arguments::command().debug_assert();
    }
}
