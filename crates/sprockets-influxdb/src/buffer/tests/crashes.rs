//! What the spool promises about crashes, checked for a crash at every operation of the disk.

use super::process::*;
use super::*;
use crate::config::SpoolSync;
use crate::spool::simulated::{Fault, Image, Simulated};

const LEVELS: [SpoolSync; 3] = [SpoolSync::Process, SpoolSync::Interval, SpoolSync::Always];

/// Simulated losses of power for each operation.
const SAMPLES: usize = 4;

fn small() -> Limits {
    Limits { batch: Size { lines: 30, bytes: 20_000 }, ..limits() }
}

/// Does everything that a process does with its spool.
fn work(process: &mut Process) {
    process.add("a", 6);
    process.step_worker();
    // The chunks of two shards are merged.
    process.add_elsewhere("a", 5);
    process.add("d b", 3);
    process.step_worker();
    process.submit();
    process.step_worker();
    // A batch is merged into one that waits.
    process.add("a", 4);
    process.step_worker();
    process.submit();
    process.flush();
    // Segments are used again.
    process.add("a", 2);
    if let Some(batch) = process.take(usize::MAX) {
        process.deliver(batch);
    }
    process.add("d b", 5);
    process.step_worker();
    process.submit();
    // Batches move to disk, the first one after a part of it was delivered.
    if let Some(batch) = process.take(2_000) {
        process.deliver(batch);
    }
    let mut steps = 0..1_000;
    while process.buffer.seal_to_disk(&process.spool, 0) {
        steps.next().expect("there is an end of batches to seal");
        process.add("a", 1);
    }
    process.step_worker();
    process.add("a", 40);
    process.flush();
    // Batches are loaded: one is cut, delivered in part and put back in part, one is put back
    // whole.
    for _ in 0..2 {
        if let Some(batch) = process.take(1_000) {
            process.deliver(batch);
        }
        if let Some(batch) = process.take(usize::MAX) {
            process.buffer.put_back(batch, QueueEnd::Front);
        }
        process.step_worker();
    }
    process.end();
}

/// Runs `work` once for each operation at which it can crash.
fn at_every_moment(
    begin: &Image,
    level: SpoolSync,
    mut look: impl FnMut(usize, &Image, &Expected),
) {
    for moment in 1.. {
        let mut process = Process::new(Simulated::of(begin.clone()), level, small());
        process.crash_at(moment);
        work(&mut process);
        if process.disk.operations() < moment {
            return;
        }
        let (image, expected) = process.crashed();
        look(moment, &image, &expected);
    }
}

/// The disk after several losses of power: everything that was not synced is lost, nothing of it,
/// or something in between.
fn after_losses_of_power(image: &Image, moment: usize) -> impl Iterator<Item = Image> + '_ {
    (0..SAMPLES).map(move |sample| {
        let mut random = fastrand::Rng::with_seed((moment * SAMPLES + sample) as u64);
        // All sectors old, mostly old, mostly new, any.
        let (newest, rare) = [(false, 0), (false, 30), (true, 30), (true, 255)][sample];
        image.after_loss_of_power(|versions| match random.u8(..) {
            dice if dice < rare => random.usize(..versions),
            _ => usize::from(newest) * (versions - 1),
        })
    })
}

fn check(
    found: &std::collections::BTreeSet<String>,
    required: &std::collections::BTreeSet<String>,
    expected: &Expected,
    what: &str,
) {
    let lost: Vec<_> = required.difference(found).collect();
    assert!(lost.is_empty(), "{what}: lost {} of {}: {lost:?}", lost.len(), required.len());
    let invented: Vec<_> = found.difference(&expected.known).collect();
    assert!(invented.is_empty(), "{what}: invented {invented:?}");
}

#[test]
fn killing_the_process_at_any_operation_loses_nothing() {
    for level in LEVELS {
        at_every_moment(&Image::default(), level, |moment, image, expected| {
            if level != SpoolSync::Process && moment % 8 > 0 {
                return;
            }
            let found = recovered(image.after_end_of_process(), level);
            check(&found, &expected.accepted, expected, &format!("{level} at {moment}"));
        });
    }
}

#[test]
fn a_power_loss_at_any_operation_loses_nothing_that_was_synced() {
    for level in LEVELS {
        at_every_moment(&Image::default(), level, |moment, image, expected| {
            // At this level nothing is guaranteed. But recovery ends, and invents nothing.
            if level == SpoolSync::Process && moment % 8 > 0 {
                return;
            }
            for (sample, image) in after_losses_of_power(image, moment).enumerate() {
                let found = recovered(image, level);
                let what = format!("{level} at {moment}, sample {sample}");
                check(&found, &expected.synced, expected, &what);
            }
        });
    }
}

