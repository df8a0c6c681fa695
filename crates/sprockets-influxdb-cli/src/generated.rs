//! `completions` and `man`: what shells and `man` need, from the declaration of the arguments.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use sprockets_influxdb::internal::shown;

use crate::exit::{self, Problem};
use crate::output;

/// Print a script that completes commands and options in a shell
///
/// For bash: sprockets-influxdb completions bash >
/// ~/.local/share/bash-completion/completions/sprockets-influxdb
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// Shell to print the script for
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, command: &mut Command) -> Result<u8, Problem> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, name, &mut script);
        // clap_complete writes the hyphen of the name in two forms into the script for bash, so no
        // subcommand is completed: https://github.com/clap-rs/clap/issues/6421.
        let script = String::from_utf8(script)?.replace("sprockets__subcmd__", "sprockets__");
        output::print(|out| out.write_all(script.as_bytes()))?;
        Ok(exit::OK)
    }
}

/// Write a man page for each command into a directory
///
/// For example: sprockets-influxdb man ~/.local/share/man/man1
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Directory for the pages; it is created if it does not exist
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(&self, command: Command) -> Result<u8, Problem> {
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(command, &self.directory));
        written.map_err(|error| {
            format!("{}: the pages cannot be written: {error}", shown(&self.directory))
        })?;
        Ok(exit::OK)
    }
}
