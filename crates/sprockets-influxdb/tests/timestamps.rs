//! Timestamps of several processes on one host, at full speed. `make timestamps` prints figures.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use sprockets_influxdb::Timestamp;
use test_support::wait_until;

const TOTAL: usize = 1_600_000;

/// A directory for the child's files, and how many timestamps it makes.
const CHILD: &str = "TIMESTAMPS_CHILD";

#[test]
#[allow(clippy::print_stdout)]
fn no_two_of_1_600_000_timestamps_of_4_and_of_8_processes_are_equal() {
    for processes in [4, 8] {
        let directory = tempfile::tempdir().unwrap();
        let start = nanoseconds();
        let mut children: Vec<_> =
            (0..processes).map(|_| spawn(directory.path(), TOTAL / processes)).collect();
        // All are ready before any goes on.
        wait_until(|| count(directory.path(), "ready") == processes);
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let mut stamps = Vec::with_capacity(TOTAL);
        for file in fs::read_dir(directory.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            stamps.extend(
                bytes
                    .chunks_exact(8)
                    .map(|stamp| i64::from_le_bytes(stamp.try_into().expect("eight bytes"))),
            );
        }
        stamps.sort_unstable();
        let collisions = stamps.windows(2).filter(|pair| pair[0] == pair[1]).count();
        println!("{processes} processes: {collisions} of {} are equal", stamps.len());
        assert_eq!((stamps.len(), collisions), (TOTAL, 0), "{processes} processes");
        let last = stamps.last().unwrap();
        assert!(stamps[0] >= start && *last < nanoseconds() + 1_000_000_000);
    }
}

#[test]
#[ignore = "is a process of the test above"]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (count, directory) = task.split_once(' ').expect("a number and a directory");
    let own = Path::new(directory).join(std::process::id().to_string());
    let mut stamps = Vec::with_capacity(8 * count.parse::<usize>().unwrap());
    Timestamp::now();
    fs::write(own.with_extension("ready"), "").unwrap();
    // Ends when the parent closes it.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    while stamps.len() < stamps.capacity() {
        stamps.extend(Timestamp::now().nanoseconds().to_le_bytes());
    }
    fs::write(own, stamps).unwrap();
}

fn spawn(directory: &Path, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child"])
        .env(CHILD, format!("{count} {}", directory.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn count(directory: &Path, extension: &str) -> usize {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).count()
}

fn nanoseconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}
