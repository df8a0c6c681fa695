//! Hostile servers, data and file names: nothing of theirs is taken for structure, and nothing
//! reaches a terminal raw.

use std::fs;
#[cfg(unix)]
use std::process::Command;

use sprockets_influxdb::testing::{Fault, Server};

use super::spool::killed_writer;
use super::{run, run_with};

#[test]
fn a_reason_that_looks_like_a_header_does_not_redirect_a_retry() {
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    let server = Server::start();
    let reason = "precision=ns database=evil";
    server.inject_always(Fault::error(400, reason).when_body_contains("m f="));
    let setting = format!("spool={place}");
    let url = server.url();
    let write = ["write", "--url", &url, "--database", "db", "--set", &setting];
    assert_eq!(run_with(&write, &[], b"m f=1 1\nm f=2 2\n").code, Some(1));
    let server = Server::start();
    let retry = ["quarantine", "retry", "--spool", place, "--url", &server.url()];
    assert_eq!(run(&retry, &[]).code, Some(0));
    assert_eq!((server.databases(), server.count("db")), (vec!["db".to_owned()], 2));
}

#[test]
fn file_names_with_control_characters_are_printed_escaped_and_on_one_line() {
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    let hostile = "\u{1b}[31mevil\nERROR root logged in\u{7}\u{202e}\u{9b}";
    let slot = spool.path().join(format!("slots/2-{hostile}"));
    fs::create_dir_all(&slot).unwrap();
    fs::write(slot.join(hostile), "").unwrap();
    let quarantine = spool.path().join("quarantine");
    fs::create_dir(&quarantine).unwrap();
    fs::write(quarantine.join(format!("{hostile}.lp")), "m f=1 1\n").unwrap();
    for command in [
        &["spool", "list"][..],
        &["spool", "verify"],
        &["spool", "export"],
        &["quarantine", "list"],
        &["quarantine", "show"],
        &["quarantine", "drop", "--file", hostile],
    ] {
        let done = run(&[command, &["--spool", place]].concat(), &[]);
        let shown = format!("{}{}", done.out, done.errors);
        for raw in ["\u{1b}", "\u{7}", "\u{202e}", "\u{9b}", "\nERROR"] {
            assert!(!shown.contains(raw), "{command:?}: {raw:?} in {shown:?}");
        }
    }
}

/// Files of another user are left alone, and `--any-user` uses them. Only root can make them here.
#[cfg(unix)]
#[test]
fn files_of_another_user_are_used_only_with_any_user() {
    const NOBODY: u32 = 65534;
    let spool = killed_writer("ns", 100);
    let place = spool.path().to_str().unwrap();
    let slot = fs::read_dir(spool.path().join("slots")).unwrap().next().unwrap().unwrap().path();
    let quarantine = spool.path().join("quarantine");
    fs::create_dir(&quarantine).unwrap();
    let file = quarantine.join("0000000000000001-1.lp");
    fs::write(&file, "# 2026-11-23T15:04:05Z precision=s database=db\nm f=1 1\n").unwrap();
    let files = fs::read_dir(&slot).unwrap().map(|entry| entry.unwrap().path());
    for path in files.chain([slot.clone(), quarantine, file]) {
        if let Err(error) = std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)) {
            test_support::skip(&format!("only root can make files of another user: {error}"));
            return;
        }
    }
    let server = Server::start();
    let url = server.url();
    let fixed = ["--json", "--spool", place, "--url", &url];
    let deliver = run(&[&["spool", "deliver"], &fixed[..]].concat(), &[]);
    assert_eq!((deliver.code, &deliver.json()["pending"]), (Some(1), &100.into()), "{deliver:?}");
    let text = run(&["spool", "deliver", "--spool", place, "--url", &url], &[]);
    assert!(text.out.contains("1 slot of other users: --any-user"), "{text:?}");
    let retry = run(&[&["quarantine", "retry"], &fixed[..]].concat(), &[]);
    assert_eq!((retry.code, &retry.json()["lines"]), (Some(1), &0.into()), "{retry:?}");
    let drop = run(&["quarantine", "drop", "--all", "--yes", "--spool", place], &[]);
    assert!(drop.code == Some(2) && drop.errors.contains("belongs to user 65534"), "{drop:?}");
    assert_eq!(server.databases(), [""; 0]);

    let any_user = [&fixed[..], &["--any-user"]].concat();
    let deliver = run(&[&["spool", "deliver"], &any_user[..]].concat(), &[]);
    assert_eq!((deliver.code, server.count("my db")), (Some(0), 100), "{deliver:?}");
    let retry = run(&[&["quarantine", "retry"], &any_user[..]].concat(), &[]);
    assert_eq!((retry.code, server.count("db")), (Some(0), 1), "{retry:?}");
}

#[cfg(unix)]
#[test]
fn pipes_and_links_in_the_place_of_files_do_not_hold_up_a_command() {
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    let slot = spool.path().join("slots/1-00000000");
    let quarantine = spool.path().join("quarantine");
    fs::create_dir_all(&slot).unwrap();
    fs::create_dir(&quarantine).unwrap();
    for path in [
        slot.join("lock"),
        slot.join("00000001.open"),
        slot.join("00000002-5.lp"),
        quarantine.join("0000000000000001-1.lp"),
        quarantine.join("named"),
    ] {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    std::os::unix::fs::symlink("/dev/zero", slot.join("00000003-5.lp")).unwrap();
    let fifo = quarantine.join("named");
    let fifo = fifo.to_str().unwrap();
    let server = Server::start();
    let url = server.url();
    for command in [
        &["spool", "list", "--spool", place][..],
        &["spool", "verify", "--spool", place],
        &["spool", "export", "--spool", place],
        &["spool", "show", "--slot", "1-00000000", "--spool", place],
        &["spool", "show", fifo],
        &["spool", "deliver", "--spool", place, "--url", &url],
        &["quarantine", "list", "--spool", place],
        &["quarantine", "show", "--spool", place, "--file", fifo],
        &["quarantine", "retry", "--spool", place, "--file", fifo, "--url", &url],
        &["quarantine", "drop", "--all", "--yes", "--spool", place],
    ] {
        assert!(run(command, &[]).code.is_some(), "{command:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_without_an_end_is_an_error() {
    let done = run(&["check", "--user", "me", "--password-file", "/dev/zero"], &[]);
    assert!(done.code == Some(2) && done.errors.contains("too long"), "{done:?}");
}
