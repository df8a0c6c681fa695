//! The pages in `docs/` agree with the code. `UPDATE_DOCS=1` rewrites the generated parts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use sprockets_influxdb::{Config, DropReason, Setting};

/// Other names: an alias, variables of `forward` and the middlewares, and Django's setting.
const OTHER_NAMES: [&str; 5] = [
    "INFLUXDB_BUCKET",
    "INFLUXDB_NATS_URL",
    "INFLUXDB_REQUESTS",
    "INFLUXDB_TAG_CORRELATION_ID",
    "INFLUXDB_TAG_REMOTE_IP",
];

/// Settings that are arguments of another name.
const ARGUMENTS: [(&str, &str); 2] = [("user", "auth_username"), ("password", "auth_password")];

const BEGIN: &str = "<!-- settings: begin -->\n";
const END: &str = "<!-- settings: end -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README and all pages.
fn pages() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join("docs")).expect("docs");
    let files = files.map(|entry| entry.expect("an entry").path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = pages.chain([root().join("README.md")]);
    let text =
        |path: PathBuf| (path.display().to_string(), fs::read_to_string(&path).expect("text"));
    pages.map(text).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).expect("a page")
}

fn settings() -> Vec<Setting> {
    Config::new().settings().expect("the defaults")
}

fn row(setting: &Setting) -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let argument = ARGUMENTS.iter().find(|(name, _)| *name == setting.name());
    let argument = argument.map_or(setting.name(), |(_, argument)| argument);
    // A sentence stands as it is.
    let default = setting.default();
    let default = if default.contains(' ') { default.to_string() } else { code(&default) };
    let cells = [
        code(setting.variable().unwrap_or_default()),
        code(argument),
        setting.about().to_owned(),
        default,
        setting.unit().unwrap_or_default().to_owned(),
        setting.since().to_owned(),
    ];
    format!("| {} |", cells.join(" | "))
}

/// The tables of all settings, one for each topic.
fn tables() -> String {
    let settings = settings();
    let mut topics: Vec<&str> = Vec::new();
    for setting in &settings {
        if !topics.contains(&setting.topic()) {
            topics.push(setting.topic());
        }
    }
    let mut text = String::new();
    for topic in topics {
        let header = "| variable | argument | meaning | default | unit | since |\n\
                      |---|---|---|---|---|---|";
        writeln!(text, "\n## {topic}\n\n{header}").expect("written");
        for setting in settings.iter().filter(|setting| setting.topic() == topic) {
            writeln!(text, "{}", row(setting)).expect("written");
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_configuration_page_has_the_table_of_settings() {
    let page = page("configuration.md");
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the tables");
    let (found, after) = rest.split_once(END).expect("the end of the tables");
    let expected = tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{expected}{END}{after}");
        fs::write(root().join("docs/configuration.md"), text).expect("written");
    } else {
        assert_eq!(found, expected, "run `make generated`");
    }
}

#[test]
fn no_unknown_variable_is_named() {
    let settings = settings();
    let known = settings.iter().flat_map(|setting| [setting.variable(), setting.alias()]).flatten();
    let known: BTreeSet<_> = known.chain(OTHER_NAMES).collect();
    // This page is about names that nothing reads.
    for (page, text) in pages().into_iter().filter(|(page, _)| !page.ends_with("/log.md")) {
        let names = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for name in names.filter(|name| name.starts_with("INFLUXDB_") && name.len() > 9) {
            assert!(known.contains(name), "{page}: there is no {name}");
        }
    }
}

#[test]
fn every_reason_for_dropping_is_listed() {
    let page = page("counters.md");
    let (_, list) = page.split_once("The reasons of `dropped` are").expect("the reasons");
    let (list, _) = list.split_once(".\n").expect("the end of the sentence");
    let listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let reasons: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed, reasons);
}
