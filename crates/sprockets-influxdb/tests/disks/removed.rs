//! Other programs cut or remove the files of a living process.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use sprockets_influxdb::{Client, DropReason};
use test_support::log::Log;
use test_support::{NO_SERVER, balanced, wait_until};

use super::mounted::segments;
use super::{add, config, deliver_all, lines_in};

/// Runs a test of this file in a process of its own, for the log is captured once for each.
fn alone(test: &str) {
    let binary = std::env::current_exe().unwrap();
    test_support::isolation::rerun(&mut std::process::Command::new(binary), test);
}

fn cut(spool: &Path, len: u64) {
    for segment in segments(spool) {
        File::options().write(true).open(segment).unwrap().set_len(len).unwrap();
    }
}

#[test]
fn cutting_the_segments_does_not_end_the_process() {
    for len in [0, 4096] {
        let spool = tempfile::tempdir().unwrap();
        let client = Client::new(config(NO_SERVER, spool.path())).unwrap();
        add(&client, 0..50);
        cut(spool.path(), len);
        add(&client, 50..20_000);
        let stats = balanced(&client);
        assert_eq!((stats.added, stats.pending), (20_000, 20_000), "{stats:?}");
        deliver_all(&client, 20_000);
    }
}

#[test]
fn lines_of_a_removed_spool_are_written_to_new_files() {
    alone("removed::with_a_spool_that_is_removed");
}

#[test]
#[ignore = "started by the other test, in a process of its own"]
fn with_a_spool_that_is_removed() {
    if !test_support::isolation::is_isolated() {
        return;
    }
    let log = Log::capture();
    let root = tempfile::tempdir().unwrap();
    let spool = root.path().join("spool");
    // The lines before and after the loss are in batches of their own, and so counted apart.
    let config = config(NO_SERVER, &spool).max_batch_size(150).trigger_size(150);
    let client = Client::new(config).unwrap();
    add(&client, 0..150);
    assert_eq!(balanced(&client).spooled, 150);
    wait_until(|| lines_in(&spool) == 150);
    // The client may be making a file.
    wait_until(|| fs::remove_dir_all(&spool).is_ok());
    client.flush(Duration::ZERO);
    log.wait_for("another program removed or cut");
    // The files are still open in this process, but the next one would not find them.
    wait_until(|| balanced(&client).spooled == 150 && lines_in(&spool) == 150);
    add(&client, 150..250);
    client.flush(Duration::ZERO);
    wait_until(|| (balanced(&client).pending, balanced(&client).spooled) == (250, 250));
    assert_eq!(lines_in(&spool), 250);
    deliver_all(&client, 250);
    drop(client);
    let warnings = log.spool_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn lines_in_removed_sealed_files_are_counted_as_damaged() {
    let root = tempfile::tempdir().unwrap();
    let config = config(NO_SERVER, root.path()).max_batch_size(10_000).trigger_size(10_000);
    let client = Client::new(config).unwrap();
    let sealed = || {
        let slots = fs::read_dir(root.path().join("slots")).unwrap();
        let files = slots.flat_map(|slot| fs::read_dir(slot.unwrap().path()).unwrap());
        let paths = files.map(|file| file.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "lp")).collect::<Vec<_>>()
    };
    // More than stays in memory.
    let text = "x".repeat(1_000);
    for number in 0..40_000 {
        let measurement = sprockets_influxdb::Measurement::new("db", "m");
        client.add_measurement(&measurement.field("n", number).field("s", &*text)).unwrap();
    }
    wait_until(|| !sealed().is_empty());
    wait_until(|| {
        for path in sealed() {
            // The client may have removed it.
            let _ = fs::remove_file(path);
        }
        client.flush(Duration::ZERO);
        let stats = balanced(&client);
        let damaged = stats.dropped.count(DropReason::Damaged);
        assert!(stats.spooled <= stats.pending && stats.pending + damaged == 40_000, "{stats:?}");
        damaged > 0
    });
}
