//! The README's lists agree with the code.

use std::collections::BTreeSet;
use std::fs;

use sprockets_influxdb::{Config, DropReason, Setting};

/// Variables that are read elsewhere: by the middlewares, and Django's setting.
const OTHER_NAMES: [&str; 3] =
    ["INFLUXDB_REQUESTS", "INFLUXDB_TAG_CORRELATION_ID", "INFLUXDB_TAG_REMOTE_IP"];

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    fs::read_to_string(path).expect("the README")
}

fn settings() -> Vec<Setting> {
    Config::new().settings().expect("the defaults")
}

/// A row of the README's table of variables.
fn row(setting: &Setting) -> Option<String> {
    let (variable, about, default) = (setting.variable()?, setting.about(), setting.default());
    // A sentence stands as it is.
    let default = match (&*default, setting.unit()) {
        ("", _) => String::new(),
        (text, _) if text.contains(' ') => format!("{text} "),
        (value, Some(unit)) => format!("`{value}` {unit} "),
        (value, None) => format!("`{value}` "),
    };
    Some(format!("| `{variable}` | {about} | {default}|"))
}

#[test]
fn the_table_of_variables_is_that_of_the_settings() {
    let readme = readme();
    let header = "| variable | meaning | default |\n|---|---|---|\n";
    let (_, table) = readme.split_once(header).expect("the table of variables");
    let listed: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let expected: Vec<String> = settings().iter().filter_map(row).collect();
    assert_eq!(listed, expected, "expected:\n{header}{}", expected.join("\n"));
}

#[test]
fn no_unknown_variable_is_named() {
    let settings = settings();
    let known = settings.iter().flat_map(|setting| [setting.variable(), setting.alias()]).flatten();
    let known: BTreeSet<_> = known.chain(OTHER_NAMES).collect();
    let readme = readme();
    let names = readme.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    for name in names.filter(|name| name.starts_with("INFLUXDB_") && name.len() > 9) {
        assert!(known.contains(name), "there is no {name}");
    }
}

#[test]
fn every_reason_for_dropping_is_listed() {
    let readme = readme();
    let (_, list) = readme.split_once("The reasons of `dropped` are").expect("the reasons");
    let (list, _) = list.split_once(".\n").expect("the end of the sentence");
    let listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let reasons: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed, reasons);
}
