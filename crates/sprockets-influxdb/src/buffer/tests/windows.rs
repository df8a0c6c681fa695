//! How much a crash can lose at each sync level, under a steady load, in simulated time.

use super::process::*;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::Simulated;

/// Interval between measurements.
const PACE: Duration = Duration::from_millis(10);
const LOAD: usize = 600;
const FLUSH_EVERY: usize = 250;
const CRASHES: usize = 60;
const LEVELS: [SpoolSync; 3] = [SpoolSync::Process, SpoolSync::Interval, SpoolSync::Always];

/// What a crash lost.
#[derive(Debug, Default)]
struct Lost {
    lines: usize,
    /// How long before the crash the oldest of them was added.
    age: Duration,
    /// How many of them were added before a flush.
    flushed: usize,
}

/// Records all the time, without a server.
fn run(process: &mut Process) {
    let mut next = Duration::ZERO;
    for number in 1..=LOAD {
        process.clock.advance_to(number as u32 * PACE);
        process.add_line("db", &format!("m f=1 {number}"));
        if process.clock.now() >= next {
            next = process.worker.step(&process.buffer);
        }
        if number % FLUSH_EVERY == 0 {
            process.flush();
        }
    }
}

/// What is lost when the machine loses power, or the process is killed, at an operation of the
/// disk.
fn crash(level: SpoolSync, operation: usize, is_machine: bool) -> Lost {
    let mut process = Process::new(Simulated::default(), level, limits());
    process.crash_at(operation);
    run(&mut process);
    let (image, expected) = process.crashed();
    // The worst case: the system wrote nothing to disk by itself.
    let image = if is_machine { image.after_loss_of_power(|_| 0) } else { image };
    let found = recovered(image, level);
    assert!(found.is_subset(&expected.known), "invented: {found:?}");
    let number = |line: &String| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
    let lost: Vec<_> = expected.accepted.difference(&found).map(number).collect();
    let now = expected.accepted.iter().map(number).max().unwrap_or_default();
    let age = lost.iter().map(|number| (now - number) * PACE).max().unwrap_or_default();
    let flushed = expected.synced.difference(&found).count();
    Lost { lines: lost.len(), age, flushed }
}

#[test]
#[allow(clippy::print_stdout)]
fn a_crash_loses_at_most_what_the_sync_level_allows() {
    let mut random = fastrand::Rng::with_seed(0);
    for level in LEVELS {
        let mut process = Process::new(Simulated::default(), level, limits());
        run(&mut process);
        let operations = process.disk.operations();
        for (is_machine, what) in [(false, "SIGKILL"), (true, "loss of power")] {
            let mut worst = Lost::default();
            for _ in 0..CRASHES {
                let lost = crash(level, random.usize(1..operations), is_machine);
                assert_eq!(lost.flushed, 0, "{level}, {what}: {lost:?}");
                worst.lines = worst.lines.max(lost.lines);
                worst.age = worst.age.max(lost.age);
            }
            println!("{level}, {what}: {} lines of the last {:?}", worst.lines, worst.age);
            let most = match (level, is_machine) {
                (_, false) => Duration::ZERO,
                // Nothing is guaranteed: the system may not have written anything to disk.
                (SpoolSync::Process, true) => LOAD as u32 * PACE,
                _ => Duration::from_secs(1),
            };
            assert!(worst.age <= most, "{level}, {what}: {worst:?}");
            let lines = usize::from(is_machine) * (most.as_millis() / PACE.as_millis()) as usize;
            assert!(worst.lines <= lines, "{level}, {what}: {worst:?}");
            // A crash loses something at all: otherwise this would test nothing.
            assert!(worst.age >= most / 2, "{level}, {what}: {worst:?}");
        }
    }
}
