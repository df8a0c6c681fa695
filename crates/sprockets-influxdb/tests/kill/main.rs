//! What was accepted is in the database, once, although processes are killed at any instant: held against journals that
//! they write after each measurement. `make kill-harness` kills 1,000 (`KILLS`), `make soak` goes on for 20 minutes
//! (`SOAK_MINUTES`), with all else that can go wrong. `SEED` repeats what is random, but for the instants themselves.

#![cfg(unix)]
#![allow(clippy::print_stdout)]

mod child;
mod damage;
mod figures;
#[path = "../influxd/server.rs"]
mod influxd;
mod journal;
#[path = "../influxd/process.rs"]
mod process;
mod proxy;
mod scene;
mod soak;
mod victim;

use std::time::{Duration, Instant};

use scene::Scene;

const KILLS_IN_A_ROUND: u64 = 30;

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok().filter(|text| !text.is_empty());
    set.map_or(default, |text| text.parse().expect(variable))
}

fn scene() -> Option<Scene> {
    let seed = number("SEED", fastrand::u64(..1 << 32));
    println!("SEED={seed}");
    Scene::new(seed)
}

#[test]
fn what_was_accepted_is_delivered_once_although_processes_are_killed() {
    let Some(mut scene) = scene() else { return };
    let kills = number("KILLS", 60);
    let begun = Instant::now();
    while scene.figures.killed() < kills {
        scene.begin_round();
        let until = kills.min(scene.figures.killed() + KILLS_IN_A_ROUND);
        let crash = scene.random.u64(scene.figures.killed()..until);
        while scene.figures.killed() < until {
            if scene.figures.killed() >= crash + 4 {
                scene.restart_server();
            } else if scene.figures.killed() >= crash {
                scene.crash_server();
            }
            scene.kill_some();
        }
        scene.end_round();
    }
    println!("{}\ntook        {} s", scene.figures, begun.elapsed().as_secs());
    scene.figures.assert_nothing_is_wrong();
}

#[test]
#[ignore = "it takes long: make soak"]
fn soak() {
    let Some(mut scene) = scene() else { return };
    let time = Duration::from_secs(60 * number("SOAK_MINUTES", 20));
    soak::soak(&mut scene, time, |figures, elapsed| {
        let (seconds, points) = (elapsed.as_secs_f64(), figures.journalled as f64);
        println!("{figures}\nafter       {seconds:.0} s, {:.0} points/s\n", points / seconds);
    });
    scene.figures.assert_nothing_is_wrong();
}

#[test]
#[ignore = "it is what the others start"]
fn the_victim() {
    victim::run();
}
