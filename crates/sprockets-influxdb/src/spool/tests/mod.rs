//! The spool on real files: what becomes of damage, of what is not ours, and of several that want the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

mod damage;
mod processes;
mod strangers;

/// All that is found: lines, how many were expected, what was said.
#[derive(Debug, Default)]
struct Found {
    lines: Vec<String>,
    expected: usize,
    told: Vec<String>,
}

fn spool(root: &Path) -> Spool {
    Spool::new(root, SpoolSync::Process)
}

/// Takes over and discards whatever there is.
fn recover(root: &Path) -> Found {
    let spool = spool(root);
    let mut found = Found::default();
    while let Some(adopted) = spool.adopt() {
        let Ok(mut adopted) = adopted.map_err(|told| found.told.push(told)) else { continue };
        while let Some(next) = spool.next(&mut adopted) {
            let stored = match next {
                Ok(stored) => stored,
                Err(told) => {
                    found.told.push(told);
                    continue;
                }
            };
            found.expected += stored.lines;
            let loaded = spool.load(&stored).expect("a disk that works");
            let text = String::from_utf8_lossy(&loaded.bytes).into_owned();
            found.lines.extend(text.lines().map(str::to_owned));
            found.told.extend(spool.discard(&stored));
        }
    }
    found
}

fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn sealed(spool: &Spool, lines: &[&str]) -> SealedFile {
    let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
    match spool.seal("db", Precision::Seconds, lines.iter().map(String::as_bytes)) {
        SealOutcome::Sealed(stored) => stored,
        failed => panic!("{failed:?}: {:?}", spool.take_failure()),
    }
}
