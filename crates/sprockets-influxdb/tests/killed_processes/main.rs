//! What the client accepted is in the database exactly once, although processes are killed at any
//! instant. Each process writes a journal after each measurement; the tests compare the journals
//! with a real influxd.
//!
//! `make kill-harness` kills 1,000 processes (`KILLS`). `make soak` runs for 20 minutes
//! (`SOAK_MINUTES`) with faults of server, network and disk as well. `SEED` repeats the random
//! choices of a run, but not the exact instants.

#![cfg(unix)]
#![allow(clippy::print_stdout)]

mod damage;
mod figures;
mod harness;
mod journal;
mod process;
mod program;
mod proxy;
mod soak;

use std::time::{Duration, Instant};

use harness::Harness;

const KILLS_IN_A_ROUND: u64 = 30;

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok().filter(|text| !text.is_empty());
    set.map_or(default, |text| text.parse().expect(variable))
}

fn harness() -> Option<Harness> {
    let seed = number("SEED", fastrand::u64(..1 << 32));
    println!("SEED={seed}");
    Harness::new(seed)
}

#[test]
fn accepted_measurements_are_stored_once_when_processes_are_killed() {
    let Some(mut harness) = harness() else { return };
    let kills = number("KILLS", 60);
    let begun = Instant::now();
    while harness.figures.killed() < kills {
        harness.begin_round();
        let until = kills.min(harness.figures.killed() + KILLS_IN_A_ROUND);
        let crash = harness.random.u64(harness.figures.killed()..until);
        while harness.figures.killed() < until {
            if harness.figures.killed() >= crash + 4 {
                harness.restart_server();
            } else if harness.figures.killed() >= crash {
                harness.crash_server();
            }
            harness.kill_some();
        }
        harness.end_round();
    }
    println!("{}\ntook        {} s", harness.figures, begun.elapsed().as_secs());
    harness.figures.assert_nothing_is_wrong();
}

#[test]
#[ignore = "takes long: make soak"]
fn soak() {
    let Some(mut harness) = harness() else { return };
    let time = Duration::from_secs(60 * number("SOAK_MINUTES", 20));
    soak::soak(&mut harness, time, |figures, elapsed| {
        let (seconds, points) = (elapsed.as_secs_f64(), figures.journalled as f64);
        println!("{figures}\nafter       {seconds:.0} s, {:.0} points/s\n", points / seconds);
    });
    harness.figures.assert_nothing_is_wrong();
}

#[test]
#[ignore = "the other tests start it"]
fn killed_program() {
    program::run();
}
