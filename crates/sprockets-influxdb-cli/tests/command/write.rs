//! `write`: lines of a file are in the database, and all others are counted.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sprockets_influxdb::testing::{Fault, Server};
use test_support::file;
use test_support::influxd::Influxd;

use super::{run, run_with};

/// These numbers of the summary.
fn summary(done: &super::Done, keys: &[&str]) -> Vec<u64> {
    let json = done.json();
    keys.iter().map(|key| json[key].as_u64().unwrap_or_else(|| panic!("{key}: {done:?}"))).collect()
}

const COUNTS: [&str; 6] = ["lines", "delivered", "rejected", "invalid", "dropped", "pending"];

#[test]
fn files_of_every_format_are_stored_line_by_line() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let lines: String = (0..30_000).map(|n| format!("plain,t=a n={n}i {n}\n")).collect();
    let untimed = "# equal lines\n\nsame,t=a f=1\nsame,t=a f=1\r\nsame,t=a f=1";
    let strings = "text s=\"two\nlines, \\\"quoted\\\"\n# no comment\" 7000000000\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"packed f=1 1\npacked f=2 2\n").unwrap();
    let files = [file(lines), file(untimed), file(strings), file(gzip.finish().unwrap())];
    let paths = files.iter().map(|file| file.to_str().unwrap());
    let url = influxd.url();
    let arguments: Vec<&str> =
        ["write", "--url", &url, "--database", "db", "--json"].into_iter().chain(paths).collect();
    let done = run(&arguments, &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(summary(&done, &COUNTS), [30_006, 30_006, 0, 0, 0, 0]);
    assert!(done.errors.is_empty(), "{done:?}");
    for (measurement, field, count) in
        [("plain", "n", 30_000), ("same", "f", 3), ("text", "s", 1), ("packed", "f", 2)]
    {
        assert_eq!(influxd.count("db", measurement, field), count, "{measurement}");
    }
    let text = influxd.query("db", "SELECT s FROM text");
    let row = json!([7_000_000_000_i64, "two\nlines, \"quoted\"\n# no comment"]);
    assert_eq!(text["results"][0]["series"][0]["values"][0], row);
}

#[test]
fn bad_lines_are_reported_with_their_position_and_the_rest_is_stored() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let url = influxd.url();
    let write = ["write", "--url", &url, "--database", "db", "--precision", "s"];
    assert_eq!(run_with(&write, &[], b"m f=1 1\n").code, Some(0));
    let text = "m f=2 2\n\nm,t= f=1 3\nm f=\"a\nb\" later\nm f=\"conflict\" 4\nm f=3u 5\nm f=6 6\n";
    let done = run_with(&write, &[], text.as_bytes());
    assert_eq!(done.code, Some(1), "{done:?}");
    for message in [
        "-:3: the tag t has no value: give it one, or leave the tag out: m,t= f=1 3\n",
        "-:4-5: \"later\" is not a timestamp",
        "-:7: it has an unsigned integer, which the v1 API does not know",
    ] {
        assert!(done.errors.contains(message), "{message}: {done:?}");
    }
    for message in [
        "6 lines read",
        "2 delivered",
        "1 rejected",
        "3 invalid",
        "field type conflict",
        "conflict\\\" 4",
    ] {
        assert!(done.out.contains(message), "{message}: {done:?}");
    }
    let rows = influxd.query("db", "SELECT f FROM m")["results"][0]["series"][0]["values"].clone();
    assert_eq!(rows, json!([[1_000_000_000, 1], [2_000_000_000, 2], [6_000_000_000_i64, 6]]));
}

#[test]
fn an_import_file_names_its_databases() {
    let server = Server::start();
    let text = "# DDL\nCREATE DATABASE one\n\n# DML\n# CONTEXT-DATABASE: one\nm f=1 1\n\
                # CONTEXT-DATABASE: two\nm f=2 2\n";
    let url = server.url();
    let done = run_with(&["write", "--url", &url, "--json"], &[], text.as_bytes());
    assert_eq!((done.code, summary(&done, &COUNTS)), (Some(0), vec![2, 2, 0, 0, 0, 0]), "{done:?}");
    assert_eq!((server.count("one"), server.count("two")), (1, 1));
    let done = run_with(&["write", "--url", &url, "--database", "three"], &[], text.as_bytes());
    assert_eq!((done.code, server.count("three")), (Some(0), 2));
    let done = run_with(&["write", "--url", &url], &[], b"m f=1 1\n");
    assert!(done.code == Some(2) && done.errors.contains("no database for -, line 1"), "{done:?}");
}

