//! Several users: without permission to write, a process keeps measurements in memory. Files of
//! another user are left alone, whatever their permissions, unless an operator allows them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Measurement, internal};
use test_support::isolation::{is_isolated, rerun};
use test_support::log::Log;
use test_support::{LONG, NO_SERVER, balanced, skip, wait_until};

use super::disks::check_recovery;
use super::{add, config, wait_until_released};

/// The variable with the directory of a test that runs as another user.
const DIRECTORY: &str = "TEST_DIRECTORY";
const NOBODY: u32 = 65534;

/// Runs a test of this binary as the user `nobody`, where that is permitted.
fn as_nobody(directory: &Path, test: &str) {
    let binary = std::env::current_exe().unwrap();
    let mut as_nobody = Command::new(&binary);
    as_nobody.uid(NOBODY).gid(NOBODY).env(DIRECTORY, directory).current_dir("/");
    match as_nobody.arg("--list").output() {
        Ok(_) => {
            let mut as_nobody = Command::new(binary);
            as_nobody.uid(NOBODY).gid(NOBODY).env(DIRECTORY, directory).current_dir("/");
            rerun(&mut as_nobody, test);
        }
        Err(error) => skip(&format!("this program cannot be run as another user: {error}")),
    }
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).unwrap().into()
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A directory with `slots/` that everybody may write to, like `/tmp`.
fn shared() -> tempfile::TempDir {
    let spool = tempfile::tempdir().unwrap();
    let slots = spool.path().join("slots");
    fs::create_dir(&slots).unwrap();
    permit(spool.path(), 0o1777);
    permit(&slots, 0o1777);
    spool
}

/// Leaves this many measurements, like a process that has ended.
fn leave(spool: &Path, lines: i64) {
    let client = Client::new(config(NO_SERVER, spool)).unwrap();
    add(&client, 0..lines);
    client.shutdown(Duration::ZERO);
    assert_eq!(balanced(&client).spooled, lines as u64);
    drop(client);
    wait_until_released(spool);
}

fn slots(spool: &Path) -> Vec<PathBuf> {
    fs::read_dir(spool.join("slots")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn in_a_directory_of_another_user_measurements_wait_in_memory() {
    let spool = tempfile::tempdir().unwrap();
    permit(spool.path(), 0o755);
    as_nobody(spool.path(), "users::directory_of_another_user");
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "started by the other test, as another user"]
fn directory_of_another_user() {
    if !is_isolated() {
        return;
    }
    let log = Log::capture();
    let server = Server::start();
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    add(&client, 0..6_000);
    log.wait_for("cannot be written to: Permission denied");
    add(&client, 6_000..12_000);
    assert!(client.flush(LONG).is_complete());
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.delivered, server.count("db")), (12_000, 12_000, 12_000));
    drop(client);
    assert_eq!(log.spool_warnings().len(), 1, "{:?}", log.spool_warnings());
}

#[test]
fn in_a_read_only_directory_measurements_wait_in_memory() {
    let root = tempfile::tempdir().unwrap();
    if root.path().metadata().unwrap().uid() == 0 {
        // Permissions do not bind root.
        permit(root.path(), 0o1777);
        as_nobody(root.path(), "users::read_only_directory");
    } else {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let test = "users::read_only_directory";
        rerun(again.env(DIRECTORY, root.path()), test);
    }
}

#[test]
#[ignore = "started by the other test, as a user other than root"]
fn read_only_directory() {
    if !is_isolated() {
        return;
    }
    let spool = directory().join("spool");
    fs::create_dir(&spool).unwrap();
    permit(&spool, 0o555);
    check_recovery(&spool, "Permission denied", || permit(&spool, 0o700));
}

#[test]
fn unreadable_files_of_another_user_are_left_alone_with_one_warning() {
    let spool = shared();
    leave(spool.path(), 100);
    as_nobody(spool.path(), "users::unreadable_files_of_another_user");
    let [slot] = &slots(spool.path())[..] else { panic!("{:?}", slots(spool.path())) };
    // Their owner recovers them.
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool.path())).unwrap();
    assert!(client.recover(LONG));
    assert!(server.wait_for_points("db", 100, LONG), "{}", slot.display());
}

#[test]
#[ignore = "started by the other test, as another user"]
fn unreadable_files_of_another_user() {
    if !is_isolated() {
        return;
    }
    let log = Log::capture();
    let server = Server::start();
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    assert!(client.recover(LONG));
    add(&client, 0..100);
    assert_eq!(balanced(&client).spooled, 100);
    assert_eq!(client.flush(LONG).delivered, 100);
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.recovered, stats.delivered), (100, 0, 100), "{stats:?}");
    drop(client);
    let [warning] = &log.spool_warnings()[..] else { panic!("{:?}", log.spool_warnings()) };
    assert!(
        warning.contains("slots of other users") && warning.contains("left alone"),
        "{warning}"
    );
}

#[test]
fn writable_files_of_another_user_are_recovered_only_if_an_operator_says_so() {
    let spool = shared();
    leave(spool.path(), 100);
    for slot in slots(spool.path()) {
        fs::read_dir(&slot).unwrap().for_each(|entry| permit(&entry.unwrap().path(), 0o666));
        permit(&slot, 0o777);
    }
    as_nobody(spool.path(), "users::writable_files_of_another_user");
}

#[test]
#[ignore = "started by the other test, as another user"]
fn writable_files_of_another_user() {
    if !is_isolated() {
        return;
    }
    let log = Log::capture();
    let server = Server::start();
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    assert!(client.recover(LONG));
    assert_eq!((client.stats().recovered, log.spool_warnings().len()), (0, 1));
    client.shutdown(LONG);
    let client = Client::new(config(&server.url(), &directory())).unwrap();
    internal::recover_from_any_user(&client);
    assert!(client.recover(LONG));
    // A flush does not wait for recovered files.
    wait_until(|| balanced(&client).delivered == 100);
    assert_eq!(server.count("db"), 100);
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.recovered, stats.delivered), (100, 100, 100), "{stats:?}");
    drop(client);
    let left = slots(&directory()).into_iter().flat_map(|slot| fs::read_dir(slot).unwrap());
    assert_eq!(left.count(), 0);
    assert_eq!(log.spool_warnings().len(), 1, "{:?}", log.spool_warnings());
}

#[test]
fn only_the_user_can_read_the_spool() {
    let root = tempfile::tempdir().unwrap();
    let spool = root.path().join("spool");
    let server = Server::start();
    let client = Client::new(config(&server.url(), &spool)).unwrap();
    add(&client, 0..1);
    client.flush(LONG);
    client.add_measurement(&Measurement::new("db", "m").field("n", "of another type")).unwrap();
    assert_eq!(client.flush(LONG).rejected, 1);
    client.reconfigure(|config| config.url(NO_SERVER)).unwrap();
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
    // A lock, pending lines, and the quarantine.
    assert!(files >= 3);
}
