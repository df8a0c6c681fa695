//! Prints results, and records ratios for `make bench CHECK=1`.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// The file that ratios are appended to, one JSON object a line.
pub const RECORD: &str = "BENCH_RATIOS";

/// What is better, and the goal if there is one.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    Lower,
    Higher,
}

pub fn section(title: &str) {
    println!("\n{title}");
}

pub fn figure(what: &str, figure: &str) {
    println!("  {what:<74} {figure:>12}");
}

pub fn nanoseconds(what: &str, nanoseconds: f64) {
    figure(what, &format!("{nanoseconds:.1} ns"));
}

/// A ratio of two figures of this run. It is compared with the published one of the same section
/// and the same `what`.
pub fn ratio(what: &str, ratio: f64, goal: Goal) {
    share(what, ratio, goal);
    record(what, ratio, goal);
}

/// A share of an absolute bound. It depends on the machine, and is not compared.
pub fn share(what: &str, ratio: f64, goal: Goal) {
    let (goal, is_met) = match goal {
        Goal::AtMost(most) => (format!("goal: at most {most}"), ratio <= most),
        Goal::AtLeast(least) => (format!("goal: at least {least}"), ratio >= least),
        Goal::Lower | Goal::Higher => (String::new(), true),
    };
    let missed = if is_met { "" } else { "  MISSED" };
    println!("  {what:<74} {ratio:>10.2} x  {goal}{missed}");
}

fn record(what: &str, ratio: f64, goal: Goal) {
    let Some(path) = env::var_os(RECORD) else { return };
    // Each section runs in a process of its own, with its name as the last argument.
    let section = env::args().next_back().unwrap_or_default();
    let better = match goal {
        Goal::AtMost(_) | Goal::Lower => "lower",
        Goal::AtLeast(_) | Goal::Higher => "higher",
    };
    let name = format!("rust, {section}: {what}");
    let line = format!("{{\"name\": {name:?}, \"ratio\": {ratio}, \"better\": {better:?}}}\n");
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("recorded");
}
