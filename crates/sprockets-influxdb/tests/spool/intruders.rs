//! A spool directory that is shared with users who must not be trusted: links, pipes, and
//! directories of theirs neither redirect nor hold up a process, and lines of theirs are not sent.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Measurement};
use tempfile::TempDir;
use test_support::log::Log;
use test_support::{LONG, NO_SERVER, balanced, skip, wait_until};

use super::{add, config, wait_until_released};

const NOBODY: u32 = 65534;

/// A directory that everybody may write to, like `/tmp`.
fn shared() -> TempDir {
    let spool = tempfile::tempdir().unwrap();
    fs::set_permissions(spool.path(), Permissions::from_mode(0o1777)).unwrap();
    spool
}

/// Gives a file or directory, with everything in it, to another user, who lets everybody use it.
/// Returns false where that is not permitted.
fn give_to_nobody(path: &Path) -> bool {
    if let Err(error) = chown(path, Some(NOBODY), Some(NOBODY)) {
        skip(&format!("only root can make files of another user: {error}"));
        return false;
    }
    fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.for_each(|path| assert!(give_to_nobody(&path)));
    true
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The only slot of a process that has left this many lines.
fn leave(spool: &Path, lines: i64) -> PathBuf {
    let client = Client::new(config(NO_SERVER, spool)).unwrap();
    add(&client, 0..lines);
    client.shutdown(Duration::ZERO);
    drop(client);
    wait_until_released(spool);
    let mut slots = fs::read_dir(spool.join("slots")).unwrap();
    slots.next().unwrap().unwrap().path()
}

/// A process that recovers what there is, and delivers it with ten measurements. Returns how many
/// it recovered.
fn work(spool: &Path) -> u64 {
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool)).unwrap();
    assert!(client.recover(LONG));
    add(&client, 1_000..1_010);
    assert!(client.flush(LONG).is_complete());
    // A shutdown leaves what is recovered to the next process.
    wait_until(|| client.stats().pending == 0);
    assert!(client.shutdown(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!(stats.added, 10 + stats.recovered, "{stats:?}");
    stats.recovered
}

/// A process with a line that the server rejects. Returns the directories of the spool that have
/// the line.
fn reject(spool: &Path) -> Vec<PathBuf> {
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool)).unwrap();
    add(&client, 0..1);
    client.flush(LONG);
    client.add_measurement(&Measurement::new("db", "m").field("n", "of another type")).unwrap();
    assert_eq!(client.flush(LONG).rejected, 1);
    let directories = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
    let has_line = |directory: &PathBuf| {
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|file| file.is_file())
            .any(|file| fs::read_to_string(file).unwrap().contains("of another type"))
    };
    directories.filter(has_line).collect()
}

#[test]
fn lines_that_another_user_planted_are_not_sent() {
    let spool = shared();
    let slot = leave(spool.path(), 100);
    if !give_to_nobody(&slot) {
        return;
    }
    let log = Log::capture();
    assert_eq!(work(spool.path()), 0);
    assert!(slot.exists());
    let [warning] = &log.spool_warnings()[..] else { panic!("{:?}", log.spool_warnings()) };
    assert!(warning.contains("--any-user"), "{warning}");
}

#[test]
fn a_slot_to_which_everybody_may_write_is_left_alone() {
    let spool = shared();
    let slot = leave(spool.path(), 100);
    fs::set_permissions(&slot, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(work(spool.path()), 0);
    fs::set_permissions(&slot, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(work(spool.path()), 100);
}

#[test]
fn a_lock_that_is_a_link_makes_no_file() {
    let (spool, home) = (shared(), tempfile::tempdir().unwrap());
    let slot = leave(spool.path(), 100);
    fs::remove_file(slot.join("lock")).unwrap();
    symlink(home.path().join("nologin"), slot.join("lock")).unwrap();
    assert_eq!(work(spool.path()), 0);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_reason_that_is_a_link_appends_to_no_file() {
    let (spool, home) = (shared(), tempfile::tempdir().unwrap());
    let slot = leave(spool.path(), 100);
    let target = home.path().join("sudoers");
    fs::write(&target, "root").unwrap();
    let damaged = spool.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    for file in fs::read_dir(&slot).unwrap().map(|entry| entry.unwrap().path()) {
        let names = [&slot, &file].map(|path| path.file_name().unwrap().to_string_lossy());
        symlink(&target, damaged.join(format!("{}-{}.reason", names[0], names[1]))).unwrap();
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text.contains("n=5i") {
            fs::write(&file, text.replace("n=5i", "n=6i")).unwrap();
        }
    }
    assert_eq!(work(spool.path()), 100);
    assert_eq!(fs::read_to_string(&target).unwrap(), "root");
}

#[test]
fn linked_directories_are_not_used() {
    for name in ["slots", "quarantine", "damaged"] {
        let (spool, home) = (shared(), tempfile::tempdir().unwrap());
        symlink(home.path(), spool.path().join(name)).unwrap();
        assert_eq!(reject(spool.path()).len(), 1, "{name}");
        let slot = fs::read_dir(home.path()).unwrap().count();
        assert_eq!(slot, 0, "{name}");
    }
}

#[test]
fn directories_of_another_user_are_not_used() {
    for name in ["slots", "quarantine", "damaged"] {
        let spool = shared();
        let taken = spool.path().join(name);
        fs::create_dir(&taken).unwrap();
        if !give_to_nobody(&taken) {
            return;
        }
        let [quarantine] = &reject(spool.path())[..] else { panic!("{name}") };
        let metadata = quarantine.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o700), "{name}");
        assert_eq!(fs::read_dir(&taken).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn lines_in_a_directory_with_another_name_are_recovered() {
    let spool = shared();
    fs::write(spool.path().join("slots"), "taken").unwrap();
    let client = Client::new(config(NO_SERVER, spool.path())).unwrap();
    add(&client, 0..100);
    client.shutdown(Duration::ZERO);
    assert_eq!(balanced(&client).spooled, 100);
    drop(client);
    wait_until_released(spool.path());
    assert_eq!(work(spool.path()), 100);
    let names = || fs::read_dir(spool.path()).unwrap().map(|entry| entry.unwrap().file_name());
    // The directory with the other name is removed with its last slot.
    wait_until(|| names().filter(|name| name.to_string_lossy().starts_with("slots")).count() == 1);
}

#[test]
fn pipes_in_the_place_of_files_hold_nothing_up() {
    for name in ["lock", "00000001.open", "00000001-5.lp"] {
        let spool = shared();
        let slot = spool.path().join("slots/1-00000000");
        fs::create_dir_all(&slot).unwrap();
        make_fifo(&slot.join(name));
        assert_eq!(work(spool.path()), 0, "{name}");
    }
}

/// Pipes are swapped in while the process has the files in use.
#[test]
fn pipes_that_replace_files_of_a_living_process_hold_nothing_up() {
    let spool = shared();
    let slot = leave(spool.path(), 100);
    let server = Server::start();
    let client = Client::new(config(NO_SERVER, spool.path())).unwrap();
    assert!(client.recover(LONG));
    assert_eq!(client.stats().recovered, 100);
    for file in fs::read_dir(&slot).unwrap().map(|entry| entry.unwrap().path()) {
        let fifo = spool.path().join("fifo");
        make_fifo(&fifo);
        fs::rename(&fifo, &file).unwrap();
    }
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    add(&client, 1_000..1_010);
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.delivered, stats.pending), (10, 0), "{stats:?}");
}
