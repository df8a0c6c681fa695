//! Everything that can go wrong, at random, for long.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::child::Victim;
use super::damage::{Damage, damage};
use super::figures::Figures;
use super::proxy::Weather;
use super::scene::Scene;
use super::victim::{Mark, Then, slots};

const STEPS: u32 = 20;
const LONG: Duration = Duration::from_secs(150);

pub(crate) fn soak(scene: &mut Scene, time: Duration, mut tell: impl FnMut(&Figures, Duration)) {
    let begun = Instant::now();
    let disk = SmallDisk::mount();
    while begun.elapsed() < time {
        scene.begin_round();
        let mut strays = Vec::new();
        for _ in 0..STEPS {
            match scene.random.u32(..12) {
                0 => scene.crash_server(),
                1 | 2 => scene.restart_server(),
                3 | 4 => spoil(scene, &mut strays),
                5 => carry_load(scene),
                6 => freeze(scene),
                _ => scene.kill_some(),
            }
        }
        if let Some(disk) = &disk {
            fill(scene, disk);
        }
        for stray in strays {
            // Their slots are left alone with them.
            std::fs::remove_file(stray).expect("it is left alone");
        }
        scene.end_round();
        tell(&scene.figures, begun.elapsed());
    }
}

fn count(scene: &mut Scene, what: &'static str) {
    Figures::count(&mut scene.figures.faults, what);
}

fn spoil(scene: &mut Scene, strays: &mut Vec<PathBuf>) {
    match damage(&scene.spool(), &mut scene.random) {
        Damage::None => {}
        Damage::Harmless(what) => count(scene, what),
        Damage::Stray(path) => {
            if !strays.contains(&path) {
                strays.push(path);
            }
            count(scene, "strays");
        }
        Damage::Lines(what, lines) => {
            count(scene, what);
            scene.figures.damaged += lines.len() as u64;
            for (writer, number) in lines {
                scene.damaged.entry(writer).or_default().push(number);
            }
        }
    }
}

/// One process that lives for some seconds, while server and network come and go.
fn carry_load(scene: &mut Scene) {
    let mut plan = scene.plan(Then::Deliver);
    (plan.threads, plan.adds, plan.burst) = (4, scene.random.u32(1_000..20_000), 10);
    scene.proxy.set(Weather::Up);
    let victim = Victim::start(&plan);
    assert!(victim.awaits(Mark::Added, LONG));
    for _ in 0..scene.random.u32(1..20) {
        let weather = match scene.random.u32(..4) {
            0 => Weather::Up,
            1 => Weather::Slow(Duration::from_millis(scene.random.u64(1..100))),
            2 => Weather::Cutting(3),
            _ => Weather::Down,
        };
        scene.proxy.set(weather);
        match scene.random.u32(..10) {
            0 => scene.crash_server(),
            1 | 2 => scene.restart_server(),
            _ => {}
        }
        count(scene, "changes of the network under load");
        thread::sleep(Duration::from_millis(scene.random.u64(20..300)));
    }
    scene.restart_server();
    scene.proxy.set(Weather::Up);
    scene.see_out(victim);
}

/// The server stops for a while, in the middle of what it does.
fn freeze(scene: &mut Scene) {
    scene.restart_server();
    count(scene, "servers frozen");
    scene.influxd.stop();
    scene.kill_some();
    scene.influxd.signal("CONT");
}

/// A disk that has no room for what is added while the server is not there.
fn fill(scene: &mut Scene, disk: &SmallDisk) {
    let mut plan = scene.plan(Then::Deliver);
    plan.spool = disk.0.path().join("spool");
    (plan.threads, plan.adds, plan.burst, plan.padding) = (4, 4_000, 100, 500);
    scene.proxy.set(Weather::Down);
    let victim = Victim::start(&plan);
    assert!(victim.awaits(Mark::Added, LONG));
    // The last of it is in memory then.
    thread::sleep(Duration::from_millis(500));
    scene.restart_server();
    scene.proxy.set(Weather::Up);
    scene.see_out(victim);
    assert_eq!(slots(&plan.spool), 0);
    count(scene, "disks full");
}

/// A disk of 4 MiB, where the system lets us have one.
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
