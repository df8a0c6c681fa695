//! All faults at random, for a long time.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::damage::{Damage, damage};
use super::figures::Figures;
use super::harness::Harness;
use super::process::ChildProcess;
use super::program::{Event, Then, slots};
use super::proxy::Network;

const STEPS: u32 = 20;
const LONG: Duration = Duration::from_secs(150);

pub(crate) fn soak(
    harness: &mut Harness,
    time: Duration,
    mut report: impl FnMut(&Figures, Duration),
) {
    let begun = Instant::now();
    let disk = SmallDisk::mount();
    while begun.elapsed() < time {
        harness.begin_round();
        let mut strays = Vec::new();
        for _ in 0..STEPS {
            match harness.random.u32(..12) {
                0 => harness.crash_server(),
                1 | 2 => harness.restart_server(),
                3 | 4 => spoil(harness, &mut strays),
                5 => carry_load(harness),
                6 => freeze(harness),
                _ => harness.kill_some(),
            }
        }
        if let Some(disk) = &disk {
            fill(harness, disk);
        }
        for stray in strays {
            // The client leaves a slot alone that has a file of somebody else.
            std::fs::remove_file(stray).expect("it is still there");
        }
        harness.end_round();
        report(&harness.figures, begun.elapsed());
    }
}

fn count(harness: &mut Harness, what: &'static str) {
    Figures::count(&mut harness.figures.faults, what);
}

fn spoil(harness: &mut Harness, strays: &mut Vec<PathBuf>) {
    match damage(&harness.spool(), &mut harness.random) {
        Damage::None => {}
        Damage::Harmless(what) => count(harness, what),
        Damage::Stray(path) => {
            if !strays.contains(&path) {
                strays.push(path);
            }
            count(harness, "strays");
        }
        Damage::Lines(what, lines) => {
            count(harness, what);
            harness.figures.damaged += lines.len() as u64;
            for (writer, number) in lines {
                harness.damaged.entry(writer).or_default().push(number);
            }
        }
    }
}

/// One process that runs for some seconds while server and network fail and recover.
fn carry_load(harness: &mut Harness) {
    let mut plan = harness.plan(Then::Deliver);
    (plan.threads, plan.adds, plan.burst) = (4, harness.random.u32(1_000..20_000), 10);
    harness.proxy.set(Network::Up);
    let child = ChildProcess::start(&plan);
    assert!(child.wait_for(Event::Added, LONG));
    for _ in 0..harness.random.u32(1..20) {
        let network = match harness.random.u32(..4) {
            0 => Network::Up,
            1 => Network::Slow(Duration::from_millis(harness.random.u64(1..100))),
            2 => Network::Cutting(3),
            _ => Network::Down,
        };
        harness.proxy.set(network);
        match harness.random.u32(..10) {
            0 => harness.crash_server(),
            1 | 2 => harness.restart_server(),
            _ => {}
        }
        count(harness, "changes of the network under load");
        thread::sleep(Duration::from_millis(harness.random.u64(20..300)));
    }
    harness.restart_server();
    harness.proxy.set(Network::Up);
    harness.finish(child);
}

/// The server freezes for a while.
fn freeze(harness: &mut Harness) {
    harness.restart_server();
    count(harness, "servers frozen");
    harness.influxd.freeze();
    harness.kill_some();
    harness.influxd.resume();
}

/// A disk that is too small for what is added while the server is down.
fn fill(harness: &mut Harness, disk: &SmallDisk) {
    let mut plan = harness.plan(Then::Deliver);
    plan.spool = disk.0.path().join("spool");
    (plan.threads, plan.adds, plan.burst, plan.padding) = (4, 4_000, 100, 500);
    harness.proxy.set(Network::Down);
    let child = ChildProcess::start(&plan);
    assert!(child.wait_for(Event::Added, LONG));
    // By then the last measurements are in memory only.
    thread::sleep(Duration::from_millis(500));
    harness.restart_server();
    harness.proxy.set(Network::Up);
    harness.finish(child);
    assert_eq!(slots(&plan.spool), 0);
    count(harness, "disks full");
}

/// A disk of 4 MiB, where the system allows it.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().ok()?);
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(disk.0.path());
        let is_mounted = command.output().is_ok_and(|output| output.status.success());
        is_mounted.then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
