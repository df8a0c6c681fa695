//! Which module may use which, where `unsafe` may stand, how long a file may be, and that the README's tests are there: what
//! the compiler does not say. Unit tests are free to use what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

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
            "line_protocol::split",
            "spool",
            "stats",
            "sync",
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
            "spool::Spool",
            "stats",
            "sync",
            "sys",
        ],
    ),
    ("clock", &[]),
    ("config", &["error"]),
    (
        "delivery",
        &["buffer", "config", "error", "line_protocol::lexer", "clock", "stats", "sync", "sys"],
    ),
    ("error", &[]),
    ("fuzzing", &["buffer", "delivery", "line_protocol::split", "measurement", "spool"]),
    ("line_protocol", &["config::Precision", "error", "measurement::Timestamp"]),
    ("measurement", &["clock", "error", "line_protocol::lexer"]),
    ("middleware", &["client::Client", "config::flag", "error", "measurement", "sync"]),
    (
        "spool",
        &["config::Precision", "config::SpoolSync", "line_protocol::split", "clock", "sync", "sys"],
    ),
    ("stats", &[]),
    ("sync", &[]),
    ("sys", &[]),
];

const MOST_LINES: usize = 400;

#[test]
fn modules_use_only_what_the_table_lets_them() {
    let files = files();
    let root = fs::read_to_string(src().join("lib.rs")).expect("lib.rs");
    let exports = exports(&root);
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.name != "lib.rs") {
        let module = file.path[0].as_str();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("src/{}: module {module} is not in the table", file.name));
            continue;
        };
        for used in uses(file, &exports) {
            let is_allowed = is_in(&used, module) || allowed.iter().any(|item| is_in(&used, item));
            if !is_allowed {
                wrong.push(format!("src/{} uses {used}: not in the table", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_is_only_in_sys() {
    let is_unsafe = |file: &&File| words(&file.code).any(|(_, word)| word == "unsafe");
    let found: Vec<_> = files().iter().filter(is_unsafe).map(|file| file.name.clone()).collect();
    assert_eq!(found, ["sys.rs"]);
}

#[test]
fn no_file_is_longer_than_a_reader_likes() {
    for file in files() {
        let lines = file.code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= MOST_LINES, "src/{} has {lines} lines of code: split it", file.name);
    }
}

#[test]
fn the_tests_that_the_readme_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("../../README.md")).expect("the README");
    let promises = readme.split("Each promise has its test").nth(1).expect("its promises");
    let promises = promises.split("\n## ").next().unwrap_or_default();
    let names: Vec<_> =
        promises.split('`').filter(|name| name.contains('_') && !name.contains(' ')).collect();
    assert!(names.len() > 20, "{names:?}");
    let texts = texts(root.join("src")) + &texts(root.join("tests"));
    for name in names {
        assert!(texts.contains(&format!("\nfn {name}() {{")), "there is no test {name}");
    }
}

#[test]
fn the_scanner_sees_every_form_of_use() {
    let exports = exports("pub use client::{Client, flush};\npub use error::Error;");
    let used = |name: &str, code: &str| {
        let file = File { name: name.to_owned(), path: module_path(name), code: code.to_owned() };
        uses(&file, &exports).into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(used("a.rs", "use crate::b::c;\ncrate::d()"), "b::c d");
    assert_eq!(used("a/mod.rs", "use crate::{b::{C, d::E as F}, g::*, h};"), "b::C b::d::E g h");
    assert_eq!(used("a/b.rs", "super::c(); use super::super::d::E; x::super_::y"), "a::c d::E");
    assert_eq!(used("a.rs", "use super::c::D; use super::{e::F}; self::g::h()"), "c::D e::F");
    assert_eq!(
        used("a.rs", "crate::Client::new(); crate::flush(); crate::Error"),
        "client::Client::new client::flush error::Error"
    );
    assert_eq!(used("a.rs", "pub(crate) fn f(); pub(in crate::b) x; pub(super) y"), "b");
}

/// All that is written in a folder.
fn texts(folder: PathBuf) -> String {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let text = |path: PathBuf| match path.is_dir() {
        true => texts(path),
        false => fs::read_to_string(path).expect("a text"),
    };
    entries.map(|entry| text(entry.path())).collect()
}

struct File {
    /// Below `src`.
    name: String,
    /// The module's path, from the root.
    path: Vec<String>,
    /// What is neither a comment nor a test.
    code: String,
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of `src` that is not a test.
fn files() -> Vec<File> {
    let mut folders = vec![src()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let parts = path.strip_prefix(src()).expect("below src").components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
            let name = parts.join("/");
            let code = code(&fs::read_to_string(&path).expect("a text"));
            files.push(File { path: module_path(&name), name, code });
        }
    }
    assert!(files.len() > MAY_USE.len(), "the sources are not where they are looked for");
    files
}

fn module_path(name: &str) -> Vec<String> {
    let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').map(str::to_owned).collect()
}

fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text[..end].lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// The names that `lib.rs` exports, each with its module.
fn exports(root: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for line in root.split("pub use ").skip(1) {
        let mut found = BTreeSet::new();
        expand(line, "", &mut found);
        for path in found {
            if let Some((module, name)) = path.rsplit_once("::") {
                exports.insert(name.to_owned(), module.to_owned());
            }
        }
    }
    exports
}

/// The paths that a file uses of its own crate, from the root; names that `lib.rs` exports by way of their module.
fn uses(file: &File, exports: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, word) in words(&file.code) {
        if !matches!(word, "crate" | "super") || file.code[..at].ends_with("::") {
            continue;
        }
        let mut rest = &file.code[at..];
        let mut parents = file.path.as_slice();
        if let Some(path) = rest.strip_prefix("crate::") {
            expand(path, "", &mut found);
            continue;
        }
        while let Some(path) = rest.strip_prefix("super::") {
            rest = path;
            parents = parents.split_last().map_or(&[], |(_, parents)| parents);
        }
        // Otherwise it is the `super` of `pub(super)`.
        if parents.len() < file.path.len() {
            expand(rest, &parents.join("::"), &mut found);
        }
    }
    let by_module = |path: String| {
        let (name, _) = path.split_once("::").unwrap_or((&path, ""));
        match exports.get(name) {
            Some(module) => format!("{module}::{path}"),
            None => path,
        }
    };
    found.into_iter().map(by_module).collect()
}

/// Notes every path of the use tree, or the one path, that `text` begins with. Returns what follows it.
fn expand<'t>(text: &'t str, module: &str, found: &mut BTreeSet<String>) -> &'t str {
    let mut rest = text.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        rest = group.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            rest = expand(rest, module, found);
            let next = rest.find([',', '}']).unwrap_or(rest.len());
            rest = rest[next..].trim_start_matches(',').trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let end = rest.find(|c: char| !is_in_word(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let path = match (module, name) {
        (_, "") => module.to_owned(),
        ("", _) => name.to_owned(),
        _ => format!("{module}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(deeper) if deeper.starts_with(|c| is_in_word(c) || c == '{') => {
            expand(deeper, &path, found)
        }
        _ => {
            found.insert(path);
            rest
        }
    }
}

/// Whether `path` is `item`, or in it.
fn is_in(path: &str, item: &str) -> bool {
    path.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(|c: char| !is_in_word(c)).map(move |word| {
        let start = at;
        // Every separator that occurs in code is one byte long; what is longer stands in strings.
        at = start
            + word.len()
            + text[start + word.len()..].chars().next().map_or(0, char::len_utf8);
        (start, word)
    })
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
