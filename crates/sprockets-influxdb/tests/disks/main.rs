//! Disks that fail under a living process: full ones that copy on write, files that other programs
//! cut or remove, and disks that do not answer. The application goes on, and nothing is lost
//! silently.

#![cfg(target_os = "linux")]

mod frozen;
mod full;
mod mounted;
mod removed;

use std::path::Path;

use sprockets_influxdb::spool::Directory;
use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement};
use test_support::{LONG, balanced};

fn config(url: &str, spool: &Path) -> Config {
    Config::new().url(url).tag_hostname(false).spool(spool).trigger_size(100_000)
}

fn add(client: &Client, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let measurement = Measurement::new("db", "m").tag("t", "v").field("n", number);
        client.add_measurement(&measurement).unwrap();
    }
}

/// The number of lines in the files of a spool.
fn lines_in(spool: &Path) -> u64 {
    let slots = Directory::new(spool).slots().unwrap_or_default();
    let files = slots.iter().flat_map(|slot| &slot.files);
    files.filter_map(|file| file.read().ok().flatten()).map(|content| content.len() as u64).sum()
}

/// Delivers everything that waits. Asserts that nothing of it is lost.
#[track_caller]
fn deliver_all(client: &Client, added: u64) {
    let server = Server::start();
    client.reconfigure(|config| config.url(&server.url())).unwrap();
    assert!(client.flush(LONG).is_complete());
    let stats = balanced(client);
    assert_eq!((stats.added, stats.delivered, server.count("db") as u64), (added, added, added));
}
