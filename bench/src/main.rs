//! Measures the speed and memory that the README claims, as ratios of figures from one run.
//!
//! Each section runs in a process of its own. `sprockets-influxdb-bench SECTION…` runs some of
//! them.

mod adding;
mod delivering;
mod encoding;
mod environment;
mod memory;
mod nats;
mod requests;
mod rounds;
mod serving;
mod sink;
mod spool;
mod table;

use std::process::{Command, ExitCode};

use instruction_counts as sample;

/// A section's name, and the function that measures and prints it.
type Section = (&'static str, fn());

const SECTIONS: [Section; 10] = [
    ("encoding", encoding::run),
    ("adding", adding::run),
    ("threads", adding::run_threads),
    ("latency", adding::run_latency),
    ("memory", memory::run),
    ("delivering", delivering::run),
    ("nats", nats::run),
    ("spool", spool::run),
    ("axum", requests::run_axum),
    ("actix", requests::run_actix),
];

/// The first argument of a process that runs one section.
const ONE: &str = "one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [child, arguments @ ..] if child == delivering::CHILD => {
            delivering::run_child(arguments);
            ExitCode::SUCCESS
        }
        [child, arguments @ ..] if child == nats::CHILD => {
            let arguments = [child].into_iter().chain(arguments).map(Into::into);
            ExitCode::from(sprockets_influxdb_cli::run(arguments))
        }
        [child, arguments @ ..] if child == serving::CHILD => {
            serving::run_child(arguments);
            ExitCode::SUCCESS
        }
        [child, arguments @ ..] if child == spool::CHILD => {
            spool::run_child(arguments);
            ExitCode::SUCCESS
        }
        [flag, section] if flag == ONE => run(section),
        [] => run_each(SECTIONS.iter().map(|(name, _)| *name)),
        sections => run_each(sections.iter().map(String::as_str)),
    }
}

fn run(section: &str) -> ExitCode {
    match SECTIONS.iter().find(|(name, _)| *name == section) {
        Some((_, run)) => {
            run();
            ExitCode::SUCCESS
        }
        None => {
            let names = SECTIONS.map(|(name, _)| name).join(", ");
            eprintln!("{section:?} is not a section; there are: {names}");
            ExitCode::FAILURE
        }
    }
}

fn run_each<'a>(sections: impl Iterator<Item = &'a str>) -> ExitCode {
    environment::print();
    let program = std::env::current_exe().expect("this program's path");
    for section in sections {
        let ended =
            Command::new(&program).args([ONE, section]).status().expect("a process of its own");
        if !ended.success() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
