//! The server itself: killed, stopped, out of space.

use std::fs::{self, File};
use std::io;

use super::apart::{enter, is_inside, run};
use super::scene::Scene;
use super::server::Influxd;

#[test]
fn a_server_that_is_killed_again_and_again_has_everything_in_the_end() {
    let Some(mut scene) = Scene::start(|config| config) else { return };
    for _ in 0..3 {
        scene.warm_up();
        // Some may be under way when it dies.
        scene.add(6_000);
        scene.influxd.crash();
        scene.add(100);
        scene.flush_in_vain();
        scene.await_failure("closed the connection before it replied");
        scene.influxd.restart();
        scene.recovers();
    }
}

#[test]
fn a_server_that_is_stopped_goes_on_with_nothing_lost() {
    let Some(scene) = Scene::start(|config| config) else { return };
    for _ in 0..2 {
        scene.warm_up();
        scene.influxd.stop();
        scene.add(6_000);
        scene.flush_in_vain();
        scene.await_failure("no reply from");
        scene.influxd.signal("CONT");
        scene.recovers();
    }
}

#[test]
fn a_full_disk_costs_no_point() {
    enter(&["--mount"], "outages::with_a_disk_of_its_own");
}

/// influxd 1.x shows points that it could not write to its disk, refuses all others until it is started again, and has
/// forgotten them by then.
#[test]
#[ignore = "started by the other test, where it can mount what nobody else sees"]
#[allow(clippy::print_stdout)]
fn with_a_disk_of_its_own() {
    if !is_inside() {
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let path: &'static str = Box::leak(disk.path().to_str().unwrap().into());
    if !run("mount", &["-t", "tmpfs", "-o", "size=16m", "none", path]) {
        println!("skipped: no small disk can be mounted here");
        return;
    }
    let variables = [("INFLUXDB_DATA_WAL_DIR", path)];
    if let Some(influxd) = Influxd::start_with(&variables) {
        let mut scene = Scene::with(influxd, |config| config);
        scene.warm_up();
        let filler = disk.path().join("filler");
        io::copy(&mut io::repeat(0), &mut File::create(&filler).unwrap()).unwrap_err();
        scene.add(10_000);
        scene.flush_in_vain();
        scene.await_failure("no space left on device");
        fs::remove_file(&filler).unwrap();
        scene.influxd.crash();
        scene.influxd.restart();
        scene.recovers();
    }
    assert!(run("umount", &[path]));
}
