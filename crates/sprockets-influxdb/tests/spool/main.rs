//! The spool on real disks: it outlives client and process, and nothing is lost silently.

#![cfg(unix)]

mod disks;
mod intruders;
mod size_limit;
mod users;

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::path::PathBuf;
use std::time::Duration;

use sprockets_influxdb::spool::Directory;
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::{LONG, NO_SERVER, wait_until};

fn config(url: &str, spool: &std::path::Path) -> Config {
    Config::new().url(url).tag_hostname(false).spool(spool)
}

fn add(client: &Client, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let measurement = Measurement::new("db", "m").tag("t", "v").field("n", number);
        client.add_measurement(&measurement).unwrap();
    }
}

/// Waits until no client holds a slot. The threads of a client that was dropped may still run.
fn wait_until_released(spool: &std::path::Path) {
    let slots = || Directory::new(spool).slots().unwrap();
    wait_until(|| slots().iter().all(|slot| !slot.is_alive));
}

#[test]
fn the_next_client_delivers_what_the_last_one_left() {
    let spool = tempfile::tempdir().unwrap();
    let client = Client::new(config(NO_SERVER, spool.path())).unwrap();
    add(&client, 0..10_000);
    assert_eq!((client.stats().pending, client.stats().spooled), (10_000, 10_000));
    let report = client.shutdown(Duration::ZERO);
    assert_eq!(report.pending, 10_000);
    drop(client);
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool.path())).unwrap();
    add(&client, 10_000..10_001);
    client.flush(Duration::from_secs(30));
    wait_until(|| client.stats().delivered == 10_001);
    let stats = client.stats();
    assert_eq!((stats.added, stats.recovered, stats.delivered), (10_001, 10_000, 10_001));
    assert!(stats.is_balanced());
    drop(client);
    assert_eq!(std::fs::read_dir(spool.path().join("slots")).unwrap().count(), 0);
}

#[test]
fn small_batches_take_little_disk_space() {
    let spool = tempfile::tempdir().unwrap();
    let client = Client::new(config(NO_SERVER, spool.path()).max_batch_size(7)).unwrap();
    add(&client, 0..20_000);
    assert_eq!(client.flush(Duration::ZERO).pending, 20_000);
    // One file for each batch would take 220 MB.
    wait_until(|| bytes_in(spool.path()) < 32 << 20);
    assert_eq!(client.stats().spooled, 20_000);
    client.shutdown(Duration::ZERO);
}

/// The size of all files of a spool.
fn bytes_in(spool: &std::path::Path) -> u64 {
    files_in(spool).values().sum()
}

/// The files of a spool and their sizes. A file that is renamed, removed or created during the call
/// may be missing or be there twice.
fn files_in(spool: &std::path::Path) -> BTreeMap<PathBuf, u64> {
    // Slots and files may disappear during the call.
    let entries = |path: &std::path::Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let files = entries(&spool.join("slots")).flat_map(|slot| entries(&slot.path()));
    let bytes = |file: &DirEntry| file.metadata().map_or(0, |metadata| metadata.len());
    files.map(|file| (file.path(), bytes(&file))).collect()
}

#[test]
fn a_client_that_has_delivered_everything_leaves_no_files() {
    let spool = tempfile::tempdir().unwrap();
    let server = Server::start();
    for number in 0..300 {
        let client = Client::new(config(&server.url(), spool.path())).unwrap();
        add(&client, number..number + 1);
        assert!(client.flush(LONG).is_complete());
        client.shutdown(LONG);
        drop(client);
        let slots = std::fs::read_dir(spool.path().join("slots")).unwrap();
        let left: Vec<_> = slots.map(|slot| slot.unwrap().path()).collect();
        assert!(left.is_empty(), "{number}: {left:?}");
    }
}

/// The names and contents of the files of the only slot.
fn files_of_slot(spool: &std::path::Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let slot = &Directory::new(spool).slots().unwrap()[0].name;
    let read = |file: DirEntry| (file.file_name(), std::fs::read(file.path()).unwrap());
    let files = std::fs::read_dir(spool.join("slots").join(slot)).unwrap();
    files.map(|file| read(file.unwrap())).collect()
}

fn deliver_slots(copies: usize) -> (Duration, usize) {
    let spool = tempfile::tempdir().unwrap();
    let client = Client::new(config(NO_SERVER, spool.path())).unwrap();
    add(&client, 0..5);
    let files = files_of_slot(spool.path());
    client.shutdown(Duration::ZERO);
    drop(client);
    wait_until_released(spool.path());
    // As if so many processes had been killed. A living one would take files that are being made.
    for number in 0..copies {
        let directory = spool.path().join("slots").join(format!("1-{number:08x}"));
        std::fs::create_dir(&directory).unwrap();
        for (name, bytes) in &files {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
    let server = Server::start();
    let start = std::time::Instant::now();
    let client = Client::new(config(&server.url(), spool.path())).unwrap();
    assert!(client.recover(LONG));
    client.flush(LONG);
    wait_until(|| client.stats().pending == 0);
    let (duration, stats) = (start.elapsed(), client.stats());
    assert_eq!((stats.recovered, stats.delivered), (5 * (copies as u64 + 1), stats.recovered));
    (duration, server.requests().len())
}

#[test]
fn lines_of_many_dead_processes_become_full_batches() {
    let (_, requests) = deliver_slots(2_500);
    assert!(requests <= 3, "{requests}");
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn ten_thousand_dead_processes() {
    let (duration, requests) = deliver_slots(10_000);
    println!("10,000 slots of 5 lines: {duration:.1?}, {requests} requests");
    assert!(requests <= 8, "{requests}");
}
