//! The comments that name the database and the retention policy of the lines after them, as
//! `influx_inspect export` writes and `influx -import` reads them; and the timestamps in
//! nanoseconds that go with them.

use std::borrow::Cow;
use std::io::Write;

use sprockets_influxdb::Precision;

/// Begins the part of a file that is line protocol.
pub(crate) const DML: &str = "# DML";

const DATABASE: &str = "CONTEXT-DATABASE:";
const RETENTION_POLICY: &str = "CONTEXT-RETENTION-POLICY:";

/// The comment that names a database. `None` if it would be read back as another name.
pub(crate) fn comment(database: &str) -> Option<String> {
    named(DATABASE, database)
}

/// The comment that names a retention policy. `None` if it would be read back as another name.
pub(crate) fn policy_comment(policy: &str) -> Option<String> {
    named(RETENTION_POLICY, policy)
}

fn named(what: &str, name: &str) -> Option<String> {
    let is_plain = !name.is_empty() && name.trim() == name && !name.chars().any(char::is_control);
    is_plain.then(|| format!("# {what} {name}"))
}

/// [`comment`], or one that only people understand.
pub(crate) fn comment_for_people(database: &str) -> String {
    comment(database).unwrap_or_else(|| format!("# database={database:?}"))
}

/// A line with its timestamp in nanoseconds. `None` if it has none, or one out of range.
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

/// What the comments read so far say of the lines after them.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) database: Option<String>,
    /// It stays when another database is named, as for `influx -import`.
    pub(crate) policy: Option<String>,
    /// Whether statements follow, which are not line protocol. A marker ends them, or a comment
    /// that only line protocol has.
    pub(crate) is_statements: bool,
}

impl Context {
    pub(crate) fn read(&mut self, comment: &[u8]) {
        let Ok(comment) = std::str::from_utf8(comment) else { return };
        let comment = comment.trim().trim_start_matches('#').trim_start();
        let marker = comment.trim_end_matches(':').trim_end();
        let name = |name: &str| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        if marker.eq_ignore_ascii_case("DDL") {
            self.is_statements = true;
        } else if marker.eq_ignore_ascii_case("DML") {
            self.is_statements = false;
        } else if let Some(database) = comment.strip_prefix(DATABASE) {
            (self.database, self.is_statements) = (name(database), false);
        } else if let Some(policy) = comment.strip_prefix(RETENTION_POLICY) {
            (self.policy, self.is_statements) = (name(policy), false);
        }
    }
}

#[cfg(test)]
mod tests;
