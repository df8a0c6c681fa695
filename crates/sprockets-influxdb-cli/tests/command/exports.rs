//! `write` of exports: of `influx_inspect`, of other tools, and of `spool export`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sprockets_influxdb::testing::Server;

use test_support::file;
use test_support::influxd::Influxd;

use super::{Done, run, run_with};

const EXPORT: &str = "\
# INFLUXDB EXPORT: 1677-09-21T00:12:43Z - 2262-04-11T23:47:16Z
# DDL
CREATE DATABASE shop WITH NAME autogen
# DML
# CONTEXT-DATABASE:shop
# CONTEXT-RETENTION-POLICY:autogen
# writing tsm data
sales,store=a total=1i 1700000000000000000
sales,store=a total=2i 1700000001000000000
# CONTEXT-DATABASE:shop
# CONTEXT-RETENTION-POLICY:hourly
# writing tsm data
sales,store=a total=100i 1700000000000000000
# CONTEXT-DATABASE:shop
# CONTEXT-RETENTION-POLICY:autogen
# writing wal data
sales,store=a total=3i 1700000002000000000
";

fn write(url: &str, text: &str, more: &[&str]) -> Done {
    run_with(&[&["write", "--json", "--url", url], more].concat(), &[], text.as_bytes())
}

fn totals(influxd: &Influxd, policy: &str) -> Vec<i64> {
    let query = format!("SELECT total FROM \"{policy}\".\"sales\"");
    let answer = influxd.query("shop", &query);
    let rows = answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row[1].as_i64().unwrap()).collect()
}

fn counts(done: &Done) -> [u64; 4] {
    let json = done.json();
    ["lines", "delivered", "invalid", "skipped"].map(|key| json[key].as_u64().unwrap())
}

#[test]
fn each_point_of_an_export_goes_to_its_retention_policy() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("shop");
    influxd.query("", "CREATE RETENTION POLICY hourly ON shop DURATION INF REPLICATION 1");
    let done = write(&influxd.url(), EXPORT, &[]);
    assert_eq!((done.code, counts(&done)), (Some(0), [4, 4, 0, 0]), "{done:?}");
    assert_eq!(totals(&influxd, "autogen"), [1, 2, 3]);
    assert_eq!(totals(&influxd, "hourly"), [100]);

    // An argument wins, a variable does not.
    influxd.query("", "CREATE RETENTION POLICY other ON shop DURATION INF REPLICATION 1");
    let arguments = ["--set", "retention_policy=other"];
    assert_eq!(write(&influxd.url(), EXPORT, &arguments).code, Some(0));
    assert_eq!(totals(&influxd, "other"), [100, 2, 3]);
    let line = "# CONTEXT-DATABASE: shop\nsales,store=a total=7i 7\n";
    let variables = [("INFLUXDB_RETENTION_POLICY", "hourly")];
    let url = influxd.url();
    let both = format!("{line}{EXPORT}");
    let done = run_with(&["write", "--url", &url], &variables, both.as_bytes());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(totals(&influxd, "hourly"), [7, 100]);
}

#[test]
fn lines_of_a_missing_database_or_policy_are_skipped_and_the_others_written() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("shop");
    let done = write(&influxd.url(), EXPORT, &[]);
    assert_eq!((done.code, counts(&done)), (Some(1), [4, 3, 0, 1]), "{done:?}");
    assert_eq!(totals(&influxd, "autogen"), [1, 2, 3]);
    let why = done.json()["skipped_because"][0].as_str().unwrap().to_owned();
    assert!(why.contains("has no retention policy \"hourly\": create it"), "{why}");

    let lines = "# CONTEXT-DATABASE: missing\nsales total=1i 1\nsales total=2i 2\n\
                 # CONTEXT-DATABASE: shop\nsales total=9i 9\n";
    let done = run_with(&["write", "--url", &influxd.url()], &[], lines.as_bytes());
    assert_eq!(done.code, Some(1), "{done:?}");
    for message in [
        "1 delivered",
        "2 skipped, not sent",
        "skipped: database \"missing\" does not exist: create it",
    ] {
        assert!(done.out.contains(message), "{message}: {done:?}");
    }
    assert_eq!(totals(&influxd, "autogen"), [9, 1, 2, 3]);
}

#[test]
fn other_apis_get_a_bucket_for_each_retention_policy() {
    let (server, token) = (Server::start(), file("token\n"));
    let arguments = ["--org", "o", "--token-file", token.to_str().unwrap()];
    let done = write(&server.url(), EXPORT, &arguments);
    assert_eq!((done.code, counts(&done)), (Some(0), [4, 4, 0, 0]), "{done:?}");
    assert_eq!((server.count("shop"), server.count("shop/hourly")), (3, 1));
}

