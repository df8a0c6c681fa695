//! The command `sprockets-influxdb`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(sprockets_influxdb_cli::run(std::env::args_os().skip(1)))
}
