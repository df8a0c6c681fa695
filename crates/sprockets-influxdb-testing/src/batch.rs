//! The lines of one write: read, stored, and answered for as each of the servers does. They differ most in what
//! they keep of a batch that is partly bad, and in how they say so.

use serde_json::json;

use crate::dialect::{Dialect, text, v3_error};
use crate::http::{Head, Reply};
use crate::lines::lines;
use crate::point::Point;
use crate::rules::{Precision, Rules, now};
use crate::scanner::parse_line;
use crate::store::{Conflict, Database};

/// What a write asks for in its query.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) database: String,
    dialect: Dialect,
    precision: Precision,
    /// Whether the good lines of a batch are stored although others are bad. Only 3.x leaves the choice.
    accept_partial: bool,
}

impl Terms {
    /// From the query, or the reply to one that lacks something or makes no sense.
    pub(crate) fn new(dialect: Dialect, head: &Head) -> Result<Self, Reply> {
        let Some(database) = dialect.database(head) else {
            return Err(dialect.database_missing());
        };
        if dialect == Dialect::V2 && head.parameter("org").or(head.parameter("orgID")).is_none() {
            return Err(dialect.error(400, "org or orgID is required"));
        }
        let accept_partial = match (dialect, head.parameter("accept_partial").unwrap_or("true")) {
            (Dialect::V1 | Dialect::V2, _) | (_, "true") => true,
            (_, "false") => false,
            (_, other) => {
                return Err(text(
                    400,
                    format!("invalid query parameters: accept_partial: {other}"),
                ));
            }
        };
        let precision = dialect.precision(head)?;
        Ok(Self { database: database.to_owned(), dialect, precision, accept_partial })
    }
}

/// The lines of a request's body, each of them read.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    dialect: Dialect,
    accept_partial: bool,
    lines: Vec<Line<'a>>,
    /// Lines that a fault took out before they were read.
    rejected: usize,
    /// The reply to a body that is refused before its lines are looked at.
    refusal: Option<Reply>,
}

#[derive(Debug)]
struct Line<'a> {
    number: usize,
    raw: &'a [u8],
    point: Result<Point, String>,
}

impl<'a> Batch<'a> {
    pub(crate) fn read(
        terms: &Terms,
        body: &'a [u8],
        rejects: Option<&dyn Fn(&str) -> bool>,
    ) -> Self {
        let dialect = terms.dialect;
        let mut batch = Self {
            dialect,
            accept_partial: terms.accept_partial,
            lines: Vec::new(),
            rejected: 0,
            refusal: None,
        };
        if dialect == Dialect::V3 {
            if let Err(error) = std::str::from_utf8(body) {
                let message = format!("body content is not valid utf8: {error}");
                batch.refusal = Some(text(400, message));
                return batch;
            }
        }
        let rules =
            Rules { precision: terms.precision, now: now(), unsigned: dialect != Dialect::V1 };
        for (number, raw) in lines(body) {
            if rejects.is_some_and(|rejects| rejects(&String::from_utf8_lossy(raw))) {
                batch.rejected += 1;
            } else {
                batch.lines.push(Line { number, raw, point: parse_line(raw, &rules) });
            }
        }
        if dialect == Dialect::V3 && batch.lines.len() + batch.rejected == 0 {
            batch.refusal = Some(text(400, "incoming write was empty"));
        }
        batch
    }

    /// Stores what this API stores of the batch, and says what it answers.
    pub(crate) fn store(self, database: &mut Database) -> Reply {
        if let Some(refusal) = self.refusal {
            return refusal;
        }
        let (dialect, rejected) = (self.dialect, self.rejected);
        let reply = match dialect {
            Dialect::V1 => self.store_v1(database),
            Dialect::V2 => self.store_v2(database),
            Dialect::V3 => self.store_v3(database),
        };
        if reply.status == 204 && rejected > 0 {
            let message =
                format!("partial write: points beyond retention policy dropped={rejected}");
            return partial_write(dialect, message);
        }
        reply
    }

    /// Stores the lines that can be read, whatever the types of their fields, and answers 204.
    pub(crate) fn store_good_lines(self, database: &mut Database) -> Reply {
        let (points, _) = self.split();
        points.into_iter().for_each(|point| database.insert(point));
        no_content()
    }

