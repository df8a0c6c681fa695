//! Counts, ages, names and lines as people read them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use indicatif::{HumanCount, HumanDuration};
use sprockets_influxdb::internal::one_line;

/// A count with its noun: "1 line", "2,000 lines".
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", HumanCount(count)) }
}

/// The time since then, such as "3 hours"; "-" if it is unknown.
pub(crate) fn age(since: Option<SystemTime>) -> String {
    age_seconds(since)
        .map_or("-".to_owned(), |age| HumanDuration(Duration::from_secs(age)).to_string())
}

pub(crate) fn age_seconds(since: Option<SystemTime>) -> Option<u64> {
    since.map(|since| since.elapsed().unwrap_or_default().as_secs())
}

/// The last part of a path, as one line.
pub(crate) fn file_name(path: &Path) -> String {
    one_line(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

/// The beginning of a line, with an ellipsis if there is more.
pub(crate) fn excerpt(line: &str) -> String {
    const MAX_CHARACTERS: usize = 120;
    let mut characters = line.chars();
    let mut excerpt: String = characters.by_ref().take(MAX_CHARACTERS).collect();
    if characters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
