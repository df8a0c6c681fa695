//! The speed and memory that the README claims, as ratios of what was measured in one run. Each section runs in a
//! process of its own; `sprockets-influxdb-bench SECTION…` runs some of them.

mod adding;
mod delivering;
mod encoding;
mod memory;
mod rounds;
mod sample;
mod table;

use std::process::{Command, ExitCode};

/// A section's name, and what prints it.
type Section = (&'static str, fn());

const SECTIONS: [Section; 6] = [
    ("encoding", encoding::run),
    ("adding", adding::run),
    ("threads", adding::run_threads),
    ("latency", adding::run_latency),
    ("memory", memory::run),
    ("delivering", delivering::run),
];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let [section, arguments @ ..] = asked.as_slice() {
        if section == delivering::CHILD {
            delivering::run_child(arguments);
            return ExitCode::SUCCESS;
        }
    }
    if let [section] = asked.as_slice() {
        return match SECTIONS.iter().find(|(name, _)| name == section) {
            Some((_, run)) => {
                run();
                ExitCode::SUCCESS
            }
            None => {
                let names = SECTIONS.map(|(name, _)| name).join(", ");
                eprintln!("{section:?} is not a section; there are: {names}");
                ExitCode::FAILURE
            }
        };
    }
    let names: Vec<&str> = if asked.is_empty() {
        SECTIONS.iter().map(|(name, _)| *name).collect()
    } else {
        asked.iter().map(String::as_str).collect()
    };
    let program = std::env::current_exe().expect("this program's path");
    for name in names {
        let ended = Command::new(&program).arg(name).status().expect("a process of its own");
        if !ended.success() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
