//! `spool`: files of killed processes are listed, verified, exported and delivered, and damage is
//! reported.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Client, Config, Measurement, Precision};
use tempfile::TempDir;
use test_support::influxd::Influxd;
use test_support::process::Process;
use test_support::{NO_SERVER, file, wait_until};

use super::{run, run_with, start};

/// A process that has put this many lines into a spool, and waits for a server.
fn writer(spool: &Path, precision: &str, lines: usize) -> Process {
    let text: String = (0..lines).map(|n| format!("m,t=a n={n}i {n}000000000\n")).collect();
    let (input, setting) = (file(text), format!("spool={}", spool.display()));
    let unit = format!("precision={precision}");
    let arguments = ["write", "--url", NO_SERVER, "--database", "my db", "--give-up-after", "0"];
    let settings = ["--set", &setting, "--set", &unit, input.to_str().unwrap()];
    let process = start(&[&arguments[..], &settings].concat(), &[]);
    let waiting = || {
        let done = run(&["spool", "list", "--json", "--spool", spool.to_str().unwrap()], &[]);
        let slots = done.json()["slots"].clone();
        let own = |slot: &&serde_json::Value| slot["process"] == process.id();
        slots.as_array().unwrap().iter().find(own).map_or(0, |slot| slot["lines"].as_u64().unwrap())
    };
    wait_until(|| waiting() == lines as u64);
    process
}

/// A spool with the lines of a killed process.
pub(super) fn killed_writer(precision: &str, lines: usize) -> TempDir {
    let spool = tempfile::tempdir().unwrap();
    writer(spool.path(), precision, lines).kill();
    spool
}

/// The files with lines.
fn files(spool: &Path) -> Vec<PathBuf> {
    let slots = fs::read_dir(spool.join("slots")).unwrap();
    let files = slots.flat_map(|slot| fs::read_dir(slot.unwrap().path()).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| fs::read(path).unwrap().starts_with(b"# sprockets-influxdb spool 1 s"))
        .collect()
}

/// Changes a byte in the middle of a line.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(5).position(|bytes| bytes == b" n=5i").unwrap();
    bytes[at + 3] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A client whose measurements wait in a spool. Dropping it seals their files.
fn recorder(spool: &Path, url: &str) -> Client {
    let config = Config::new().url(url).tag_hostname(false).spool(spool);
    let client = Client::new(config.precision(Precision::Milliseconds)).unwrap();
    for number in 0..100 {
        let measurement =
            Measurement::new("db", "m").field("n", number).timestamp(1_000_000 * number);
        client.add_measurement(&measurement).unwrap();
    }
    client
}

#[test]
fn lines_of_a_killed_process_are_delivered() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("my db");
    let spool = killed_writer("ns", 20_000);
    let place = spool.path().to_str().unwrap();
    let listed = run(&["spool", "list"], &[("INFLUXDB_SPOOL", place)]);
    assert!(listed.out.contains(" no ") && listed.out.contains(" 20,000 "), "{listed:?}");
    let url = influxd.url();
    let done = run(&["spool", "deliver", "--spool", place, "--url", &url, "--json"], &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let json = done.json();
    assert_eq!((&json["recovered"], &json["delivered"]), (&20_000.into(), &20_000.into()));
    assert_eq!(influxd.count("my db", "m", "n"), 20_000);
    let again = run(&["spool", "deliver", "--spool", place, "--url", &url], &[]);
    assert!(again.code == Some(0) && again.out.starts_with("0 lines found"), "{again:?}");
    assert!(run(&["spool", "list", "--spool", place], &[]).out.starts_with("no lines are waiting"));
}

#[test]
fn undelivered_lines_stay() {
    let spool = killed_writer("ns", 1_000);
    let place = spool.path().to_str().unwrap();
    let deliver = ["spool", "deliver", "--spool", place, "--give-up-after", "1", "--url"];
    let done = run(&[&deliver[..], &[NO_SERVER]].concat(), &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    for message in ["1,000 not delivered: they stay", "connection refused", "ended early: gave up"]
    {
        assert!(done.out.contains(message), "{message}: {done:?}");
    }
    let done = run(&[&deliver[..], &[NO_SERVER, "--set", "enabled=false"]].concat(), &[]);
    assert!(done.code == Some(1) && done.out.contains("1,000 not delivered"), "{done:?}");
    // Rejected lines are reported, and kept in the quarantine.
    let server = Server::start();
    server.inject_always(Fault::error(400, "unable to parse").when_body_contains(" n=7i"));
    let done = run(&[&deliver[..], &[&server.url(), "--json"]].concat(), &[]);
    let json = done.json();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!((&json["delivered"], &json["rejected"]), (&999.into(), &1.into()), "{done:?}");
    assert_eq!(server.count("my db"), 999);
    let refused = run(&["quarantine", "list", "--json", "--spool", place], &[]).json();
    assert_eq!(refused["lines"], 1);
}

#[test]
fn an_export_can_be_written_and_imported() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("my db");
    influxd.create("db");
    let spool = killed_writer("s", 300);
    let place = spool.path().to_str().unwrap();
    drop(recorder(spool.path(), NO_SERVER));
    let output = spool.path().join("export.lp");
    let export = ["spool", "export", "--spool", place, "--output", output.to_str().unwrap()];
    let done = run(&export, &[]);
    assert!(
        done.code == Some(0) && done.errors.contains("exported 400 lines of 2 files"),
        "{done:?}"
    );
    assert_eq!(run(&export, &[]).code, Some(2), "an existing file is not overwritten");
    let written = run(&["write", "--url", &influxd.url(), output.to_str().unwrap()], &[]);
    assert_eq!(written.code, Some(0), "{written:?}");
    assert_eq!((influxd.count("my db", "m", "n"), influxd.count("db", "m", "n")), (300, 100));
    let rows = influxd.query("my db", "SELECT n FROM m ORDER BY time DESC LIMIT 1");
    assert_eq!(rows["results"][0]["series"][0]["values"][0][0], 299_000_000_000_i64);
    let out = run(&["spool", "export", "--spool", place, "--quiet"], &[]);
    assert_eq!((out.out, &*out.errors), (fs::read_to_string(output).unwrap(), ""));
}

