//! Disks that do not take what they are given: read-only, not ours, full. Measurements wait in memory, the log says so
//! once, and the client comes back to the disk when that works.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, SpoolSync};
use tempfile::TempDir;

use super::apart::{enter, is_inside, run};
use super::log::Log;
use super::{LONG, NOWHERE, add, balanced, config};

/// A disk of one's own, in a namespace.
struct Disk(TempDir);

impl Disk {
    #[allow(clippy::print_stdout)]
    fn mount(options: &[&str]) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let is_mounted = run("mount", &[options, &[disk.name()]].concat());
        if !is_mounted {
            println!("skipped: no disk can be mounted here");
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

/// A client whose disk works only once it is mended.
pub(crate) fn comes_through(spool: &Path, reason: &str, mend: impl FnOnce()) {
    let log = Log::read();
    let client = Client::new(config(NOWHERE, spool).spool_sync(SpoolSync::Always)).unwrap();
    add(&client, 0..3_000);
    log.await_entry("cannot be written to");
    add(&client, 3_000..6_000);
    client.flush(Duration::ZERO);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.pending, stats.dropped.total()), (6_000, 6_000, 0), "{stats:?}");
    assert!(stats.spooled < 6_000, "{stats:?}");
    mend();
    log.await_entry("the spool works again");
    client.flush(Duration::ZERO);
    add(&client, 6_000..6_100);
    let stats = balanced(&client);
    // A batch counts as spooled if all its lines are, so that of the older ones more or fewer may be.
    assert!(stats.pending == 6_100 && stats.spooled >= 100, "{stats:?}");
    let server = Server::start();
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.added, server.count("db")), (6_100, 6_100, 6_100));
    client.shutdown(LONG);
    drop(client);
    let complaints = log.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains(reason), "{complaints:?}");
}

#[test]
fn a_read_only_disk_costs_nothing_but_the_promise() {
    enter(&["--mount"], "disks::with_a_read_only_disk");
}

#[test]
#[ignore = "started by the other test, where it can mount what nobody else sees"]
fn with_a_read_only_disk() {
    if !is_inside() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "ro", "none"]) else { return };
    comes_through(disk.path(), "Read-only file system", || disk.remount("rw"));
}

#[test]
fn a_full_disk_costs_nothing_but_the_promise() {
    enter(&["--mount"], "disks::with_a_full_disk");
}

#[test]
#[ignore = "started by the other test, where it can mount what nobody else sees"]
fn with_a_full_disk() {
    if !is_inside() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    // Others leave it room for some of the lines.
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 800 << 10]).unwrap();
    comes_through(disk.path(), "No space left on device", || fs::remove_file(&filler).unwrap());
}

/// It is the lines themselves that fill it, and their delivery that makes room.
#[test]
fn a_disk_that_a_backlog_fills_is_used_again_when_it_is_delivered() {
    enter(&["--mount"], "disks::with_a_disk_that_a_backlog_fills");
}

#[test]
#[ignore = "started by the other test, where it can mount what nobody else sees"]
fn with_a_disk_that_a_backlog_fills() {
    if !is_inside() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    let log = Log::read();
    let server = Server::start();
    let client = Client::new(config(NOWHERE, disk.path())).unwrap();
    add(&client, 0..20_000);
    log.await_entry("cannot be written to: No space left on device");
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.pending), (20_000, 20_000), "{stats:?}");
    assert!((1..20_000).contains(&stats.spooled), "{stats:?}");
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    log.await_entry("the spool works again");
    client.reconfigure(|config| config.url(NOWHERE)).unwrap();
    add(&client, 20_000..20_100);
    let stats = balanced(&client);
    assert_eq!((stats.pending, stats.spooled), (100, 100), "{stats:?}");
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.added, server.count("db")), (20_100, 20_100, 20_100));
    drop(client);
    assert_eq!(log.complaints().len(), 1, "{:?}", log.complaints());
}

/// What others have left is read although nothing can be written, or a disk that it fills would be full for ever.
#[test]
fn a_disk_that_is_full_from_the_start_is_delivered() {
    enter(&["--mount"], "disks::with_a_disk_that_is_full_from_the_start");
}

#[test]
#[ignore = "started by the other test, where it can mount what nobody else sees"]
fn with_a_disk_that_is_full_from_the_start() {
    if !is_inside() {
        return;
    }
    let Some(disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=2m", "none"]) else { return };
    let log = Log::read();
    let client = Client::new(config(NOWHERE, disk.path())).unwrap();
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
    log.await_entry("the spool works again");
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.recovered, stats.delivered), (10_001, 10_000, 10_001));
    assert_eq!(log.complaints().len(), 1, "{:?}", log.complaints());
}
