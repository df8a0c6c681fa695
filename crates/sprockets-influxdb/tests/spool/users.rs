//! Several users: who may not write to a directory does without, and what another user has left is left alone, or taken
//! over by who may.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Measurement};

use super::apart::{is_inside, play};
use super::disks::comes_through;
use super::log::Log;
use super::{LONG, NOWHERE, add, balanced, config, wait};

/// The directory that a test of another user's is about.
const DIRECTORY: &str = "TEST_DIRECTORY";
const NOBODY: u32 = 65534;

/// Runs a test of this binary as the user `nobody`, where this one may.
#[allow(clippy::print_stdout)]
fn as_nobody(directory: &Path, test: &str) {
    let binary = std::env::current_exe().unwrap();
    let mut as_nobody = Command::new(&binary);
    as_nobody.uid(NOBODY).gid(NOBODY).env(DIRECTORY, directory).current_dir("/");
    match as_nobody.arg("--list").output() {
        Ok(_) => {
            let mut as_nobody = Command::new(binary);
            as_nobody.uid(NOBODY).gid(NOBODY).env(DIRECTORY, directory).current_dir("/");
            play(&mut as_nobody, test);
        }
        Err(error) => println!("skipped: this program cannot be run as another user: {error}"),
    }
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).unwrap().into()
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A directory with `slots/`, for everybody to write to, as in `/tmp`.
fn shared() -> tempfile::TempDir {
    let spool = tempfile::tempdir().unwrap();
    let slots = spool.path().join("slots");
    fs::create_dir(&slots).unwrap();
    permit(spool.path(), 0o1777);
    permit(&slots, 0o1777);
    spool
}

/// A process that is no more has left so many.
fn leave(spool: &Path, lines: i64) {
    let client = Client::new(config(NOWHERE, spool)).unwrap();
    add(&client, 0..lines);
    client.shutdown(Duration::ZERO);
    assert_eq!(balanced(&client).spooled, lines as u64);
}

fn slots(spool: &Path) -> Vec<PathBuf> {
    fs::read_dir(spool.join("slots")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_directory_that_belongs_to_another_user_costs_nothing_but_the_promise() {
    let spool = tempfile::tempdir().unwrap();
    permit(spool.path(), 0o755);
    as_nobody(spool.path(), "users::with_a_directory_of_another_users");
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "started by the other test, as another user"]
fn with_a_directory_of_another_users() {
    if !is_inside() {
        return;
    }
    let log = Log::read();
    let server = Server::start();
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    add(&client, 0..6_000);
    log.await_entry("cannot be written to: Permission denied");
    add(&client, 6_000..12_000);
    assert_eq!(client.flush(LONG).delivered, 12_000);
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.delivered, server.count("db")), (12_000, 12_000, 12_000));
    drop(client);
    assert_eq!(log.complaints().len(), 1, "{:?}", log.complaints());
}

#[test]
fn a_directory_that_is_not_to_be_written_to_costs_nothing_but_the_promise() {
    let root = tempfile::tempdir().unwrap();
    if root.path().metadata().unwrap().uid() == 0 {
        // Nothing keeps root from writing.
        permit(root.path(), 0o1777);
        as_nobody(root.path(), "users::with_a_directory_that_is_not_to_be_written_to");
    } else {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let test = "users::with_a_directory_that_is_not_to_be_written_to";
        play(again.env(DIRECTORY, root.path()), test);
    }
}

#[test]
#[ignore = "started by the other test, as a user whom permissions bind"]
fn with_a_directory_that_is_not_to_be_written_to() {
    if !is_inside() {
        return;
    }
    let spool = directory().join("spool");
    fs::create_dir(&spool).unwrap();
    permit(&spool, 0o555);
    comes_through(&spool, "Permission denied", || permit(&spool, 0o700));
}

#[test]
fn what_another_user_has_left_is_left_alone_and_told_of_once() {
    let spool = shared();
    leave(spool.path(), 100);
    as_nobody(spool.path(), "users::with_a_slot_of_another_users");
    let [slot] = &slots(spool.path())[..] else { panic!("{:?}", slots(spool.path())) };
    // Whose it is may take it over.
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool.path())).unwrap();
    assert!(client.recover(LONG));
    assert!(server.wait_for_points("db", 100, LONG), "{}", slot.display());
}

#[test]
#[ignore = "started by the other test, as another user"]
fn with_a_slot_of_another_users() {
    if !is_inside() {
        return;
    }
    let log = Log::read();
    let server = Server::start();
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    assert!(client.recover(LONG));
    add(&client, 0..100);
    assert_eq!(balanced(&client).spooled, 100);
    assert_eq!(client.flush(LONG).delivered, 100);
    // Whoever comes later looks again.
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.recovered, stats.delivered), (100, 0, 100), "{stats:?}");
    drop(client);
    let [told] = &log.complaints()[..] else { panic!("{:?}", log.complaints()) };
    assert!(told.contains("left alone: Permission denied"), "{told}");
}

#[test]
fn what_another_user_has_left_is_taken_over_by_who_may() {
    let spool = shared();
    leave(spool.path(), 100);
    for slot in slots(spool.path()) {
        fs::read_dir(&slot).unwrap().for_each(|entry| permit(&entry.unwrap().path(), 0o666));
        permit(&slot, 0o777);
    }
    as_nobody(spool.path(), "users::with_a_slot_of_another_users_to_take");
}

#[test]
#[ignore = "started by the other test, as another user"]
fn with_a_slot_of_another_users_to_take() {
    if !is_inside() {
        return;
    }
    let log = Log::read();
    let server = Server::start();
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    assert!(client.recover(LONG));
    // What others left is nothing that a flush waits for.
    wait(|| balanced(&client).delivered == 100);
    assert_eq!(server.count("db"), 100);
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.recovered, stats.delivered), (100, 100, 100), "{stats:?}");
    drop(client);
    let left = slots(&directory()).into_iter().flat_map(|slot| fs::read_dir(slot).unwrap());
    assert_eq!(left.count(), 0);
    assert!(log.complaints().is_empty(), "{:?}", log.complaints());
}

#[test]
fn nobody_but_the_user_can_read_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    let spool = root.path().join("spool");
    let server = Server::start();
    let client = Client::new(config(&server.url(), &spool)).unwrap();
    add(&client, 0..1);
    client.flush(LONG);
    client.add_measurement(&Measurement::new("db", "m").field("n", "of another type")).unwrap();
    assert_eq!(client.flush(LONG).rejected, 1);
    client.reconfigure(|config| config.url(NOWHERE)).unwrap();
    add(&client, 1..100);
    client.shutdown(Duration::ZERO);
    let (mut files, mut directories) = (0, vec![spool]);
    while let Some(directory) = directories.pop() {
        assert_eq!(directory.metadata().unwrap().mode() & 0o777, 0o700, "{}", directory.display());
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else {
                files += 1;
                assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
            }
        }
    }
    // A lock, lines that wait, and some that were refused.
    assert!(files >= 3);
}
