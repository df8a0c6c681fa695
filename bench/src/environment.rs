//! What the figures depend on, beside the code.

use std::fs;
use std::process::Command;
use std::thread;

/// Prints it.
pub fn print() {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown processor");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!("{model}, {cores} cores; {}", rustc.unwrap_or_else(|_| "no rustc here".to_owned()));
}
