//! `INFLUXDB_SPOOL_MAX_BYTES`: the directory keeps the limit, and what is dropped for it is counted
//! by the reason of the overflow policy.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Client, Config, DropReason, Measurement, Overflow};
use test_support::{LONG, NO_SERVER, balanced, wait_until};

use super::{bytes_in, config, files_in};

/// At this size no batch is sealed into a file of its own.
const SMALL: usize = 4 << 20;
/// At this size batches are sealed into files of their own.
const LARGE: usize = 24 << 20;

/// Measures a directory continually, to find its largest size.
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
                // Two equal listings in a row are a consistent view.
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

    /// The largest size.
    fn end(self) -> u64 {
        drop(self.goes_on);
        self.thread.join().unwrap()
    }
}

fn bounded(spool: &Path, bound: usize, overflow: Overflow) -> Config {
    // What is in a request cannot be dropped.
    let config = config(NO_SERVER, spool).max_clients(1).max_batch_size(1_000);
    config.overflow(overflow).spool_max_bytes(bound)
}

/// Adds one kilobyte for each number.
fn add(client: &Client, numbers: Range<usize>) {
    let text = "x".repeat(1_000);
    for number in numbers {
        let measurement = Measurement::new("db", "m").field("n", number).field("text", &*text);
        client.add_measurement(&measurement).unwrap();
    }
}

/// Adds twice as much as fits, from several threads, while there is no server.
fn overfill(client: &Client, bound: usize) -> u64 {
    let each = bound / 1_000 / 2;
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || add(client, thread * each..(thread + 1) * each));
        }
    });
    4 * each as u64
}

fn check_limit(bound: usize, overflow: Overflow, reason: DropReason) {
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
    // The limit is used.
    assert!(dropped > 0 && stats.pending > bound as u64 / 1_000 / 4, "{stats:?}");
    if overflow == Overflow::Oldest {
        // The worker removes their files later.
        wait_until(|| bytes_in(spool.path()) <= bound as u64);
    }
    client.shutdown(Duration::ZERO);
    drop(client);
    let most = watch.end();
    assert!(most > bound as u64 / 4, "{most} of {bound}: nothing was measured");
    if overflow != Overflow::Oldest {
        assert!(most <= bound as u64, "{most} of {bound}");
    }
    let server = Server::start();
    let client = Client::new(config(&server.url(), spool.path())).unwrap();
    assert!(client.recover(LONG));
    let left = (added - dropped) as usize;
    assert!(server.wait_for_points("db", left, LONG));
    wait_until(|| client.stats().pending == 0);
    let stats = balanced(&client);
    assert_eq!((stats.recovered, stats.delivered), (left as u64, left as u64), "{stats:?}");
    assert_eq!(server.count("db"), left);
    drop(client);
    assert_eq!(bytes_in(spool.path()), 0);
}

#[test]
fn the_newest_is_dropped_beyond_the_limit() {
    check_limit(SMALL, Overflow::Newest, DropReason::Newest);
    check_limit(LARGE, Overflow::Newest, DropReason::Newest);
}

#[test]
fn the_oldest_is_dropped_beyond_the_limit() {
    check_limit(SMALL, Overflow::Oldest, DropReason::Oldest);
    check_limit(LARGE, Overflow::Oldest, DropReason::Oldest);
}

#[test]
fn a_blocked_addition_is_dropped_after_its_timeout() {
    check_limit(SMALL, Overflow::Block, DropReason::BlockTimeout);
    check_limit(LARGE, Overflow::Block, DropReason::BlockTimeout);
}

