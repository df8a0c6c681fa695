//! Finds in a batch the lines that a reply names: by their text, by their number, or by a field that they hold. A reply
//! is a stranger's text: what does not match exactly names nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::buffer::Batch;
use crate::line_protocol::lexer;

/// How influxd 1.x and 2.x begin the entry of a line; `': ` and the reason follow the line.
pub(super) const UNPARSABLE: &str = "unable to parse '";
const AFTER_LINE: &str = "': ";

/// The lines of `text`, entries `unable to parse '<line>': <reason>` with a line feed between them. The line is the
/// sender's own and may hold quotes and line feeds, so each entry ends where a line of the batch does. `None` when an
/// entry is not exactly one line of the batch.
pub(super) fn by_text(text: &str, batch: &Batch) -> Option<Vec<(usize, String)>> {
    // Go's JSON has a replacement character for every byte that is not UTF-8.
    let lines: Vec<Cow<'_, str>> = batch.iter_lines().map(String::from_utf8_lossy).collect();
    let mut indices: HashMap<&str, VecDeque<usize>> = HashMap::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        indices.entry(line).or_default().push_back(index);
    }
    let lengths: HashSet<usize> = indices.keys().map(|line| line.len()).collect();
    let longest = lengths.iter().copied().max()?;

    let mut named = BTreeMap::new();
    let mut rest = text.strip_prefix(UNPARSABLE)?;
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
        .find_map(|(end, _)| Some((&text[..end], text[end + 1..].strip_prefix(UNPARSABLE)?)))
}

/// How many entries `text` has: a hint, for a line may look like the start of one.
pub(super) fn entries(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with(UNPARSABLE)).count()
}

/// The lines with these numbers, counted from 1. `None` when there are none, or one is not in the batch.
pub(super) fn by_number(
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

/// A field whose type is not the one that the server has stored it with.
#[derive(Debug, PartialEq)]
pub(super) struct TypeConflict<'a> {
    field: &'a str,
    measurement: &'a str,
    /// The type in the batch, in the server's word.
    kind: &'a str,
}

impl<'a> TypeConflict<'a> {
    /// Reads `field type conflict: input field "f" on measurement "m" is type integer, already exists as type float`.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (_, rest) = text.split_once("field type conflict: input field \"")?;
        let (rest, _) = rest.rsplit_once(", already exists as type ")?;
        let (rest, kind) = rest.rsplit_once("\" is type ")?;
        let (field, measurement) = rest.split_once("\" on measurement \"")?;
        Some(Self { field, measurement, kind })
    }

    /// The lines of the batch with this measurement and a field of this name and type.
    pub(super) fn lines(&self, batch: &Batch) -> Vec<usize> {
        batch
            .iter_lines()
            .enumerate()
            .filter(|(_, line)| self.is_in(line))
            .map(|(index, _)| index)
            .collect()
    }

    fn is_in(&self, line: &[u8]) -> bool {
        let (measurement, rest) = line.split_at(find(line, b", "));
        if !lexer::unescape(measurement).eq(self.measurement.bytes()) {
            return false;
        }
        // The tags: a space in them is escaped.
        let mut rest = &rest[find(rest, b" ")..];
        while let Some((_, field)) = rest.split_first() {
            let (key, value) = field.split_at(find(field, b"="));
            let Some((_, value)) = value.split_first() else { return false };
            let (value, after) = value.split_at(value_length(value));
            if kind_of(value) == self.kind && lexer::unescape(key).eq(self.field.bytes()) {
                return true;
            }
            if after.first() != Some(&b',') {
                return false;
            }
            rest = after;
        }
        false
    }
}

fn value_length(value: &[u8]) -> usize {
    match value.split_first() {
        Some((b'"', _)) => lexer::string_end(value, 1).unwrap_or(value.len()),
        _ => value.iter().position(|byte| b", ".contains(byte)).unwrap_or(value.len()),
    }
}

/// The server's word for the type of a field's value.
fn kind_of(value: &[u8]) -> &'static str {
    match (value.first(), value.last()) {
        (Some(b'"'), _) => "string",
        (Some(b't' | b'T' | b'f' | b'F'), _) => "boolean",
        (_, Some(b'i')) => "integer",
        (_, Some(b'u')) => "unsigned",
        _ => "float",
    }
}