    /// 1.x stores every good line.
    fn store_v1(self, database: &mut Database) -> Reply {
        let (points, bad) = self.split();
        let conflicts = database.conflicts(points.iter());
        if conflicts.iter().flatten().any(|conflict| conflict.within_batch) {
            // The batch disagrees with itself about a new field: nothing is stored, but the first type stays, so
            // that the same batch meets it when it comes again.
            points.iter().for_each(|point| database.learn_types(point));
            return Dialect::V1.error(400, "field type conflict");
        }
        let any_good = !points.is_empty();
        let conflict = insert_all(points, conflicts, database);
        if let Some(message) = conflict {
            return partial_write(Dialect::V1, message);
        }
        match (bad.is_empty(), any_good) {
            (true, _) => no_content(),
            (false, false) => Dialect::V1.error(400, unparsable(&bad)),
            (false, true) => {
                let lines = unparsable(&bad);
                Dialect::V1.error(400, [b"partial write: ", &lines[..], b" dropped=0"].concat())
            }
        }
    }

    /// 2.x stores nothing if a line cannot be read, and every line without a conflict otherwise.
    fn store_v2(self, database: &mut Database) -> Reply {
        let (points, bad) = self.split();
        if !bad.is_empty() {
            return Dialect::V2.error(400, unparsable(&bad));
        }
        let conflicts = database.conflicts(points.iter());
        match insert_all(points, conflicts, database) {
            Some(message) => partial_write(Dialect::V2, message),
            None => no_content(),
        }
    }

    /// 3.x names every bad line, and stores the others if the request agrees.
    fn store_v3(self, database: &mut Database) -> Reply {
        let points = self.lines.iter().filter_map(|line| line.point.as_ref().ok());
        let mut conflicts = database.conflicts(points).into_iter();
        let mut good = Vec::new();
        let mut errors = Vec::new();
        for line in self.lines {
            let error = match line.point {
                Ok(point) => match conflicts.next().flatten() {
                    None => {
                        good.push(point);
                        continue;
                    }
                    Some(conflict) => format!(
                        "invalid column type for column '{}', expected iox::column_type::field::{}, got iox::column_type::field::{}",
                        conflict.field, conflict.existing, conflict.given
                    ),
                },
                Err(reason) => reason,
            };
            errors.push(json!({
                "error_message": error,
                "line_number": line.number,
                // The server writes the line anew from what it has read of it; a client cannot rely on the text.
                "original_line": String::from_utf8_lossy(line.raw).replace('"', ""),
            }));
        }
        if errors.is_empty() || self.accept_partial {
            good.into_iter().for_each(|point| database.insert(point));
        }
        match errors.first() {
            None => no_content(),
            Some(_) if self.accept_partial => v3_error(
                400,
                &json!({ "error": "partial write of line protocol occurred", "data": errors }),
            ),
            Some(first) => {
                v3_error(400, &json!({ "error": "line protocol parsing error", "data": first }))
            }
        }
    }

    fn split(self) -> (Vec<Point>, Vec<(&'a [u8], String)>) {
        let mut points = Vec::new();
        let mut bad = Vec::new();
        for line in self.lines {
            match line.point {
                Ok(point) => points.push(point),
                Err(reason) => bad.push((line.raw, reason)),
            }
        }
        (points, bad)
    }
}

/// Stores the points without a conflict; says how 1.x and 2.x report the others.
fn insert_all(
    points: Vec<Point>,
    conflicts: Vec<Option<Conflict>>,
    database: &mut Database,
) -> Option<String> {
    let dropped = conflicts.iter().flatten().count();
    let mut first = None;
    for (point, conflict) in points.into_iter().zip(conflicts) {
        match conflict {
            None => database.insert(point),
            Some(conflict) => first = first.or(Some(conflict)),
        }
    }
    first.map(|conflict| {
        format!(
            "partial write: field type conflict: input field \"{}\" on measurement \"{}\" is type {}, already exists as type {} dropped={dropped}",
            conflict.field, conflict.measurement, conflict.given, conflict.existing
        )
    })
}

fn partial_write(dialect: Dialect, message: String) -> Reply {
    match dialect {
        Dialect::V1 | Dialect::V3 => dialect.error(400, message),
        Dialect::V2 => dialect.error(422, format!("failure writing points to database: {message}")),
    }
}

/// The lines as they came, each with its reason.
fn unparsable(bad: &[(&[u8], String)]) -> Vec<u8> {
    let named = bad
        .iter()
        .map(|(line, reason)| [b"unable to parse '", *line, b"': ", reason.as_bytes()].concat());
    named.collect::<Vec<_>>().join(&b'\n')
}

fn no_content() -> Reply {
    Reply::new(204)
}