#[test]
fn failed_batches_are_retried_and_split() {
    let server = Server::start();
    let lines: String = (0..5_000).map(|n| format!("m n={n}i {n}\n")).collect();
    let url = server.url();
    let write = ["write", "--url", &url, "--database", "db", "--json", "--max-batch-size", "1000"];
    server.max_body_size(10_000);
    server.inject(Fault::error(503, "overloaded").when_body_contains("n="));
    let done = run_with(&write, &[], lines.as_bytes());
    assert_eq!(
        (done.code, summary(&done, &COUNTS)),
        (Some(0), vec![5_000, 5_000, 0, 0, 0, 0]),
        "{done:?}"
    );
    assert_eq!(server.count("db"), 5_000);
    assert!(summary(&done, &["retries", "requests"])[0] > 0);
    // Settings for applications do not drop lines of a file.
    let variables = [
        ("INFLUXDB_ENABLED", "false"),
        ("INFLUXDB_SAMPLE_PROBABILITY", "0"),
        ("INFLUXDB_OVERFLOW", "newest"),
        ("INFLUXDB_MAX_BUFFER_SIZE", "10"),
    ];
    let done = run_with(&write, &variables, lines.as_bytes());
    assert_eq!(
        (done.code, summary(&done, &COUNTS)),
        (Some(0), vec![5_000, 5_000, 0, 0, 0, 0]),
        "{done:?}"
    );
}

#[test]
fn the_command_gives_up_when_the_server_accepts_nothing() {
    let server = Server::start();
    let url = server.url();
    server.stop();
    let write = ["write", "--url", &url, "--database", "db", "--give-up-after", "1"];
    // More than the buffer holds, so the reader waits too.
    let lines: String = (0..100).map(|n| format!("m n={n}i {n}\n")).collect();
    let done = run_with(&write, &[("INFLUXDB_MAX_BUFFER_SIZE", "10")], lines.as_bytes());
    assert_eq!(done.code, Some(1), "{done:?}");
    for message in
        ["10 not delivered", "1 dropped, not sent", "connection refused", "ended early: gave up"]
    {
        assert!(done.out.contains(message), "{message}: {done:?}");
    }
}

#[test]
fn a_missing_database_is_reported_before_anything_is_sent() {
    let server = Server::start();
    server.only_databases(["there"]);
    let url = server.url();
    let done = run_with(&["write", "--url", &url, "--database", "missing"], &[], b"m f=1 1\n");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.out.contains("ended early: database \"missing\" does not exist: create it"),
        "{done:?}"
    );
    assert!(server.writes().iter().all(|write| write.body().is_empty()));
}

#[test]
fn a_dry_run_prints_valid_lines_and_writes_nothing() {
    let server = Server::start();
    let url = server.url();
    let text = "m s=\"two\nlines\" 1\nbad\n# CONTEXT-DATABASE: other\n  n f=1\r\n";
    let dry = ["write", "--url", &url, "--dry-run", "--database", "db"];
    let done = run_with(&dry, &[], text.as_bytes());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.out.starts_with("# CONTEXT-DATABASE: db\nm s=\"two\nlines\" 1\nn f=1 "),
        "{done:?}"
    );
    assert!(
        done.errors.contains("-:3: it has no field") && done.errors.contains("2 lines would"),
        "{done:?}"
    );
    assert!(server.requests().is_empty());
    let written = run_with(&["write", "--url", &url, "--quiet"], &[], done.out.as_bytes());
    assert_eq!((written.code, &*written.out, server.count("db")), (Some(0), "", 2), "{written:?}");
}

