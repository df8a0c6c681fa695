//! A summary of the directory of a spool.

use std::io;

use serde_json::{Value, json};

use crate::spool::Directory;

/// Files, bytes and processes of a spool. If it cannot be read, `error` says why.
pub(crate) fn summary(directory: &str) -> Value {
    match read(directory) {
        Ok(summary) => summary,
        // It is made with the first measurement.
        Err(error) => json!({ "directory": directory, "error": error.to_string() }),
    }
}

fn read(path: &str) -> io::Result<Value> {
    let directory = Directory::new(path);
    let slots = directory.slots()?;
    let alive = slots.iter().filter(|slot| slot.is_alive).count();
    let waiting = files(slots.iter().flat_map(|slot| &slot.files).map(|file| file.bytes));
    let damaged = files(directory.damaged()?.iter().map(|file| file.bytes));
    let quarantined = directory.quarantine()?;
    let newest = quarantined.last().and_then(|file| file.read().ok()?.pop());
    let quarantine = files(quarantined.iter().map(|file| file.bytes));
    Ok(json!({
        "directory": path,
        "files": waiting.0,
        "bytes": waiting.1,
        "alive": alive,
        "dead": slots.len() - alive,
        "damaged": { "files": damaged.0, "bytes": damaged.1 },
        "quarantine": {
            "files": quarantine.0,
            "bytes": quarantine.1,
            "newest": newest.map(|entry| json!({
                "time": entry.time,
                "database": entry.database,
                "reason": entry.reason,
            })),
        },
    }))
}

/// Number and bytes of files.
fn files(bytes: impl Iterator<Item = u64>) -> (u64, u64) {
    bytes.fold((0, 0), |(files, all), bytes| (files + 1, all + bytes))
}
