//! Hostile servers, data and file names: nothing of theirs is taken for structure, and nothing
//! reaches a terminal raw.

use std::fs;

use sprockets_influxdb::testing::{Fault, Server};

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
