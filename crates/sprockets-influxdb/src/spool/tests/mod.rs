//! The spool on real files: damage, foreign files, and several processes at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::Precision;

mod damage;
mod foreign_files;
mod processes;
#[cfg(unix)]
mod removed_files;

/// The result of a recovery: lines, how many were expected, and the messages for the log.
#[derive(Debug, Default)]
struct Found {
    lines: Vec<String>,
    expected: usize,
    messages: Vec<String>,
}

fn spool(root: &Path) -> Spool {
    Spool::new(root, SpoolSync::Process)
}

/// Adopts all slots, reads all files, and removes them.
fn recover(root: &Path) -> Found {
    let spool = spool(root);
    let mut found = Found::default();
    found.messages.extend(spool.recovery.look());
    while let Some(adopted) = spool.recovery.adopt() {
        let Ok(mut adopted) = adopted.map_err(|message| found.messages.push(message)) else {
            continue;
        };
        while let Some(next) = spool.recovery.next_file(&mut adopted) {
            let sealed = match next {
                Ok(sealed) => sealed,
                Err(message) => {
                    found.messages.push(message);
                    continue;
                }
            };
            found.expected += sealed.lines;
            let loaded = spool.sealed.load(&sealed).expect("a disk that works");
            let text = String::from_utf8_lossy(&loaded.bytes).into_owned();
            found.lines.extend(text.lines().map(str::to_owned));
            found.messages.extend(spool.sealed.remove(&sealed));
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
    match spool.sealed.seal("db", Precision::Seconds, lines.iter().map(String::as_bytes)) {
        SealOutcome::Sealed(sealed) => sealed,
        failed => panic!("{failed:?}: {:?}", spool.health().take_failure()),
    }
}
