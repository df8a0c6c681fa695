//! The server itself is killed, frozen, or out of disk space.

use std::fs::{self, File};
use std::io;

use test_support::influxd::Influxd;
use test_support::isolation::{in_namespaces, is_isolated, run};

use super::setup::Setup;

#[test]
fn a_server_that_is_killed_repeatedly_gets_every_point() {
    let Some(mut setup) = Setup::start(|config| config) else { return };
    for _ in 0..3 {
        setup.warm_up();
        // Some of them may be in a request when it dies.
        setup.add(6_000);
        setup.influxd.crash();
        setup.add(100);
        setup.flush_without_success();
        setup.wait_for_failure("closed the connection before it replied");
        setup.influxd.restart();
        setup.recover();
    }
}

#[test]
fn a_frozen_server_gets_every_point_when_it_resumes() {
    let Some(setup) = Setup::start(|config| config) else { return };
    for _ in 0..2 {
        setup.warm_up();
        setup.influxd.freeze();
        setup.add(6_000);
        setup.flush_without_success();
        setup.wait_for_failure("no reply from");
        setup.influxd.resume();
        setup.recover();
    }
}

#[test]
fn a_full_disk_of_the_server_loses_no_point() {
    in_namespaces(&["--mount"], "server_outages::with_a_small_disk");
}

/// influxd 1.x returns points that it could not write to its disk, refuses all others until it is
/// restarted, and has lost the former by then.
#[test]
#[ignore = "started by the other test, in a mount namespace"]
#[allow(clippy::print_stdout)]
fn with_a_small_disk() {
    if !is_isolated() {
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
        let mut setup = Setup::with(influxd, |config| config);
        setup.warm_up();
        let filler = disk.path().join("filler");
        io::copy(&mut io::repeat(0), &mut File::create(&filler).unwrap()).unwrap_err();
        setup.add(10_000);
        setup.flush_without_success();
        setup.wait_for_failure("no space left on device");
        fs::remove_file(&filler).unwrap();
        setup.influxd.crash();
        setup.influxd.restart();
        setup.recover();
    }
    assert!(run("umount", &[path]));
}
