//! `INFLUXDB_SPOOL_MAX_BYTES`: the directory stays within it, and what is dropped for that is in the books, by the reason of
//! the overflow policy.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, DropReason, Measurement, Overflow};

use super::{LONG, NOWHERE, balanced, bytes_in, config, files_in, wait};

/// Where all lines are in the files that are written first.
const SMALL: usize = 4 << 20;
/// Where they move to files of their own.
const LARGE: usize = 24 << 20;

/// Looks at a directory again and again, for the most that is in it.
struct Watch {
    goes_on: Sender<()>,
    thread: JoinHandle<u64>,
}

impl Watch {
    fn start(spool: &Path) -> Self {
        let spool = spool.to_owned();
        let (goes_on, is_over) = channel::<()>();
        let thread = thread::spawn(move || {
            let (mut most, mut last) = (0, BTreeMap::new());
            let goes_on = || is_over.recv_timeout(Duration::from_micros(200));
            while goes_on() == Err(RecvTimeoutError::Timeout) {
                // Two looks that see the same have seen what was there at one moment.
                let files = files_in(&spool);
                if files == last {
                    most = most.max(files.values().sum());
                }
                last = files;
            }
            most
        });
        Self { goes_on, thread }
    }

    /// The most that was there.
    fn end(self) -> u64 {
        drop(self.goes_on);
        self.thread.join().unwrap()
    }
}

fn bounded(spool: &Path, bound: usize, overflow: Overflow) -> Config {
    // What is on its way cannot be dropped.
    let config = config(NOWHERE, spool).max_clients(1).max_batch_size(1_000);
    config.overflow(overflow).spool_max_bytes(bound)
}

/// Adds a kilobyte for each number.
fn add(client: &Client, numbers: Range<usize>) {
    let text = "x".repeat(1_000);
    for number in numbers {
        let measurement = Measurement::new("db", "m").field("n", number).field("text", &*text);
        client.add_measurement(&measurement).unwrap();
    }
}

/// Adds twice as much as there is room for, while there is no server, from several threads.
fn overfill(client: &Client, bound: usize) -> u64 {
    let each = bound / 1_000 / 2;
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || add(client, thread * each..(thread + 1) * each));
        }
    });
    4 * each as u64
}

fn is_bounded(bound: usize, overflow: Overflow, reason: DropReason) {
    let spool = tempfile::tempdir().unwrap();
    let blocking = Duration::from_micros(1);
    let bounded = bounded(spool.path(), bound, overflow).block_timeout(blocking);
    let watch = Watch::start(spool.path());
    let client = Client::new(bounded).unwrap();
    let added = overfill(&client, bound);
    let stats = balanced(&client);
    let dropped = stats.dropped.count(reason);
    assert_eq!((stats.added, stats.dropped.total()), (added, dropped), "{stats:?}");
    assert_eq!((stats.spooled, stats.pending), (stats.pending, added - dropped), "{stats:?}");
    // The bound is made use of.
    assert!(dropped > 0 && stats.pending > bound as u64 / 1_000 / 4, "{stats:?}");
    if overflow == Overflow::Oldest {
        // Their files go as soon as there is time for it.
        wait(|| bytes_in(spool.path()) <= bound as u64);
    }
    client.shutdown(Duration::ZERO);
    drop(client);
    let most = watch.end();
    assert!(most > bound as u64 / 4, "{most} of {bound}: nothing was seen");
    if overflow != Overflow::Oldest {
        assert!(most <= bound as u64, "{most} of {bound}");
    }
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool.path())).unwrap();
    assert!(client.recover(LONG));
    let left = (added - dropped) as usize;
    assert!(server.wait_for_points("db", left, LONG));
    wait(|| client.stats().pending == 0);
    let stats = balanced(&client);
    assert_eq!((stats.recovered, stats.delivered), (left as u64, left as u64), "{stats:?}");
    assert_eq!(server.count("db"), left);
    drop(client);
    assert_eq!(bytes_in(spool.path()), 0);
}

#[test]
fn the_newest_is_dropped_beyond_the_bound() {
    is_bounded(SMALL, Overflow::Newest, DropReason::Newest);
    is_bounded(LARGE, Overflow::Newest, DropReason::Newest);
}

#[test]
fn the_oldest_is_dropped_beyond_the_bound() {
    is_bounded(SMALL, Overflow::Oldest, DropReason::Oldest);
    is_bounded(LARGE, Overflow::Oldest, DropReason::Oldest);
}

#[test]
fn who_blocks_beyond_the_bound_is_dropped_in_the_end() {
    is_bounded(SMALL, Overflow::Block, DropReason::BlockTimeout);
    is_bounded(LARGE, Overflow::Block, DropReason::BlockTimeout);
}

#[test]
fn who_blocks_beyond_the_bound_goes_on_when_the_server_is_back() {
    let spool = tempfile::tempdir().unwrap();
    let watch = Watch::start(spool.path());
    let config = bounded(spool.path(), SMALL, Overflow::Block).block_timeout(LONG);
    let client = Client::new(config).unwrap();
    let server = Server::start();
    let added = thread::scope(|scope| {
        let adding = scope.spawn(|| overfill(&client, SMALL));
        // That nothing more is added has no signal; if more is, this holds less, and nothing wrong.
        wait(|| client.stats().pending > SMALL as u64 / 1_000 / 2);
        client.reconfigure(|config| config.url(&server.url())).unwrap();
        adding.join().unwrap()
    });
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.delivered), (added, added), "{stats:?}");
    assert_eq!(server.count("db") as u64, added);
    drop(client);
    assert!(watch.end() <= SMALL as u64);
}

#[test]
fn the_bound_holds_however_many_databases_there_are() {
    const BOUND: usize = 16 << 20;
    let spool = tempfile::tempdir().unwrap();
    let watch = Watch::start(spool.path());
    let config = config(NOWHERE, spool.path()).spool_max_bytes(BOUND);
    let client = Client::new(config).unwrap();
    for number in 0..100_000 {
        let database = format!("db{}", number % 400);
        let measurement = Measurement::new(&database, "m").tag("t", "v").field("n", number);
        client.add_measurement(&measurement.field("text", "x".repeat(300))).unwrap();
    }
    client.flush(Duration::ZERO);
    let stats = balanced(&client);
    assert!(stats.dropped.total() > 0, "{stats:?}");
    client.shutdown(Duration::ZERO);
    drop(client);
    let most = watch.end();
    assert!(most <= BOUND as u64, "{most}");
    assert!(fs::read_dir(spool.path().join("slots")).unwrap().count() > 0);
}