/// Two processes are killed one after the other, the second one while it recovers.
#[test]
fn a_recovery_killed_at_any_operation_loses_nothing() {
    for level in LEVELS {
        let mut first = Process::new(Simulated::default(), level, small());
        first.crash_at(140);
        work(&mut first);
        let (image, left) = first.crashed();
        for moment in 1.. {
            let mut second = Process::new(Simulated::of(image.clone()), level, small());
            *second.expected.lock().unwrap() = left.clone();
            second.crash_at(moment);
            recover_partly(&mut second);
            if second.disk.operations() < moment {
                break;
            }
            let (image, expected) = second.crashed();
            let what = format!("{level} at {moment}");
            let found = recovered(image.after_end_of_process(), level);
            check(&found, &expected.accepted, &expected, &what);
            for (sample, image) in after_losses_of_power(&image, moment).enumerate() {
                let what = format!("{what}, sample {sample}");
                check(&recovered(image, level), &expected.synced, &expected, &what);
            }
        }
    }
}

/// Recovers everything, delivers a part of it, and adds more.
fn recover_partly(process: &mut Process) {
    let found = process.expected.lock().unwrap().accepted.clone();
    let mut steps = 0..10_000;
    while process.buffer.stats().recovered < found.len() as u64 {
        steps.next().expect("all are recovered");
        process.worker.step(&process.buffer);
    }
    // Recovered lines are expected as added lines are.
    if process.level != SpoolSync::Process {
        process.expected.lock().unwrap().synced = found;
    }
    for most_bytes in [1_000, usize::MAX] {
        if let Some(batch) = process.take(most_bytes) {
            process.deliver(batch);
        }
    }
    process.add_line("c", "m later=1 1");
    process.step_worker();
    process.flush();
    process.end();
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Each operation in turn fails, with those after it, for a while or for good.
#[test]
fn a_failing_disk_loses_nothing_of_the_living_process() {
    for (error, is_full) in [(EIO, false), (ENOSPC, true)] {
        for (level, length) in
            [(LEVELS[0], 1), (LEVELS[1], 1), (LEVELS[0], 40), (LEVELS[2], 40), (LEVELS[1], 9_999)]
        {
            for first in (1..).step_by(7) {
                let mut process = Process::new(Simulated::default(), level, small());
                let operations = first..first + length;
                process.disk.fail(Some(Fault { operations, error, is_full }));
                work_and_live(&mut process);
                if process.disk.operations() < first {
                    break;
                }
                let what = format!("{error} on {length} from {first} with {level}");
                process.disk.fail(None);
                for _ in 0..2 {
                    let now = process.clock.now() + Duration::from_secs(11);
                    process.clock.advance_to(now);
                    process.step_worker();
                }
                assert!(!process.spool.health().is_failing(), "{what}");
                assert_eq!(process.spool.health().take_failure(), None, "{what}");
                let accepted = process.expected.lock().unwrap().accepted.clone();
                let before = process.buffer.stats();
                assert_eq!(before.spooled, before.pending, "{what}");
                // From now on everything works as before the failure.
                process.submit();
                let before = process.buffer.stats();
                process.add("again", 20);
                let stats = process.buffer.stats();
                assert_eq!(
                    (stats.pending - before.pending, stats.spooled - before.spooled),
                    (20, 20),
                    "{what}"
                );
                let found = process.drain();
                check(&found, &accepted, &process.expected.lock().unwrap(), &what);
                assert_eq!(process.buffer.stats().dropped.total(), 0, "{what}");
            }
        }
    }
}

/// The same as [`work`], without a shutdown.
fn work_and_live(process: &mut Process) {
    for round in 0..2 {
        process.add("a", 12);
        process.step_worker();
        process.add_elsewhere("a", 5);
        process.submit();
        process.add("b", 4);
        process.flush();
        process.seal_all(2_000);
        process.add("a", 20 + round);
        process.step_worker();
        if let Some(batch) = process.take(1_000) {
            process.deliver(batch);
        }
        if let Some(batch) = process.take(usize::MAX) {
            process.buffer.put_back(batch, QueueEnd::Front);
        }
        assert!(process.buffer.stats().is_balanced());
    }
}
