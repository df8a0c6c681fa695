//! Control characters in data: exact in files and pipes, never raw on a terminal.

use std::fs;
use std::process::{Command, Stdio};

use test_support::file;

use super::run;

const LINE: &str = "m,t=\u{1b}[2J\u{9b}31m f=\"\u{202e}\u{2028}\u{1b}[31m\r\" 7";

/// The output on a terminal. `None` if there is no `script` to make one.
fn on_terminal(arguments: &[&str]) -> Option<String> {
    let quoted = arguments.iter().map(|argument| format!("'{argument}'"));
    let line = format!("{} {}", env!("CARGO_BIN_EXE_sprockets-influxdb"), {
        quoted.collect::<Vec<_>>().join(" ")
    });
    let done = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8(done.stdout).unwrap())
}

fn assert_is_harmless(shown: &str) {
    for raw in ["\u{1b}[2J", "\u{9b}", "\u{202e}", "\u{2028}", "\"\u{1b}"] {
        assert!(!shown.contains(raw), "{raw:?} in {shown:?}");
    }
    assert!(shown.contains("\\u{1b}[2J"), "{shown:?}");
}

#[test]
fn control_characters_of_data_reach_pipes_exactly_and_no_terminal() {
    let spool = tempfile::tempdir().unwrap();
    let place = spool.path().to_str().unwrap();
    fs::create_dir(spool.path().join("quarantine")).unwrap();
    let entry =
        format!("# 2026-11-23T15:04:05Z precision=ns database=db\n# reason: 400: no\n{LINE}\n");
    fs::write(spool.path().join("quarantine/0000000000000001-1.lp"), entry).unwrap();
    let show = ["quarantine", "show", "--spool", place];
    let piped = run(&show, &[]);
    assert!(piped.out.contains(LINE), "{piped:?}");

    let input = file(LINE);
    let dry = ["write", "--dry-run", "--database", "db", input.to_str().unwrap()];
    let piped = run(&dry, &[]);
    assert!(piped.out.ends_with(&format!("\n{LINE}\n")), "{piped:?}");

    let invalid = file(format!("{LINE} later"));
    let refused = ["write", "--dry-run", "--database", "db", invalid.to_str().unwrap()];
    assert!(!run(&refused, &[]).errors.contains('\u{202e}'));

    if let Some(shown) = on_terminal(&show) {
        assert_is_harmless(&shown);
        assert_is_harmless(&on_terminal(&dry).unwrap());
    }
}
