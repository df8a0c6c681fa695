//! Reads the source files of a crate: their modules, and the paths that they use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of a crate's `src`. Paths of modules are relative to the crate's root.
pub(crate) struct File {
    /// Its path below `src`.
    pub(crate) name: String,
    /// The path of its module; empty for `lib.rs` and `main.rs`.
    pub(crate) module: Vec<String>,
    /// Its text without comments and tests.
    pub(crate) code: String,
}

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let is_root = matches!(module, "lib" | "main");
        let module = if is_root { Vec::new() } else { segments(module, "/") };
        Self { name: name.to_owned(), module, code: code(text) }
    }

    /// Whether it uses `unsafe`.
    pub(crate) fn has_unsafe(&self) -> bool {
        words(&self.code).any(|(_, word)| word == "unsafe")
    }

    /// The modules that it declares only for tests.
    fn test_modules(&self) -> impl Iterator<Item = Vec<String>> {
        let declared = self.code.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
            let (declaration, _) = rest.split_once(';')?;
            let (visibility, name) = declaration.split_once("mod ")?;
            (visibility.trim().len() < 12 && name.chars().all(is_in_word)).then_some(name)
        });
        declared.map(|name| [&self.module[..], &[name.to_owned()]].concat())
    }

    /// The paths that begin with `crate`, `self`, `super` or a module that it declares, from the
    /// crate's root.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let children: BTreeSet<_> = words(&self.code)
            .filter(|(at, _)| self.code[..*at].ends_with("mod "))
            .map(|(_, name)| name)
            .collect();
        for (at, word) in words(&self.code) {
            // `pub(in path)` names who may use an item, not what it uses.
            if self.code[..at].ends_with("::") || self.code[..at].ends_with("pub(in ") {
                continue;
            }
            self.expand_path(&self.code[at..], word, &children, &mut found);
        }
        found
    }

    fn expand_path(
        &self,
        text: &str,
        word: &str,
        children: &BTreeSet<&str>,
        found: &mut BTreeSet<String>,
    ) {
        let Some(rest) = text[word.len()..].strip_prefix("::") else { return };
        match word {
            "crate" => drop(expand(rest, "", found)),
            "self" => drop(expand(rest, &self.module.join("::"), found)),
            "super" => {
                let (mut rest, mut parents) = (text, &self.module[..]);
                while let Some(path) = rest.strip_prefix("super::") {
                    rest = path;
                    parents = parents.split_last().map_or(&[], |(_, parents)| parents);
                }
                expand(rest, &parents.join("::"), found);
            }
            child if children.contains(child) => {
                expand(text, &self.module.join("::"), found);
            }
            _ => {}
        }
    }

    /// The names that its `use` declarations bring into scope, each with its path.
    pub(crate) fn imports(&self) -> BTreeMap<String, String> {
        let statements = self.code.split('\n').filter_map(|line| {
            let line = line.trim_start();
            let statement = line.strip_prefix("pub").map_or(line, |rest| {
                rest.strip_prefix('(').map_or(rest, |rest| rest.split_once(')').map_or("", |x| x.1))
            });
            let at = line.as_ptr() as usize - self.code.as_ptr() as usize;
            let offset = line.len() - statement.len();
            statement.trim_start().starts_with("use ").then_some(at + offset)
        });
        let mut imports = BTreeMap::new();
        for at in statements {
            let text = self.code[at..].trim_start().trim_start_matches("use ");
            let text = &text[..text.find(';').unwrap_or(text.len())];
            let alone = Self { code: format!("{text};"), ..Self::new(&self.name, "") };
            let first = words(text).next().map_or("", |(_, word)| word);
            let mut found = BTreeSet::new();
            let children = BTreeSet::from([first]);
            alone.expand_path(text, first, &children, &mut found);
            for path in found {
                let name = path.rsplit("::").next().unwrap_or_default().to_owned();
                imports.insert(name, path);
            }
        }
        imports
    }
}

/// Every file of a crate's `src` that is not a test, without `main.rs` beside a `lib.rs`.
pub(crate) fn files(src: &Path) -> Vec<File> {
    let mut folders = vec![src.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let parts = path.strip_prefix(src).expect("below src").components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
            files.push(File::new(&parts.join("/"), &fs::read_to_string(&path).expect("a text")));
        }
    }
    if files.iter().any(|file| file.name == "lib.rs") {
        files.retain(|file| file.name != "main.rs");
    }
    let of_tests: BTreeSet<_> = files.iter().flat_map(File::test_modules).collect();
    files.retain(|file| !of_tests.contains(&file.module));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!files.is_empty(), "no sources in {}", src.display());
    files
}

pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

pub(crate) fn segments(path: &str, separator: &str) -> Vec<String> {
    path.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The text without lines of comments, and up to the tests at its end. Each condition that asks for
/// `test` and more is `#[cfg(test)]`.
fn code(text: &str) -> String {
    let end = text.find("\nmod tests {").unwrap_or(text.len());
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let plain = |line| match line {
        condition if str::starts_with(condition, "#[cfg(all(test,") => "#[cfg(test)]",
        line => line,
    };
    text[..end].lines().filter(is_code).map(plain).collect::<Vec<_>>().join("\n")
}

/// Adds every path of the use tree, or the one path, at the beginning of `text`. Returns the rest.
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
        (_, "" | "self") => module.to_owned(),
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

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(|c: char| !is_in_word(c)).map(move |word| {
        let start = at;
        let end = start + word.len();
        at = end + text[end..].chars().next().map_or(0, char::len_utf8);
        (start, word)
    })
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
