//! What several commands show in the same way.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use indicatif::HumanDuration;
use serde_json::Value;
use sprockets_influxdb::Precision;

/// A line with its timestamp in nanoseconds. `None` if it has none.
pub(crate) fn in_nanoseconds(line: &[u8], precision: Precision) -> Option<Cow<'_, [u8]>> {
    let at = line.iter().rposition(|byte| *byte == b' ')? + 1;
    let time: i64 = std::str::from_utf8(&line[at..]).ok()?.parse().ok()?;
    if precision == Precision::Nanoseconds {
        return Some(line.into());
    }
    let mut converted = line[..at].to_vec();
    write!(converted, "{}", time.checked_mul(precision.divisor())?).ok()?;
    Some(converted.into())
}

/// The comment that says where the lines after it belong. `None` if none can: the name would be read as another.
pub(crate) fn context(database: &str) -> Option<String> {
    let is_plain = !database.is_empty()
        && database.trim() == database
        && !database.chars().any(char::is_control);
    is_plain.then(|| format!("# CONTEXT-DATABASE: {database}"))
}

/// How many there are of what.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let count_shown = indicatif::HumanCount(count);
    if count == 1 { format!("1 {what}") } else { format!("{count_shown} {what}s") }
}

/// For how long something has been there.
pub(crate) fn age(since: Option<SystemTime>) -> String {
    seconds(since).map_or("-".to_owned(), |age| {
        HumanDuration(std::time::Duration::from_secs(age)).to_string()
    })
}

pub(crate) fn seconds(since: Option<SystemTime>) -> Option<u64> {
    since.map(|since| since.elapsed().unwrap_or_default().as_secs())
}

/// The last part of a path.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Writes to standard output. A reader that has gone away has seen what it wanted.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in it has nobody to go to.
            let _ = out.into_parts();
            Ok(())
        }
        written => written,
    }
}

pub(crate) fn print_json(value: &Value) -> io::Result<()> {
    print(|out| writeln!(out, "{value}"))
}

/// Tells of something on standard error.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_become_nanoseconds() {
        for (line, precision, converted) in [
            ("m f=1 7", Precision::Nanoseconds, Some("m f=1 7")),
            ("m f=\"a 1\" -7", Precision::Seconds, Some("m f=\"a 1\" -7000000000")),
            ("m f=1i 7", Precision::Milliseconds, Some("m f=1i 7000000")),
            ("m f=1", Precision::Nanoseconds, None),
            ("m f=1 9223372036854775807", Precision::Seconds, None),
        ] {
            let found = in_nanoseconds(line.as_bytes(), precision);
            assert_eq!(found.as_deref(), converted.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn only_names_that_are_read_as_they_are_get_a_comment() {
        assert_eq!(context("my db").as_deref(), Some("# CONTEXT-DATABASE: my db"));
        for name in ["", " db", "db ", "a\nb"] {
            assert_eq!(context(name), None, "{name:?}");
        }
    }
}