/// The first of these bytes that is not escaped.
fn find(bytes: &[u8], stops: &[u8]) -> usize {
    lexer::find_unescaped(bytes, 0, |byte| stops.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(lines: &[(usize, &str)]) -> Option<Vec<(usize, String)>> {
        Some(lines.iter().map(|(index, reason)| (*index, (*reason).to_owned())).collect())
    }

    #[test]
    fn lines_are_found_by_their_text() {
        let batch = Batch::of(
            "db",
            &[
                "m f=x 1",
                "m s=\"it's: a\nlong 'one': here\",f=x 2",
                "m f=1 3",
                "m f=x 4",
                "m f=x 4",
            ],
        );
        let text = "unable to parse 'm f=x 1': invalid number\n\
                    unable to parse 'm s=\"it's: a\nlong 'one': here\",f=x 2': invalid\nnumber";
        assert_eq!(by_text(text, &batch), named(&[(0, "invalid number"), (1, "invalid\nnumber")]));
        assert_eq!(entries(text), 2);

        let twice = "unable to parse 'm f=x 4': a\nunable to parse 'm f=x 4': b";
        assert_eq!(by_text(twice, &batch), named(&[(3, "a"), (4, "b")]));
        assert_eq!(by_text(&format!("{twice}\nunable to parse 'm f=x 4': c"), &batch), None);

        assert_eq!(by_text("unable to parse 'm f=y 1': invalid number", &batch), None);
        assert_eq!(by_text("unable to parse 'm f=x 1", &batch), None);
        assert_eq!(by_text("unable to parse 'm f=x 1': one\nunable to parse 'm f", &batch), None);
        assert_eq!(by_text("", &batch), None);
    }

    #[test]
    fn a_text_that_could_be_two_lines_names_none() {
        let batch = Batch::of("db", &["m,t=a f=x", "m,t=a f=x': z"]);
        assert_eq!(by_text("unable to parse 'm,t=a f=x': z': reason", &batch), None);
    }

    #[test]
    fn lines_are_found_by_their_number() {
        let batch = Batch::of("db", &["a f=1", "b f=1", "c f=1"]);
        let numbers =
            |numbers: &[u64]| by_number(numbers.iter().map(|n| (*n, format!("bad {n}"))), &batch);
        assert_eq!(numbers(&[3, 1, 3]), named(&[(0, "bad 1"), (2, "bad 3")]));
        assert_eq!(numbers(&[0]), None);
        assert_eq!(numbers(&[2, 4]), None);
        assert_eq!(numbers(&[u64::MAX]), None);
        assert_eq!(numbers(&[]), None);
    }

    #[test]
    fn lines_are_found_by_a_field_of_the_wrong_type() {
        let lines = [
            r"m f=1i 1",
            r"m f=1 2",
            r#"m s="f=1i",g=1i 3"#,
            r"m\ n,t=a\ b,u=f\=1i f=1i 4",
            r#"m\ n s="a\" f=1i, b",f=1i 5"#,
            r"m\ n f\ g=1i,f=2.5 6",
            r"m,f=1i g=1i",
            r#"m b=t,s="x",u=1u"#,
        ];
        let batch = Batch::of("db", &lines);
        let find =
            |field, measurement, kind| TypeConflict { field, measurement, kind }.lines(&batch);
        assert_eq!(find("f", "m", "integer"), [0]);
        assert_eq!(find("f", "m", "float"), [1]);
        assert_eq!(find("f", "m n", "integer"), [3, 4]);
        assert_eq!(find("f g", "m n", "integer"), [5]);
        assert_eq!(find("g", "m", "integer"), [2, 6]);
        assert_eq!(find("b", "m", "boolean"), [7]);
        assert_eq!(find("s", "m", "string"), [2, 7]);
        assert_eq!(find("u", "m", "unsigned"), [7]);
    }

    #[test]
    fn a_type_conflict_is_read() {
        let text = "partial write: field type conflict: input field \"a\" b\" on measurement \"m\" is type integer, already \
                    exists as type float dropped=2";
        let conflict = TypeConflict { field: "a\" b", measurement: "m", kind: "integer" };
        assert_eq!(TypeConflict::read(text), Some(conflict));
        assert_eq!(TypeConflict::read("field type conflict"), None);
    }

    #[test]
    fn lines_that_are_cut_short_are_read_to_their_end() {
        let conflict = TypeConflict { field: "f", measurement: "m", kind: "string" };
        for line in [
            "",
            "m",
            "m\\",
            "m ",
            "m f",
            "m f=",
            "m f=\"",
            "m f=\"\\",
            "m,",
            "m f=1,",
            "m g=\"a\"x",
            "\\",
            ",",
        ] {
            assert!(!conflict.is_in(line.as_bytes()) || line.starts_with("m f=\""), "{line}");
        }
    }
}
