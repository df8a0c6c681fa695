//! Disks that do not answer: frozen as for a snapshot of a virtual machine. Additions, flush,
//! shutdown and the end of the process do not wait for them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, SpoolSync};
use test_support::isolation::{in_namespaces, is_isolated, run};
use test_support::process::Process;
use test_support::{LONG, NO_SERVER, balanced, skip};

use super::mounted::Mounted;
use super::{add, config};

/// The spool of the child process, and its level of durability.
const VARIABLE: &str = "TEST_FROZEN_SPOOL";

/// A file system that is frozen until this is dropped.
struct Frozen<'a>(&'a Mounted);

impl<'a> Frozen<'a> {
    fn new(disk: &'a Mounted) -> Option<Self> {
        let is_frozen = run("fsfreeze", &["-f", disk.path().to_str().unwrap()]);
        if !is_frozen {
            skip("no file system can be frozen here");
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
        let mut child = start_child("frozen::child", level, &spool);
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

/// Freezes a disk while a process writes to it.
fn freeze_in_use(kind: &'static str) {
    let Some(disk) = Mounted::new(kind, 320, "loop") else { return };
    for level in ["process", "always"] {
        let mut child = start_child("frozen::busy_child", level, &disk.path().join(level));
        let (said, says) = std::sync::mpsc::channel();
        let lines = BufReader::new(child.child().stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| said.send(l)));
        let await_word = |word| while !says.recv_timeout(LONG).unwrap().contains(word) {};
        await_word("ready");
        let Some(frozen) = Frozen::new(&disk) else { return };
        writeln!(child.child().stdin.take().unwrap()).unwrap();
        await_word("done");
        // One thread waits in the kernel. Its process ends when the disk answers.
        drop(frozen);
        assert!(child.wait().success(), "{kind}, {level}");
    }
}

fn start_child(test: &str, level: &str, spool: &Path) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env(VARIABLE, format!("{level}:{}", spool.to_str().unwrap()));
    Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap()
}

fn client_of_child() -> Option<Client> {
    let variable = std::env::var(VARIABLE).ok()?;
    let (level, spool) = variable.split_once(':').unwrap();
    let level: SpoolSync = level.parse().unwrap();
    Some(Client::new(config(NO_SERVER, Path::new(spool)).spool_sync(level)).unwrap())
}

#[test]
#[ignore = "started by the other tests, as a process of its own"]
#[allow(clippy::print_stdout)]
fn busy_child() {
    let Some(client) = client_of_child() else { return };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                add(&client, 0..1);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        while client.stats().added < 100 {
            std::thread::yield_now();
        }
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        // More threads than shards, so that some share that of the writer.
        let others: Vec<_> = (0..80).map(|_| scope.spawn(|| add(&client, 0..10))).collect();
        others.into_iter().for_each(|thread| thread.join().unwrap());
        let report = client.flush(Duration::from_millis(1));
        assert!(report.pending >= 800, "{report:?}");
        assert!(client.stats().is_balanced() && client.stats().added >= 900);
        client.shutdown(Duration::from_millis(1));
        println!("done");
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    balanced(&client);
}

#[test]
#[ignore = "started by the other tests, as a process of its own"]
#[allow(clippy::print_stdout)]
fn child() {
    let Some(client) = client_of_child() else { return };
    add(&client, 0..100);
    client.flush(Duration::from_millis(1));
    // A disk that was used just now is not checked before it is used.
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
fn an_ext4_that_freezes_in_use_holds_up_only_the_thread_that_writes() {
    in_namespaces(&["--mount"], "frozen::ext4_in_use");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn ext4_in_use() {
    if is_isolated() {
        freeze_in_use("ext4");
    }
}

#[test]
fn an_xfs_that_freezes_in_use_holds_up_only_the_thread_that_writes() {
    in_namespaces(&["--mount"], "frozen::xfs_in_use");
}

#[test]
#[ignore = "started by the other test, in a mount namespace"]
fn xfs_in_use() {
    if is_isolated() {
        freeze_in_use("xfs");
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
