//! Read-only and full disks. Measurements wait in memory, the log says so once, and the client uses
//! the disk again when it works.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, SpoolSync};
use tempfile::TempDir;
use test_support::isolation::{in_namespaces, is_isolated, rerun, run};
use test_support::log::Log;
use test_support::{LONG, NO_SERVER, balanced, skip, wait_until};

use super::{add, config};

/// A mounted disk, in a mount namespace.
struct Disk(TempDir);

impl Disk {
    fn mount(options: &[&str]) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let is_mounted = run("mount", &[options, &[disk.name()]].concat());
        if !is_mounted {
            skip("no disk can be mounted here");
        }
        is_mounted.then_some(disk)
    }

    fn remount(&self, option: &str) {
        assert!(run("mount", &["-o", &format!("remount,{option}"), self.name()]));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn name(&self) -> &str {
        self.path().to_str().unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &[self.name()]);
    }
}

/// Runs a client on a disk that fails until it is repaired.
pub(crate) fn check_recovery(spool: &Path, reason: &str, repair: impl FnOnce()) {
    let log = Log::capture();
    let client = Client::new(config(NO_SERVER, spool).spool_sync(SpoolSync::Always)).unwrap();
    add(&client, 0..3_000);
    log.wait_for("cannot be written to");
    add(&client, 3_000..6_000);
    client.flush(Duration::ZERO);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.pending, stats.dropped.total()), (6_000, 6_000, 0), "{stats:?}");
    assert!(stats.spooled < 6_000, "{stats:?}");
    repair();
    log.wait_for("the spool works again");
    client.flush(Duration::ZERO);
    add(&client, 6_000..6_100);
    assert_eq!(balanced(&client).pending, 6_100);
    // Those that waited in memory are written to it.
    wait_until(|| balanced(&client).spooled == 6_100);
    let server = Server::start();
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.added, server.count("db")), (6_100, 6_100, 6_100));
    client.shutdown(LONG);
    drop(client);
    let complaints = log.spool_warnings();
    assert!(complaints.len() == 1 && complaints[0].contains(reason), "{complaints:?}");
}

#[test]
fn with_a_read_only_disk_measurements_wait_in_memory() {
    in_namespaces(&["--mount"], "disks::read_only_disk");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn read_only_disk() {
    if !is_isolated() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "ro", "none"]) else { return };
    check_recovery(disk.path(), "Read-only file system", || disk.remount("rw"));
}

#[test]
fn with_a_full_disk_measurements_wait_in_memory() {
    in_namespaces(&["--mount"], "disks::full_disk");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn full_disk() {
    if !is_isolated() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    // There is room for some of the lines.
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 800 << 10]).unwrap();
    check_recovery(disk.path(), "No space left on device", || fs::remove_file(&filler).unwrap());
}

/// The lines themselves fill the disk, and their delivery makes room.
#[test]
fn a_disk_filled_by_a_backlog_is_used_again_after_its_delivery() {
    in_namespaces(&["--mount"], "disks::with_a_disk_that_a_backlog_fills");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn with_a_disk_that_a_backlog_fills() {
    if !is_isolated() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    let log = Log::capture();
    let server = Server::start();
    let client = Client::new(config(NO_SERVER, disk.path())).unwrap();
    add(&client, 0..20_000);
    log.wait_for("cannot be written to: No space left on device");
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.pending), (20_000, 20_000), "{stats:?}");
    assert!((1..20_000).contains(&stats.spooled), "{stats:?}");
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    log.wait_for("the spool works again");
    client.reconfigure(|config| config.url(NO_SERVER)).unwrap();
    add(&client, 20_000..20_100);
    let stats = balanced(&client);
    assert_eq!((stats.pending, stats.spooled), (100, 100), "{stats:?}");
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.added, server.count("db")), (20_100, 20_100, 20_100));
    drop(client);
    assert_eq!(log.spool_warnings().len(), 1, "{:?}", log.spool_warnings());
}

/// Files of dead processes are read although nothing can be written. Otherwise the disk would stay
/// full forever.
#[test]
fn the_backlog_on_a_full_disk_is_delivered() {
    in_namespaces(&["--mount"], "disks::with_a_disk_that_is_full_from_the_start");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn with_a_disk_that_is_full_from_the_start() {
    if !is_isolated() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=2m", "none"]) else { return };
    let log = Log::capture();
    let client = Client::new(config(NO_SERVER, disk.path())).unwrap();
    add(&client, 0..10_000);
    client.shutdown(Duration::ZERO);
    drop(client);
    // To the last byte.
    let mut filler = File::create(disk.path().join("filler")).unwrap();
    io::copy(&mut io::repeat(0), &mut filler).unwrap_err();
    let server = Server::start();
    let client = Client::new(config(&server.url(), disk.path())).unwrap();
    add(&client, 10_000..10_001);
    assert!(client.flush(LONG).is_complete() && server.wait_for_points("db", 10_001, LONG));
    log.wait_for("the spool works again");
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.recovered, stats.delivered), (10_001, 10_000, 10_001));
    assert_eq!(log.spool_warnings().len(), 1, "{:?}", log.spool_warnings());
}

#[test]
fn a_limit_of_file_sizes_does_not_end_the_process() {
    let spool = tempfile::tempdir().unwrap();
    // Blocks of 512 bytes: less than the first file, and than the next ones.
    for blocks in ["0", "8", "100"] {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        limited.arg(std::env::current_exe().unwrap()).env("TEST_DIRECTORY", spool.path());
        rerun(&mut limited, "disks::limited_file_sizes");
    }
}

#[test]
#[ignore = "started by the other test, with a limit"]
fn limited_file_sizes() {
    let spool = std::env::var_os("TEST_DIRECTORY").unwrap();
    let client = Client::new(config(NO_SERVER, Path::new(&spool))).unwrap();
    add(&client, 0..3_000);
    let stats = balanced(&client);
    assert!(stats.pending == 3_000 && stats.spooled < 3_000, "{stats:?}");
    client.shutdown(Duration::ZERO);
}