#[test]
fn a_dump_is_read_whatever_its_markers() {
    let Some(influxd) = Influxd::start() else { return };
    influxd.create("shop");
    let line = "sales total=1i 1700000000000000000\n";
    for markers in [
        "# DML\n# CONTEXT-DATABASE:shop\n",
        "# DML:\n# CONTEXT-DATABASE:shop\n",
        "# dml\n# CONTEXT-DATABASE:shop\n",
        "# CONTEXT-DATABASE:shop\n",
        "",
    ] {
        influxd.query("shop", "DROP SERIES FROM /.*/");
        let text = format!("# DDL\nCREATE DATABASE shop\n{markers}{line}");
        let database: &[&str] = if markers.is_empty() { &["--database", "shop"] } else { &[] };
        let done = write(&influxd.url(), &text, database);
        assert_eq!((done.code, counts(&done)), (Some(0), [1, 1, 0, 0]), "{markers:?}: {done:?}");
        assert_eq!(totals(&influxd, "autogen"), [1], "{markers:?}");
    }
}

#[test]
fn an_input_without_a_line_is_an_error_unless_it_is_empty() {
    let server = Server::start();
    for (text, code) in [
        ("", 0),
        ("\n\n", 0),
        ("# DDL\nCREATE DATABASE shop\n", 1),
        ("# DML\n# CONTEXT-DATABASE: shop\n", 1),
    ] {
        let done = write(&server.url(), text, &["--database", "db"]);
        assert_eq!(done.code, Some(code), "{text:?}: {done:?}");
        let dry = write(&server.url(), text, &["--database", "db", "--dry-run"]);
        assert_eq!(dry.code, Some(code), "{text:?}: {dry:?}");
        let skipped = done.json()["skipped_because"].clone();
        if code == 1 {
            let why = skipped[0].as_str().unwrap();
            assert!(why.starts_with("- has no line of a measurement: "), "{why}");
        } else {
            assert_eq!(skipped, json!([]));
        }
    }
}

#[test]
fn the_precisions_of_influxdb_1_are_understood() {
    let server = Server::start();
    for (unit, nanoseconds) in [
        ("n", 1),
        ("ns", 1),
        ("u", 1_000),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ] {
        server.clear();
        let done = write(&server.url(), "m f=1 7\n", &["--database", "db", "--precision", unit]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(server.points("db")[0].timestamp, 7 * nanoseconds, "{unit}");
    }
    let done = write(&server.url(), "m f=1 7\n", &["--database", "db", "--precision", "d"]);
    assert!(done.code == Some(2) && done.errors.contains("h (hours)"), "{done:?}");
}

#[test]
fn utf_16_is_named_and_padded_gzip_is_whole() {
    let server = Server::start();
    let text = "m f=1 1\nm f=2 2\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = [b"\xff\xfe".to_vec(), little.clone()].concat();
    for input in [little.clone(), big, marked, gzip(&little)] {
        let done = run_with(&["write", "--url", &server.url(), "--database", "db"], &[], &input);
        assert!(done.code == Some(1) && done.out.contains("it is UTF-16"), "{done:?}");
    }
    let padded = [gzip(text.as_bytes()), vec![0; 100_000]].concat();
    let done = run_with(&["write", "--url", &server.url(), "--database", "db"], &[], &padded);
    assert_eq!((done.code, server.count("db")), (Some(0), 2), "{done:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn duplicate_tags_are_refused_with_their_place() {
    let server = Server::start();
    let done = write(&server.url(), "dd,a=1,a=2 f=1 1\ndd,a=1 f=1 1\n", &["--database", "db"]);
    assert_eq!((done.code, counts(&done)), (Some(1), [2, 1, 1, 0]), "{done:?}");
    assert!(done.errors.starts_with("-:1: the tag a is set twice"), "{done:?}");
    assert_eq!(server.count("db"), 1);
}

#[test]
fn a_dry_run_names_the_retention_policies() {
    let server = Server::start();
    let done = run_with(&["write", "--url", &server.url(), "--dry-run"], &[], EXPORT.as_bytes());
    assert_eq!(done.code, Some(0), "{done:?}");
    let comments: Vec<_> = done.out.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(comments.len(), 6, "{comments:?}");
    assert_eq!(comments[3], "# CONTEXT-RETENTION-POLICY: hourly");
}

#[test]
fn an_export_of_the_spool_names_the_retention_policy() {
    let spool = super::spool::killed_writer("ns", 3);
    let place = spool.path().to_str().unwrap();
    let head = "# DML\n# CONTEXT-DATABASE: my db\n# CONTEXT-RETENTION-POLICY: one week\nm,";
    let export = ["spool", "export", "--spool", place, "--quiet"];
    let option = run(&[&export[..], &["--retention-policy", "one week"]].concat(), &[]);
    assert!(option.code == Some(0) && option.out.starts_with(head), "{option:?}");
    let variable = run(&export, &[("INFLUXDB_RETENTION_POLICY", "one week")]);
    assert_eq!(variable.out, option.out);
    assert!(!run(&export, &[]).out.contains("POLICY"));

    let empty = tempfile::tempdir().unwrap();
    let exported = run(&["spool", "export", "--spool", empty.path().to_str().unwrap()], &[]);
    assert_eq!((exported.code, &*exported.out), (Some(0), ""), "{exported:?}");
}