#[test]
fn lines_are_shown_unchanged() {
    let spool = killed_writer("s", 10);
    let place = spool.path().to_str().unwrap();
    let [path] = &files(spool.path())[..] else { panic!() };
    let path = path.to_str().unwrap();
    let shown = run(&["spool", "show", path], &[]);
    let head =
        format!("# {path}: 10 lines, precision=s\n# CONTEXT-DATABASE: my db\nm,t=a n=0i 0\n");
    assert!(shown.code == Some(0) && shown.out.starts_with(&head), "{shown:?}");
    let list = run(&["spool", "list", "--json", "--spool", place], &[]).json();
    let slot = list["slots"][0]["slot"].as_str().unwrap().to_owned();
    let json = run(&["spool", "show", "--json", "--spool", place, "--slot", &slot], &[]).json();
    assert_eq!(json["files"][0]["lines"][9], "m,t=a n=9i 9");
    assert_eq!(json["files"][0]["database"], "my db");
}

#[test]
fn damage_is_reported_for_each_file_and_loses_only_the_damaged_lines() {
    let spool = killed_writer("ns", 10);
    drop(recorder(spool.path(), NO_SERVER));
    let place = spool.path().to_str().unwrap();
    let verify = ["spool", "verify", "--spool", place];
    let whole = run(&verify, &[]);
    assert!(
        whole.code == Some(0) && whole.out.contains("110 lines waiting; 0 damaged"),
        "{whole:?}"
    );
    for path in files(spool.path()) {
        damage(&path);
    }
    let before = files(spool.path());
    let done = run(&verify, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.out.matches("damaged in a place").count() == 2, "{done:?}");
    assert!(
        done.out.contains("1 of 100 lines are lost") && done.out.contains("2 damaged"),
        "{done:?}"
    );
    assert_eq!(files(spool.path()), before);
    let server = Server::start();
    let deliver = ["spool", "deliver", "--spool", place, "--url", &server.url()];
    let done = run(&deliver, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.out.contains("set aside: ") && done.out.contains("lost, as"), "{done:?}");
    assert_eq!((server.count("my db"), server.count("db")), (9, 99));
    let json = run(&["spool", "verify", "--json", "--spool", place], &[]).json();
    let aside = json["damaged"].as_array().unwrap();
    assert!(aside.iter().any(|file| file["problem"].as_str().unwrap().contains("1 of 100 lines")));
    let aside = aside[0]["file"].as_str().unwrap();
    assert_eq!(run(&["spool", "show", aside], &[]).code, Some(1));
}

#[test]
fn files_of_running_processes_are_only_read() {
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    let mut process = writer(spool.path(), "ns", 100);
    let server = Server::start();
    let deliver = ["spool", "deliver", "--spool", place, "--url", &server.url(), "--json"];
    let done = run(&deliver, &[]);
    let json = done.json();
    assert_eq!((done.code, &json["recovered"], &json["alive"]), (Some(0), &0.into(), &1.into()));
    assert_eq!(server.requests().len(), 0);
    process.kill();
    // A process that writes all the time, whose files are delivered and reused.
    let client = recorder(spool.path(), &server.url());
    let is_over = AtomicBool::new(false);
    let codes: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..1_000 {
                    number += 1;
                    let measurement = Measurement::new("db", "live").field("n", number);
                    client.add_measurement(&measurement).unwrap();
                }
                client.flush(Duration::from_secs(30));
            }
        });
        let code = |command| run(&["spool", command, "--spool", place], &[]).code;
        let codes = (0..20).flat_map(|_| [code("verify"), code("export")]).collect();
        is_over.store(true, Ordering::Relaxed);
        codes
    });
    assert!(codes.iter().all(|code| *code == Some(0)), "{codes:?}");
    assert_eq!(client.stats().dropped.total(), 0);
}

#[test]
fn a_missing_spool_is_an_error() {
    for arguments in
        [&["list"][..], &["verify"], &["export"], &["deliver"], &["show", "--slot", "1"]]
    {
        let arguments = [&["spool"], arguments].concat();
        let done = run(&arguments, &[]);
        assert!(done.code == Some(2) && done.errors.contains("INFLUXDB_SPOOL"), "{done:?}");
        let done = run_with(&arguments, &[("INFLUXDB_SPOOL", "no-such-directory")], b"");
        assert!(done.code == Some(2) && done.errors.contains("no-such-directory"), "{done:?}");
    }
    assert_eq!(run(&["spool", "show", "no-such-file"], &[]).code, Some(2));
}
