//! What the spool promises about crashes, checked for a crash at every operation of the disk.

use super::world::*;
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
fn work(world: &mut World) {
    world.add("a", 6);
    world.step_worker();
    // The chunks of two shards are merged.
    world.add_elsewhere("a", 5);
    world.add("d b", 3);
    world.step_worker();
    world.submit();
    world.step_worker();
    // A batch is merged into one that waits.
    world.add("a", 4);
    world.step_worker();
    world.submit();
    world.flush();
    // Segments are used again.
    world.add("a", 2);
    if let Some(batch) = world.take(usize::MAX) {
        world.deliver(batch);
    }
    world.add("d b", 5);
    world.step_worker();
    world.submit();
    // Batches move to disk, the first one after a part of it was delivered.
    if let Some(batch) = world.take(2_000) {
        world.deliver(batch);
    }
    while world.buffer.seal_to_disk(&world.spool, 0) {
        world.add("a", 1);
    }
    world.step_worker();
    world.add("a", 40);
    world.flush();
    // Batches are loaded: one is cut, delivered in part and put back in part, one is put back
    // whole.
    for _ in 0..2 {
        if let Some(batch) = world.take(1_000) {
            world.deliver(batch);
        }
        if let Some(batch) = world.take(usize::MAX) {
            world.buffer.put_back(batch, QueueEnd::Front);
        }
        world.step_worker();
    }
    world.end();
}

/// Runs `work` once for each operation at which it can crash.
fn at_every_moment(
    begin: &Image,
    level: SpoolSync,
    mut look: impl FnMut(usize, &Image, &Promises),
) {
    for moment in 1.. {
        let mut world = World::new(Simulated::of(begin.clone()), level, small());
        world.crash_at(moment);
        work(&mut world);
        if world.disk.operations() < moment {
            return;
        }
        let (image, promises) = world.crashed();
        look(moment, &image, &promises);
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
    expected: &std::collections::BTreeSet<String>,
    promises: &Promises,
    what: &str,
) {
    let lost: Vec<_> = expected.difference(found).collect();
    assert!(lost.is_empty(), "{what}: lost {} of {}: {lost:?}", lost.len(), expected.len());
    let invented: Vec<_> = found.difference(&promises.known).collect();
    assert!(invented.is_empty(), "{what}: invented {invented:?}");
}

#[test]
fn killing_the_process_at_any_operation_loses_nothing() {
    for level in LEVELS {
        at_every_moment(&Image::default(), level, |moment, image, promises| {
            if level != SpoolSync::Process && moment % 8 > 0 {
                return;
            }
            let found = recovered(image.after_end_of_process(), level);
            check(&found, &promises.accepted, promises, &format!("{level} at {moment}"));
        });
    }
}

#[test]
fn a_power_loss_at_any_operation_loses_nothing_that_was_synced() {
    for level in LEVELS {
        at_every_moment(&Image::default(), level, |moment, image, promises| {
            // At this level nothing is promised. But recovery ends, and invents nothing.
            if level == SpoolSync::Process && moment % 8 > 0 {
                return;
            }
            for (sample, image) in after_losses_of_power(image, moment).enumerate() {
                let found = recovered(image, level);
                let what = format!("{level} at {moment}, sample {sample}");
                check(&found, &promises.synced, promises, &what);
            }
        });
    }
}

/// Two processes are killed one after the other, the second one while it recovers.
#[test]
fn a_recovery_killed_at_any_operation_loses_nothing() {
    for level in LEVELS {
        let mut first = World::new(Simulated::default(), level, small());
        first.crash_at(140);
        work(&mut first);
        let (image, left) = first.crashed();
        for moment in 1.. {
            let mut second = World::new(Simulated::of(image.clone()), level, small());
            *second.promises.lock().unwrap() = left.clone();
            second.crash_at(moment);
            recover_partly(&mut second);
            if second.disk.operations() < moment {
                break;
            }
            let (image, promises) = second.crashed();
            let what = format!("{level} at {moment}");
            let found = recovered(image.after_end_of_process(), level);
            check(&found, &promises.accepted, &promises, &what);
            for (sample, image) in after_losses_of_power(&image, moment).enumerate() {
                let what = format!("{what}, sample {sample}");
                check(&recovered(image, level), &promises.synced, &promises, &what);
            }
        }
    }
}

/// Recovers everything, delivers a part of it, and adds more.
fn recover_partly(world: &mut World) {
    let found = world.promises.lock().unwrap().accepted.clone();
    while world.buffer.stats().recovered < found.len() as u64 {
        world.worker.step(&world.buffer);
    }
    // Recovered lines are promised as added lines are.
    if world.level != SpoolSync::Process {
        world.promises.lock().unwrap().synced = found;
    }
    for most_bytes in [1_000, usize::MAX] {
        if let Some(batch) = world.take(most_bytes) {
            world.deliver(batch);
        }
    }
    world.add_line("c", "m later=1 1");
    world.step_worker();
    world.flush();
    world.end();
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
                let mut world = World::new(Simulated::default(), level, small());
                let operations = first..first + length;
                world.disk.fail(Some(Fault { operations, error, is_full }));
                work_and_live(&mut world);
                if world.disk.operations() < first {
                    break;
                }
                let what = format!("{error} on {length} from {first} with {level}");
                world.disk.fail(None);
                for _ in 0..2 {
                    let now = world.clock.now() + Duration::from_secs(11);
                    world.clock.advance_to(now);
                    world.step_worker();
                }
                assert!(!world.spool.health().is_failing(), "{what}");
                assert_eq!(world.spool.health().take_failure(), None, "{what}");
                let accepted = world.promises.lock().unwrap().accepted.clone();
                // From now on everything works as before the failure.
                world.submit();
                let before = world.buffer.stats();
                world.add("again", 20);
                let stats = world.buffer.stats();
                assert_eq!(
                    (stats.pending - before.pending, stats.spooled - before.spooled),
                    (20, 20),
                    "{what}"
                );
                let found = world.drain();
                check(&found, &accepted, &world.promises.lock().unwrap(), &what);
                assert_eq!(world.buffer.stats().dropped.total(), 0, "{what}");
            }
        }
    }
}

/// The same as [`work`], without a shutdown.
fn work_and_live(world: &mut World) {
    for round in 0..2 {
        world.add("a", 12);
        world.step_worker();
        world.add_elsewhere("a", 5);
        world.submit();
        world.add("b", 4);
        world.flush();
        while world.buffer.seal_to_disk(&world.spool, 2_000) {}
        world.add("a", 20 + round);
        world.step_worker();
        if let Some(batch) = world.take(1_000) {
            world.deliver(batch);
        }
        if let Some(batch) = world.take(usize::MAX) {
            world.buffer.put_back(batch, QueueEnd::Front);
        }
        assert!(world.buffer.stats().is_balanced());
    }
}
