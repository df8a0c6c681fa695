//! Which lines of a batch a reply rejects: by their text, by their number, or by a field of the
//! wrong type. Response bodies are untrusted: what does not match exactly names no line.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::error_body::{ErrorBody, Numbered};
use super::type_conflict::TypeConflict;
use crate::buffer::Batch;
use crate::delivery::disposition::RejectedLines;

/// How influxd 1.x and 2.x begin the entry of a line. The line follows, then `': ` and the reason.
pub(super) const UNABLE_TO_PARSE: &str = "unable to parse '";
const AFTER_LINE: &str = "': ";

/// The lines that a reply numbers.
pub(super) fn numbered(numbered: &Numbered, batch: &Batch) -> RejectedLines {
    let count = Some(numbered.lines.len().min(batch.lines()));
    by_number(numbered.lines.iter().cloned(), batch)
        .map_or(RejectedLines::Unnamed { count }, RejectedLines::Named)
}

/// The lines of a partial write that were not stored.
pub(super) fn of_partial_write(body: &ErrorBody<'_>, batch: &Batch) -> RejectedLines {
    let (text, count) = split_count(body.message());
    let count = count.map(|count| count.min(batch.lines()));
    if body.head().ends_with(UNABLE_TO_PARSE) {
        return unparsable(text, body, batch);
    }
    // The count is that of one shard. Only when it equals the number of conflicting lines are they
    // meant.
    let conflict = TypeConflict::read(text).map(|conflict| conflict.lines(batch));
    match conflict {
        Some(lines) if !lines.is_empty() && count == Some(lines.len()) => {
            let reason = body.sanitize(text);
            RejectedLines::Named(lines.into_iter().map(|index| (index, reason.clone())).collect())
        }
        _ => RejectedLines::Unnamed { count },
    }
}

/// The lines of the entries `unable to parse '<line>': <reason>` in `text`.
pub(super) fn unparsable(text: &str, body: &ErrorBody<'_>, batch: &Batch) -> RejectedLines {
    let entries = text.find(UNABLE_TO_PARSE).map(|start| &text[start..]);
    let Some(entries) = entries.filter(|_| body.is_complete()) else {
        return RejectedLines::Unnamed { count: None };
    };
    match by_text(entries, batch) {
        Some(lines) => {
            let lines = lines.into_iter().map(|(index, reason)| (index, body.sanitize(&reason)));
            RejectedLines::Named(lines.collect())
        }
        None => {
            let count = count_entries(entries).min(batch.lines());
            RejectedLines::Unnamed { count: Some(count) }
        }
    }
}

/// Telegraf gives the text of one error and the number of the others.
pub(super) fn counted_by_telegraf(message: &str, batch: &Batch) -> RejectedLines {
    let others = message
        .rsplit_once(" (and ")
        .and_then(|(_, rest)| rest.split_once(" other parse error"))
        .and_then(|(count, _)| count.parse().ok());
    let count = others.unwrap_or(0_usize).saturating_add(1).min(batch.lines());
    RejectedLines::Unnamed { count: Some(count) }
}

/// Takes the count off the end of `... dropped=2` or `... dropped=2 for database: d for retention
/// policy: r`, or reads it in `dropped 2 points ...`. influxd counts one shard only, and not what
/// it could not parse.
fn split_count(message: &str) -> (&str, Option<usize>) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some((text, rest)) = message.rsplit_once(" dropped=") {
        let (count, rest) = rest.split_at(digits(rest));
        if rest.is_empty() || rest.starts_with(" for database: ") {
            return (text, count.parse().ok());
        }
    }
    let count = message
        .split_once("write: dropped ")
        .and_then(|(_, rest)| rest[..digits(rest)].parse().ok());
    (message, count)
}

/// The lines of entries `unable to parse '<line>': <reason>`, separated by line feeds. A line may
/// contain quotes and line feeds, so an entry's line ends where a line of the batch does. `None`
/// when an entry is not exactly one line of the batch.
fn by_text(text: &str, batch: &Batch) -> Option<Vec<(usize, String)>> {
    // Go's JSON has a replacement character for every byte that is not UTF-8.
    let lines: Vec<Cow<'_, str>> = batch.iter_lines().map(String::from_utf8_lossy).collect();
    let mut indices: HashMap<&str, VecDeque<usize>> = HashMap::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        indices.entry(line).or_default().push_back(index);
    }
    let lengths: HashSet<usize> = indices.keys().map(|line| line.len()).collect();
    let longest = lengths.iter().copied().max()?;

    let mut named = BTreeMap::new();
    let mut rest = text.strip_prefix(UNABLE_TO_PARSE)?;
    loop {
        let mut matches = rest
            .match_indices(AFTER_LINE)
            .map(|(end, _)| end)
            .take_while(|end| *end <= longest)
            .filter(|end| lengths.contains(end) && indices.contains_key(&rest[..*end]));
        let end = matches.next()?;
        if matches.next().is_some() {
            return None;
        }
        drop(matches);
        // Equal lines have one entry each.
        let index = indices.get_mut(&rest[..end])?.pop_front()?;
        let reason = &rest[end + AFTER_LINE.len()..];
        match next_entry(reason) {
            Some((reason, next)) => {
                named.insert(index, reason.to_owned());
                rest = next;
            }
            None => {
                named.insert(index, reason.to_owned());
                return Some(named.into_iter().collect());
            }
        }
    }
}

fn next_entry(text: &str) -> Option<(&str, &str)> {
    text.match_indices('\n')
        .find_map(|(end, _)| Some((&text[..end], text[end + 1..].strip_prefix(UNABLE_TO_PARSE)?)))
}

/// How many entries `text` has: a hint, for a line may look like the start of one.
fn count_entries(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with(UNABLE_TO_PARSE)).count()
}

/// The lines with these numbers, counted from 1. `None` when there are none, or one is not in the
/// batch.
fn by_number(
    numbers: impl IntoIterator<Item = (u64, String)>,
    batch: &Batch,
) -> Option<Vec<(usize, String)>> {
    let lines = batch.lines();
    let mut named = BTreeMap::new();
    for (number, reason) in numbers {
        let index = usize::try_from(number).ok()?.checked_sub(1).filter(|index| *index < lines)?;
        named.entry(index).or_insert(reason);
    }
    (!named.is_empty()).then(|| named.into_iter().collect())
}

#[cfg(test)]
mod tests;
