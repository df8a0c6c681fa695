//! The text of a quarantine file: line protocol, below comments that say when, for which database,
//! and why the lines after them were rejected.
//!
//! ```text
//! # 2026-11-23T15:04:05Z precision=ns database=example
//! # reason: 400: field type conflict: input field "bytes" is type float
//! requests,method=GET bytes=5.5 1700000000000000000
//! ```
//!
//! A reason is a server's text and may hold anything: its prefix keeps it from being read as the
//! other comment. Comments of neither form are ignored.

use std::time::SystemTime;

use percent_encoding::percent_decode_str;

use crate::config::Precision;
use crate::line_protocol::split::line_end;
use crate::printable::is_printable;
use crate::rfc3339;
use crate::spool::format;

/// A longer reason is cut.
const MAX_REASON_CHARACTERS: usize = 1_000;

/// The beginning of a comment with a reason.
const REASON: &str = "reason: ";

/// A line that a server rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuarantineEntry {
    /// When it was rejected: UTC, in RFC 3339.
    pub time: String,
    /// The database it was for. Empty if the file does not say.
    pub database: String,
    /// The precision of its timestamp.
    pub precision: Precision,
    /// The server's reason.
    pub reason: String,
    /// The line, without its line feed.
    pub line: Vec<u8>,
}

impl QuarantineEntry {
    /// The same line, rejected again just now for this reason.
    pub fn rejected_again(&self, reason: impl Into<String>) -> Self {
        Self { time: rfc3339::format(SystemTime::now()), reason: reason.into(), ..self.clone() }
    }
}

/// The text of a file. Lines in a row with the same comments share them.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    comments: String,
}

impl Text {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn push_entry(&mut self, entry: &QuarantineEntry) {
        let QuarantineEntry { time, database, precision, reason, line } = entry;
        self.push(time, database, *precision, line, reason);
    }

    pub(super) fn push(
        &mut self,
        time: &str,
        database: &str,
        precision: Precision,
        line: &[u8],
        reason: &str,
    ) {
        let database = format::encoded(database);
        let reason: String = reason
            .chars()
            .take(MAX_REASON_CHARACTERS)
            .map(|character| if is_printable(character) { character } else { ' ' })
            .collect();
        let head = format!("# {time} precision={precision} database={database}");
        let comments = format!("{head}\n# {REASON}{reason}\n");
        if comments != self.comments {
            self.bytes.extend_from_slice(comments.as_bytes());
            self.comments = comments;
        }
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
    }
}

/// The entries of a file. An operator may have edited it: comments apply to all lines after them.
pub(super) fn read(bytes: &[u8]) -> Vec<QuarantineEntry> {
    let mut entries = Vec::new();
    let mut head = QuarantineEntry::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some(comment) = rest.strip_prefix(b"#") {
            let end = memchr::memchr(b'\n', comment).unwrap_or(comment.len());
            read_comment(&mut head, String::from_utf8_lossy(&comment[..end]).trim());
            rest = comment.get(end + 1..).unwrap_or_default();
            continue;
        }
        let (line, after) = rest.split_at(line_end(rest));
        rest = after;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !line.trim_ascii().is_empty() {
            entries.push(QuarantineEntry { line: line.to_owned(), ..head.clone() });
        }
    }
    entries
}

fn read_comment(head: &mut QuarantineEntry, comment: &str) {
    if let Some(reason) = comment.strip_prefix(REASON.trim_end()) {
        reason.trim_start().clone_into(&mut head.reason);
    } else if let Some(new) = read_head(comment) {
        *head = new;
    }
}

/// Reads the comment that says when and for which database.
fn read_head(comment: &str) -> Option<QuarantineEntry> {
    let mut words = comment.split(' ');
    let (time, precision, database) = (words.next()?, words.next()?, words.next()?);
    let precision = precision.strip_prefix("precision=")?.parse().ok()?;
    let database = database.strip_prefix("database=")?;
    if rfc3339::parse(time).is_none() || words.next().is_some() {
        return None;
    }
    let database = percent_decode_str(database).decode_utf8_lossy().into_owned();
    Some(QuarantineEntry { time: time.to_owned(), database, precision, ..Default::default() })
}

#[cfg(test)]
mod tests;
