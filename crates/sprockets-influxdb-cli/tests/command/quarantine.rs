//! `quarantine`: rejected lines are listed, sent again and removed, and no line is lost.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sprockets_influxdb::testing::{Fault, Server};
use tempfile::TempDir;
use test_support::influxd::Influxd;
use test_support::wait_until;

use super::{run, run_with, start};

const ENTRY: &str = "# 2026-11-23T15:04:05Z precision=s database=my%20db\n# reason: 400: no\n";

/// A spool whose quarantine has one file of this many lines, in seconds.
fn quarantine(lines: usize) -> TempDir {
    let spool = tempfile::tempdir().unwrap();
    fs::create_dir(spool.path().join("quarantine")).unwrap();
    let entries = (0..lines).map(|n| format!("{ENTRY}m n={n}i {n}\n"));
    fs::write(spool.path().join("quarantine/0000000000000001-1.lp"), entries.collect::<String>())
        .unwrap();
    spool
}

fn listed(spool: &Path) -> Value {
    run(&["quarantine", "list", "--json", "--spool", spool.to_str().unwrap()], &[]).json()
}

fn retry(spool: &Path, url: &str, more: &[&str]) -> super::Done {
    let fixed = ["quarantine", "retry", "--json", "--spool", spool.to_str().unwrap(), "--url", url];
    run(&[&fixed[..], more].concat(), &[])
}

#[test]
fn rejected_lines_are_delivered_when_the_server_accepts_them() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let (spool, url) = (tempfile::tempdir().unwrap(), influxd.url());
    let setting = format!("spool={}", spool.path().display());
    let write =
        ["write", "--url", &url, "--database", "db", "--set", &setting, "--set", "precision=ms"];
    assert_eq!(run_with(&write, &[], b"m f=1 1000000\n").code, Some(0));
    assert_eq!(run_with(&write, &[], b"m f=\"two\nlines\" 2000000\nm f=3 3000000\n").code, Some(1));

    let json = listed(spool.path());
    assert_eq!((&json["lines"], &json["rejected"][0]["database"]), (&1.into(), &"db".into()));
    let reason = json["rejected"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("field type conflict"), "{json}");
    let place = spool.path().to_str().unwrap();
    let table = run(&["quarantine", "list"], &[("INFLUXDB_SPOOL", place)]);
    assert!(table.out.contains("1 for db: ") && table.out.contains("1 file:"), "{table:?}");
    let shown = run(&["quarantine", "show", "--spool", place], &[]);
    assert!(shown.out.starts_with("# CONTEXT-DATABASE: db\n# 2"), "{shown:?}");
    assert!(shown.out.ends_with("\nm f=\"two\nlines\" 2000000\n"), "{shown:?}");

    let done = retry(spool.path(), &url, &[]);
    assert_eq!((done.code, &done.json()["rejected"]), (Some(1), &1.into()), "{done:?}");
    assert_eq!(listed(spool.path())["lines"], 1);
    influxd.query("db", "DROP MEASUREMENT m");
    let done = retry(spool.path(), &url, &[]);
    assert_eq!((done.code, &done.json()["delivered"]), (Some(0), &1.into()), "{done:?}");
    let rows = influxd.query("db", "SELECT f FROM m");
    assert_eq!(rows["results"][0]["series"][0]["values"], json!([[2_000_000, "two\nlines"]]));
    assert_eq!(listed(spool.path()), json!({ "lines": 0, "rejected": [], "files": [] }));
}

