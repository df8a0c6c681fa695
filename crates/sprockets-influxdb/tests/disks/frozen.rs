//! Disks that do not answer: frozen as for a snapshot of a virtual machine. Additions, flush,
//! shutdown and the end of the process do not wait for them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, SpoolSync};
use test_support::isolation::{in_namespaces, is_isolated, run};
use test_support::process::Process;
use test_support::{LONG, NO_SERVER, balanced};

use super::mounted::Mounted;
use super::{add, config};

/// The spool of the child process, and its level of durability.
const VARIABLE: &str = "TEST_FROZEN_SPOOL";

/// A file system that is frozen until this is dropped.
struct Frozen<'a>(&'a Mounted);

impl<'a> Frozen<'a> {
    #[allow(clippy::print_stdout)]
    fn new(disk: &'a Mounted) -> Option<Self> {
        let is_frozen = run("fsfreeze", &["-f", disk.path().to_str().unwrap()]);
        if !is_frozen {
            println!("skipped: no file system can be frozen here");
        }
        is_frozen.then(|| Self(disk))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run("fsfreeze", &["-u", self.0.path().to_str().unwrap()]);
    }
}

fn freeze(kind: &'static str) {
    let Some(disk) = Mounted::new(kind, 320, "loop") else { return };
    for level in ["process", "interval", "always"] {
        let spool = disk.path().join(level);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "frozen::child", "--ignored", "--nocapture"]);
        command.env(VARIABLE, format!("{level}:{}", spool.to_str().unwrap()));
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Process::start(pipes).unwrap();
        let mut lines = BufReader::new(child.child().stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().contains("ready")).unwrap().unwrap();
        assert!(run("sync", &[]));
        {
            let Some(_frozen) = Frozen::new(&disk) else { return };
            writeln!(child.child().stdin.take().unwrap()).unwrap();
            // It ends although the disk is frozen.
            assert!(child.wait().success(), "{kind}, {level}");
        }
        // What it added before is there.
        let server = Server::start();
        let client = Client::new(config(&server.url(), &spool)).unwrap();
        assert!(client.recover(LONG) && server.wait_for_points("db", 100, LONG));
        client.shutdown(LONG);
        assert_eq!(balanced(&client).recovered, 100, "{kind}, {level}");
    }
}

#[test]
#[ignore = "started by the other tests, as a process of its own"]
#[allow(clippy::print_stdout)]
fn child() {
    let Ok(variable) = std::env::var(VARIABLE) else { return };
    let (level, spool) = variable.split_once(':').unwrap();
    let level: SpoolSync = level.parse().unwrap();
    let client = Client::new(config(NO_SERVER, Path::new(spool)).spool_sync(level)).unwrap();
    add(&client, 0..100);
    client.flush(Duration::from_millis(1));
    // A disk that was used just now is not checked before it is used, and nothing announces that.
    std::thread::sleep(Duration::from_secs(2));
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    add(&client, 100..1_000);
    std::thread::scope(|scope| scope.spawn(|| add(&client, 1_000..2_000)).join()).unwrap();
    client.flush(Duration::from_millis(1));
    let stats = balanced(&client);
    assert_eq!((stats.pending, stats.spooled), (2_000, 100), "{stats:?}");
    client.shutdown(Duration::from_millis(1));
}

#[test]
fn a_frozen_ext4_holds_up_nothing() {
    in_namespaces(&["--mount"], "frozen::ext4");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn ext4() {
    if is_isolated() {
        freeze("ext4");
    }
}

#[test]
fn a_frozen_xfs_holds_up_nothing() {
    in_namespaces(&["--mount"], "frozen::xfs");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn xfs() {
    if is_isolated() {
        freeze("xfs");
    }
}