#[test]
fn a_blocked_addition_continues_when_the_server_is_back() {
    let spool = tempfile::tempdir().unwrap();
    let watch = Watch::start(spool.path());
    let config = bounded(spool.path(), SMALL, Overflow::Block).block_timeout(LONG);
    let client = Client::new(config).unwrap();
    let server = Server::start();
    let added = thread::scope(|scope| {
        let adding = scope.spawn(|| overfill(&client, SMALL));
        // There is no signal for a blocked thread. If one still adds, the test checks less.
        wait_until(|| client.stats().pending > SMALL as u64 / 1_000 / 2);
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
fn the_limit_holds_with_many_databases() {
    const BOUND: usize = 16 << 20;
    let spool = tempfile::tempdir().unwrap();
    let watch = Watch::start(spool.path());
    let config = config(NO_SERVER, spool.path()).spool_max_bytes(BOUND);
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

#[test]
fn the_quarantine_takes_a_quarter_of_the_limit_at_most() {
    let spool = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.inject_always(Fault::error(400, "retention policy not found"));
    let config = config(&server.url(), spool.path()).spool_max_bytes(SMALL);
    let client = Client::new(config.max_batch_size(1_000)).unwrap();
    let text = "x".repeat(500);
    for number in 0..8_000 {
        let measurement = Measurement::new("db", "m").field("n", number).field("s", &*text);
        client.add_measurement(&measurement).unwrap();
        if number % 1_000 == 999 {
            client.flush(LONG);
        }
    }
    assert_eq!(client.stats().rejected, 8_000);
    let used = blocks_in(&spool.path().join("quarantine"));
    assert!(used > 0 && used <= SMALL as u64 / 4, "{used}");
}

#[test]
fn what_is_in_the_quarantine_counts_at_once() {
    let spool = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.inject_always(Fault::error(400, "retention policy not found"));
    let config = config(&server.url(), spool.path()).spool_max_bytes(SMALL);
    let client = Client::new(config.max_batch_size(1_000)).unwrap();
    let most = thread::scope(|scope| {
        let adding = scope.spawn(|| {
            for round in 0..20 {
                add(&client, round * 1_000..(round + 1) * 1_000);
                client.flush(LONG);
            }
        });
        let mut most = 0;
        while !adding.is_finished() {
            most = most.max(blocks_in(spool.path()));
        }
        most
    });
    assert!(client.stats().rejected > 10_000, "{:?}", client.stats());
    assert!(most > SMALL as u64 / 4 && most <= SMALL as u64, "{most}");
}

#[test]
fn processes_with_few_lines_take_little_room() {
    const PROCESSES: usize = 100;
    let spool = tempfile::tempdir().unwrap();
    let clients: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let config = config(NO_SERVER, spool.path()).spool_max_bytes(SMALL);
            let client = Client::new(config).unwrap();
            let lines = (0..5).map(|n| Measurement::new("db", "m").field("n", n));
            lines.for_each(|line| client.add_measurement(&line).unwrap());
            client
        })
        .collect();
    for client in &clients {
        assert_eq!((client.stats().spooled, client.stats().pending), (5, 5));
    }
    let used = blocks_in(spool.path());
    assert!(used <= (PROCESSES * (20 << 10)) as u64, "{used}");
    for client in &clients {
        client.shutdown(Duration::ZERO);
    }
}

#[test]
fn processes_share_the_limit() {
    let spool = tempfile::tempdir().unwrap();
    let clients: Vec<_> = (0..8)
        .map(|_| Client::new(bounded(spool.path(), SMALL, Overflow::Newest)).unwrap())
        .collect();
    let most = thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter().map(|client| scope.spawn(|| add(client, 0..3_000))).collect();
        let mut most = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            most = most.max(blocks_in(spool.path()));
        }
        most.max(blocks_in(spool.path()))
    });
    let stats: Vec<_> = clients.iter().map(balanced).collect();
    assert!(stats.iter().all(|stats| stats.spooled == stats.pending), "{stats:?}");
    let pending: u64 = stats.iter().map(|stats| stats.pending).sum();
    assert!(pending > SMALL as u64 / 1_000 / 4, "the limit is used: {stats:?}");
    assert!(most <= SMALL as u64, "{most}");
    for client in &clients {
        client.shutdown(Duration::ZERO);
    }
}

/// What the files below a directory take on the disk.
fn blocks_in(directory: &Path) -> u64 {
    // Files and directories may disappear during the call.
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => blocks_in(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

#[test]
fn the_first_add_waits_for_room_that_dead_processes_take() {
    let spool = tempfile::tempdir().unwrap();
    let full = Client::new(bounded(spool.path(), SMALL, Overflow::Newest)).unwrap();
    overfill(&full, SMALL);
    full.shutdown(Duration::ZERO);
    drop(full);
    let server = Server::start();
    let config = config(&server.url(), spool.path()).spool_max_bytes(SMALL);
    let config = config.overflow(Overflow::Block).block_timeout(LONG);
    let client = Client::new(config).unwrap();
    add(&client, 0..1);
    client.shutdown(LONG);
    let stats = balanced(&client);
    assert_eq!((stats.added, stats.dropped.total()), (stats.recovered + 1, 0), "{stats:?}");
}