#[test]
fn lines_that_are_rejected_again_stay_with_the_new_reason() {
    let spool = quarantine(10);
    let path = spool.path().join("quarantine/0000000000000001-1.lp");
    let mut text = fs::read_to_string(&path).unwrap();
    text += &format!("{ENTRY}m f= 7\n{ENTRY}m f=1\n");
    fs::write(&path, text).unwrap();
    let server = Server::start();
    server.inject_always(Fault::error(400, "too old").when_body_contains("n=7i 7000000000"));
    let done = retry(spool.path(), &server.url(), &["--set", "precision=s"]);
    let (json, now) = (done.json(), listed(spool.path()));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(
        (&json["delivered"], &json["rejected"], server.count("my db")),
        (&9.into(), &3.into(), 9)
    );
    assert_eq!(now["lines"], 3);
    let reasons: Vec<_> = now["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["reason"].as_str().unwrap())
        .collect();
    for message in ["too old", "the field f has no value", "it has no timestamp"] {
        assert!(reasons.iter().any(|reason| reason.contains(message)), "{message}: {reasons:?}");
    }
}

#[test]
fn nothing_is_lost_when_lines_are_not_sent() {
    let spool = quarantine(10);
    for settings in [
        &["--give-up-after", "1"][..],
        &["--set", "enabled=false"],
        &["--set", "sample_probability=0"],
    ] {
        let done = retry(spool.path(), "http://127.0.0.1:1", settings);
        assert_eq!((done.code, &done.json()["pending"]), (Some(1), &10.into()), "{done:?}");
        assert_eq!(listed(spool.path())["lines"], 10);
    }
}

#[test]
fn lines_are_found_one_by_one_if_the_server_only_says_how_many_it_rejected() {
    let spool = quarantine(1_000);
    let server = Server::start();
    let message = "partial write: points beyond retention policy dropped=1";
    server.inject_always(Fault::error(400, message).when_body_contains(" n="));
    let done = retry(spool.path(), &server.url(), &[]);
    assert_eq!((done.code, &done.json()["delivered"]), (Some(1), &0.into()), "{done:?}");
    assert_eq!((&done.json()["rejected"], &done.json()["pending"]), (&1_000.into(), &0.into()));
    assert_eq!(listed(spool.path())["lines"], 1_000);
}

#[test]
fn a_retry_that_is_killed_loses_nothing() {
    let spool = quarantine(12_000);
    let server = Server::start();
    // The server stores the first lines, and does not reply to the rest.
    server.inject_always(Fault::black_hole().when_body_contains(" n=11000i"));
    let place = spool.path().to_str().unwrap();
    let url = server.url();
    let arguments = ["quarantine", "retry", "--spool", place, "--url", &url];
    let mut process = start(&arguments, &[]);
    assert!(server.wait_for_points("my db", 5_000, Duration::from_secs(60)));
    wait_until(|| server.count("my db") >= 10_000);
    process.kill();
    assert_eq!(listed(spool.path())["lines"], 12_000);
    let server = Server::start();
    let done = retry(spool.path(), &server.url(), &[]);
    assert_eq!((done.code, server.count("my db")), (Some(0), 12_000), "{done:?}");
    assert_eq!(listed(spool.path())["lines"], 0);
}

#[test]
fn lines_are_removed_only_with_a_confirmation() {
    let spool = quarantine(2);
    let place = spool.path().to_str().unwrap();
    let quarantine = spool.path().join("quarantine");
    fs::write(quarantine.join("0000000000000002-1.lp"), format!("{ENTRY}n n=1i 1\n")).unwrap();
    let old = SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    let first = quarantine.join("0000000000000001-1.lp");
    fs::File::options().append(true).open(first).unwrap().set_modified(old).unwrap();
    let drop =
        |more: &[&str]| run(&[&["quarantine", "drop", "--spool", place], more].concat(), &[]);
    for (arguments, message) in [
        (&[][..], "--older-than"),
        (&["--all"], "3 lines in 2 files would be removed: pass --yes"),
        (&["--all", "--older-than", "1"], "cannot be used with"),
        (&["--file", "no-such-file", "--yes"], "no-such-file cannot be read"),
    ] {
        let done = drop(arguments);
        assert!(done.code == Some(2) && done.errors.contains(message), "{message}: {done:?}");
    }
    assert_eq!(listed(spool.path())["lines"], 3);
    assert_eq!(drop(&["--older-than", "4", "--yes"]).out, "0 lines in 0 files removed\n");
    assert_eq!(drop(&["--older-than", "2", "--yes"]).out, "2 lines in 1 file removed\n");
    let done = drop(&["--file", "0000000000000002-1.lp", "--yes", "--json"]);
    assert_eq!(done.json(), json!({ "files": 1, "lines": 1 }));
    assert_eq!(listed(spool.path())["lines"], 0);
}

#[test]
fn files_that_cannot_be_read_or_removed_do_not_keep_the_others() {
    let spool = quarantine(2);
    let quarantine = spool.path().join("quarantine");
    let too_long = fs::File::create(quarantine.join("0000000000000000-1.lp")).unwrap();
    too_long.set_len(1 << 40).unwrap();
    fs::write(quarantine.join("0000000000000002-1.lp"), format!("{ENTRY}n n=1i 1\n")).unwrap();
    // A retry holds the lock of a file while it sends its lines.
    let claimed =
        sprockets_influxdb::spool::QuarantineFile::at(quarantine.join("0000000000000001-1.lp"));
    let claim = claimed.unwrap().claim().unwrap();
    let place = spool.path().to_str().unwrap();
    let done = run(&["quarantine", "drop", "--spool", place, "--all", "--yes"], &[]);
    assert_eq!((done.code, &*done.out), (Some(2), "1 line in 2 files removed\n"), "{done:?}");
    assert!(done.errors.contains("cannot be read") && done.errors.contains("cannot be removed"));
    drop(claim);
    assert_eq!(listed(spool.path())["lines"], 2);
}

#[test]
fn a_path_without_its_option_is_an_error_that_names_the_option() {
    for command in [&["quarantine", "list", "/spool"], &["spool", "list", "/spool"]] {
        let done = run(command, &[]);
        assert_eq!(done.code, Some(2), "{done:?}");
        let tip = "name the spool by '--spool /spool' or INFLUXDB_SPOOL";
        assert!(done.errors.contains(tip), "{done:?}");
    }
    let done = run(&["check", "/spool"], &[]);
    assert!(!done.errors.contains("--spool"), "{done:?}");
}