#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead, BufReader, Read, Write};

    use test_support::LONG;
    use test_support::process::Process;

    use super::super::start;
    use super::*;

    /// Starts to write one line, and leaves standard input open.
    fn begin(server: &Server, settings: &[&str]) -> Process {
        let url = server.url();
        let fixed = ["write", "--url", &url, "--database", "db"];
        let mut process = start(&[&fixed, settings].concat(), &[]);
        process.child().stdin.as_mut().unwrap().write_all(b"m f=1 1\n").unwrap();
        process
    }

    #[test]
    fn the_first_signal_delivers_the_lines_that_were_read() {
        for name in ["INT", "TERM"] {
            let server = Server::start();
            let mut process = begin(&server, &["--json"]);
            assert!(server.wait_for_points("db", 1, LONG));
            let stdin = process.child().stdin.take();
            process.signal(name);
            let done: super::super::Done = process.output().into();
            drop(stdin);
            assert_eq!(
                (done.code, summary(&done, &COUNTS)),
                (Some(1), vec![1, 1, 0, 0, 0, 0]),
                "{done:?}"
            );
            assert_eq!(done.json()["problem"], "interrupted");
        }
    }

    #[test]
    fn lines_left_at_the_shutdown_timeout_are_reported() {
        let server = Server::start();
        server.inject_always(Fault::black_hole().when_body_contains("m"));
        let mut process = begin(&server, &["--json", "--set", "shutdown_timeout=0"]);
        assert!(server.wait_for_requests(1, LONG));
        let stdin = process.child().stdin.take();
        // The first write is the check's, the second one has the line.
        server.wait_until(LONG, |server| server.writes().len() > 1);
        process.signal("INT");
        let done: super::super::Done = process.output().into();
        drop(stdin);
        assert_eq!(
            (done.code, summary(&done, &COUNTS)),
            (Some(1), vec![1, 0, 0, 0, 0, 1]),
            "{done:?}"
        );
    }

    #[test]
    fn the_second_signal_ends_at_once() {
        let server = Server::start();
        server.inject_always(Fault::black_hole().when_body_contains("m"));
        let mut process =
            begin(&server, &["--set", "shutdown_timeout=600000", "--set", "timeout=600000"]);
        server.wait_until(LONG, |server| server.writes().len() > 1);
        process.signal("INT");
        let mut errors = BufReader::new(process.child().stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert_eq!(
            line,
            "interrupted: delivering the lines that were read; Ctrl-C again ends at once\n"
        );
        process.signal("INT");
        assert_eq!(process.wait().code(), Some(130));
        let mut out = String::new();
        process.child().stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "");
    }
}

#[test]
fn a_file_without_line_ends_does_not_fill_the_memory() {
    let server = Server::start();
    let junk = file(vec![b'x'; 20 << 20]);
    let arguments = ["write", "--url", &server.url(), "--database", "db", junk.to_str().unwrap()];
    let done = run(&arguments, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.out.contains("failed: line 1 has no end in 16 MiB"), "{done:?}");
}

/// `make gibibyte`. Takes a minute and 2 GiB of disk space.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "slow"]
#[allow(clippy::print_stdout)]
fn a_gibibyte_is_stored_line_by_line_in_little_memory() {
    const LINES: u64 = 10_000_000;
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("db");
    let mut content = std::io::BufWriter::new(tempfile::NamedTempFile::new().unwrap());
    for n in 0..LINES {
        let time = 1_700_000_000_000_000_000 + n;
        let text = "a text that makes the line as long as lines are";
        let host = n % 10;
        writeln!(content, "lines,host=web-{host},region=eu number={n}i,text=\"{text}\" {time}")
            .unwrap();
    }
    let content = content.into_inner().unwrap();
    let bytes = content.as_file().metadata().unwrap().len();
    assert!(bytes > 1 << 30, "{bytes}");

    let begun = std::time::Instant::now();
    let url = influxd.url();
    let path = content.path().to_str().unwrap();
    let arguments = ["write", "--url", &url, "--database", "db", "--json", path];
    let process = super::start(&arguments, &[]);
    let status = format!("/proc/{}/status", process.id());
    let watching = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(status) = std::fs::read_to_string(&status) {
            let line = status.lines().find(|line| line.starts_with("VmHWM"));
            // A process that has ended has no such line.
            let Some(line) = line else { break };
            peak = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(peak);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        peak
    });
    let done: super::Done = process.output().into();
    let took = begun.elapsed();
    let peak: u64 = watching.join().unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(summary(&done, &COUNTS), [LINES, LINES, 0, 0, 0, 0]);
    assert_eq!(influxd.count("db", "lines", "number"), LINES);
    println!("{bytes} bytes, {LINES} lines in {took:.1?}, at most {} MiB of memory", peak >> 10);
    assert!((1..64 << 10).contains(&peak), "{peak} KiB");
}

#[test]
fn a_missing_database_is_the_only_thing_that_is_said() {
    let server = Server::start();
    server.only_databases(["another"]);
    let input = file("m f=1 7\n");
    let url = server.url();
    let command = ["write", "--url", &url, "--database", "missing", input.to_str().unwrap()];
    let done = run(&command, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.out.starts_with("nothing was sent\n"), "{done:?}");
    assert!(done.out.contains("\"missing\" does not exist: create it"), "{done:?}");
    assert!(!done.out.contains("read"), "{done:?}");
}

#[test]
fn one_line_is_singular() {
    let server = Server::start();
    let input = file("m f=1 7\n");
    let url = server.url();
    let command = ["write", "--url", &url, "--database", "db", input.to_str().unwrap()];
    let done = run(&command, &[]);
    assert!(done.out.starts_with("1 line read (8 B) in "), "{done:?}");
    assert!(done.out.contains(" in 1 request (0 retried)\n"), "{done:?}");
    let done = run(&[&command[..], &["--dry-run"]].concat(), &[]);
    assert!(done.errors.contains("dry run: 1 line would be written, 0 are invalid"), "{done:?}");
}
