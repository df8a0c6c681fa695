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
        Self { time: rfc3339(SystemTime::now()), reason: reason.into(), ..self.clone() }
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
    if !is_rfc3339(time) || words.next().is_some() {
        return None;
    }
    let database = percent_decode_str(database).decode_utf8_lossy().into_owned();
    Some(QuarantineEntry { time: time.to_owned(), database, precision, ..Default::default() })
}

/// Whether a text has the form of [`rfc3339`].
fn is_rfc3339(text: &str) -> bool {
    let is_digit_or = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == form,
    };
    let form = b"0000-00-00T00:00:00Z";
    text.len() == form.len() && text.bytes().zip(*form).all(is_digit_or)
}

/// A time in RFC 3339, in seconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The calendar repeats in eras of 400 years. Counted from March, a leap day is the last of its
    // year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
