//! What the compiler does not check: which module may use which, that files do not import each
//! other in circles, where `unsafe` may be, how long a file may be, and that documents link to
//! files that exist. Unit tests may use everything.

mod imports;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use imports::Graph;
use source::{File, entries, files};

/// The modules of the crate, each with what it may use: a module, or only that item of it.
const MAY_USE: &[(&str, &[&str])] = &[
    // Bytes, never a measurement.
    (
        "buffer",
        &[
            "clock",
            "config::Overflow",
            "config::Precision",
            "config::SpoolSync",
            "interruption",
            "line_protocol::split",
            "printable::plural",
            "record",
            "spool",
            "stats",
            "sync",
            "sys",
        ],
    ),
    (
        "client",
        &[
            "buffer",
            "clock",
            "config",
            "delivery",
            "error",
            "line_protocol",
            "measurement",
            "printable",
            "record",
            "spare",
            "spool::Spool",
            "stats",
            "sync",
            "sys",
        ],
    ),
    ("clock", &["sys"]),
    ("config", &["error", "printable"]),
    (
        "delivery",
        &[
            "buffer",
            "config",
            "error",
            "line_protocol::lexer",
            "measurement",
            "clock",
            "printable",
            "stats",
            "sync",
            "sys",
        ],
    ),
    ("error", &[]),
    ("fuzzing", &["buffer", "delivery", "line_protocol::split", "measurement", "spool"]),
    (
        "internal",
        &[
            "client::Added",
            "client::Client",
            "client::InForce",
            "client::TrackedFlush",
            "clock",
            "config::Config",
            "config::Precision",
            "config::Rejected",
            "config::SpoolSync",
            "delivery::nats",
            "error::Result",
            "interruption",
            "measurement",
            "middleware",
            "printable",
            "rfc3339::parse",
            "spool::Spool",
            "stats::Report",
            "status",
            "sys::await_sigterm",
            "sys::before_sigterm",
            "sys::generation",
        ],
    ),
    ("interruption", &[]),
    ("line_protocol", &["config::Precision", "error", "measurement::Timestamp"]),
    ("measurement", &["clock", "error", "line_protocol::lexer"]),
    (
        "middleware",
        &[
            "client",
            "clock::Moment",
            "config::flag",
            "error",
            "measurement",
            "printable",
            "record",
            "spare",
            "sync",
        ],
    ),
    ("printable", &[]),
    ("record", &["config::Precision"]),
    ("rfc3339", &[]),
    ("spare", &["measurement"]),
    (
        "spool",
        &[
            "config::Precision",
            "config::SpoolSync",
            "line_protocol::split",
            "clock",
            "printable",
            "rfc3339",
            "sync",
            "sys",
        ],
    ),
    ("stats", &[]),
    (
        "status",
        &[
            "client::Client",
            "config::Setting",
            "config::SettingValue",
            "middleware::RequestMeasurement",
            "spool::Directory",
            "stats::Stats",
            "sync",
            "sys",
        ],
    ),
    ("sync", &[]),
    ("sys", &[]),
];

const MOST_LINES: usize = 400;

/// The crates whose files must not import each other in circles.
const CRATES: &[&str] = &[
    "instruction-counts",
    "sprockets-influxdb",
    "sprockets-influxdb-cli",
    "sprockets-influxdb-python",
    "sprockets-influxdb-testing",
    "test-support",
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn src(name: &str) -> PathBuf {
    crates().join(name).join("src")
}

fn core() -> Vec<File> {
    files(&src("sprockets-influxdb"))
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let files = core();
    let root = files.iter().find(|file| file.name == "lib.rs").expect("lib.rs");
    let exports = root.imports();
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.name != "lib.rs") {
        let module = file.module[0].as_str();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("src/{}: module {module} is not in the table", file.name));
            continue;
        };
        for path in file.paths() {
            let (first, rest) = path.split_once("::").unwrap_or((&path, ""));
            let used = match exports.get(first) {
                Some(export) => format!("{export}::{rest}"),
                None => path.clone(),
            };
            let is_allowed = is_in(&used, module) || allowed.iter().any(|item| is_in(&used, item));
            if !is_allowed {
                wrong.push(format!("src/{} uses {used}: not in the table", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let mut wrong = Vec::new();
    for name in CRATES {
        let graph = Graph::new(&files(&src(name)));
        let circles = graph.circles().into_iter();
        wrong.extend(circles.map(|circle| format!("{name}: {}", circle.join(" -> "))));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_is_only_in_sys() {
    let found = core().into_iter().filter(File::has_unsafe).map(|file| file.name);
    let elsewhere: Vec<_> =
        found.filter(|name| name != "sys.rs" && !name.starts_with("sys/")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn unsafe_of_the_bindings_is_in_two_modules() {
    let found = files(&src("sprockets-influxdb-python")).into_iter().filter(File::has_unsafe);
    let elsewhere: Vec<_> = found
        .map(|file| file.name)
        .filter(|name| name != "frame/ffi.rs" && !name.starts_with("capi/"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn no_file_has_more_than_400_lines_of_code() {
    for name in CRATES {
        for file in files(&src(name)) {
            let lines = file.code.lines().filter(|line| !line.trim().is_empty()).count();
            assert!(lines <= MOST_LINES, "{name}: src/{} has {lines} lines of code", file.name);
        }
    }
}

#[test]
fn links_between_documents_and_files_are_valid() {
    let root = crates().join("..");
    let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut broken = BTreeSet::new();
    let documents = entries(&root).into_iter().chain(entries(&root.join("docs")));
    for document in documents.filter(is_document) {
        let folder = document.parent().expect("a folder");
        for target in links(&fs::read_to_string(&document).expect("a text")) {
            if !folder.join(&target).exists() {
                broken.insert(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The targets of a document's links to files.
fn links(text: &str) -> Vec<String> {
    // Directives of Sphinx quote links.
    let lines = text.lines().filter(|line| !line.starts_with(':'));
    let text = lines.collect::<Vec<_>>().join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    let is_file = |target: &&str| !target.is_empty() && !target.contains([':', ' ']);
    targets.filter(is_file).map(str::to_owned).collect()
}

#[test]
fn the_scanner_finds_every_form_of_use() {
    let used = |name: &str, code: &str| {
        File::new(name, code).paths().into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(used("a.rs", "use crate::b::c;\ncrate::d()"), "b::c d");
    assert_eq!(used("a/mod.rs", "use crate::{b::{C, d::E as F}, g::*, h};"), "b::C b::d::E g h");
    assert_eq!(used("a/b.rs", "super::c(); use super::super::d::E; x::super_::y"), "a::c d::E");
    assert_eq!(
        used("a.rs", "use super::c::D; use super::{e::F}; self::g::h()"),
        "a::g::h c::D e::F"
    );
    assert_eq!(used("a.rs", "mod b;\nb::c(); x::b::d()"), "a::b::c");
    assert_eq!(used("a.rs", "pub(crate) fn f(); pub(in crate::b) x; pub(super) y"), "");
}

/// Whether `path` is `item`, or in it.
fn is_in(path: &str, item: &str) -> bool {
    path.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
