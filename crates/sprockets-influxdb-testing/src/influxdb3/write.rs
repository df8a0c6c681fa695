//! One write: its body is unpacked, its lines are read and taken into the catalog, and the bad ones
//! are reported.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::{GzDecoder, MultiGzDecoder};
use serde_json::{Value, json};

use super::catalog::{self, Catalog};
use super::edition::{Edition, MAX_REQUEST};
use super::endpoints::with_origin;
use super::failure::Failure;
use super::parser::{Line, parse_lines};
use super::request::Parameters;
use crate::dialect::Dialect;
use crate::http::{Head, Reply};
use crate::rules::{Precision, now};
use crate::store::Database;

/// As much of a line as a reply repeats.
const SHOWN: usize = 20;

/// A write whose head is read.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    edition: Edition,
    api: Dialect,
    parameters: Parameters,
    limit: usize,
}

impl Write {
    pub(crate) fn new(
        edition: Edition,
        api: Dialect,
        head: &Head,
        limit: Option<usize>,
    ) -> Result<Self, Reply> {
        let parameters =
            Parameters::new(edition, api, head).map_err(|failure| failure.reply(api))?;
        Ok(Self { edition, api, parameters, limit: limit.unwrap_or(MAX_REQUEST) })
    }

    /// Most bytes of a body, as sent and unpacked.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn database(&self) -> &str {
        &self.parameters.database
    }

    pub(crate) fn too_large(&self) -> Reply {
        Failure::too_large(self.edition, self.limit).reply(self.api)
    }

    /// The body as text, or the reply to one that is too large or cannot be unpacked.
    pub(crate) fn unpack(&self, head: &Head, wire: Vec<u8>) -> Result<Vec<u8>, Reply> {
        self.unpacked(head, wire).map_err(|failure| failure.reply(self.api))
    }

    fn unpacked(&self, head: &Head, wire: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let too_large = || Failure::too_large(self.edition, self.limit);
        let is_gzip = match head.header("content-encoding") {
            None | Some("identity") => false,
            Some("gzip") => true,
            Some(other) => {
                return Err(Failure::text(format!("unacceptable content-encoding: {other}")));
            }
        };
        if wire.len() > self.limit {
            return Err(too_large());
        }
        let body = if is_gzip { self.gunzip(&wire)? } else { wire };
        if body.len() > self.limit {
            return Err(too_large());
        }
        match std::str::from_utf8(&body) {
            Ok(_) => Ok(body),
            Err(error) => {
                let message = format!("body content is not valid utf8: {error}");
                Err(Failure::unreadable(self.edition, message))
            }
        }
    }

    fn gunzip(&self, wire: &[u8]) -> Result<Vec<u8>, Failure> {
        let most = self.limit as u64 + 1;
        let mut body = Vec::new();
        let read = if self.edition.reads_all_gzip_members() {
            MultiGzDecoder::new(wire).take(most).read_to_end(&mut body)
        } else {
            GzDecoder::new(wire).take(most).read_to_end(&mut body)
        };
        let message = |error| format!("error decoding gzip stream: {error}");
        read.map_err(|error| Failure::unreadable(self.edition, message(error)))?;
        Ok(body)
    }

    /// Reads the lines of a body that was unpacked, without those that the test wants refused.
    pub(crate) fn read<'a>(
        &'a self,
        body: &'a [u8],
        rejects: Option<&dyn Fn(&str) -> bool>,
    ) -> Batch<'a> {
        let body = std::str::from_utf8(body).unwrap_or_default();
        let mut lines = parse_lines(body, self.edition.longest_string());
        let before = lines.len();
        lines.retain(|line| !rejects.is_some_and(|rejects| rejects(line.text)));
        let rejected = before - lines.len();
        Batch { write: self, body, lines, rejected }
    }

    /// How a reply names a bad line. 3.6 breaks down where the cut is inside a character.
    fn shown(&self, bad: &Bad) -> Option<Value> {
        let length = bad.shown.len().min(SHOWN);
        let start = match (bad.shown.get(..length), self.edition) {
            (Some(start), _) => start,
            (None, Edition::V3_6) => return None,
            (None, Edition::V3_10) => {
                let end = (0..length).rev().find(|&end| bad.shown.is_char_boundary(end));
                &bad.shown[..end.unwrap_or_default()]
            }
        };
        Some(json!({
            "error_message": bad.reason,
            "line_number": bad.number,
            "original_line": start,
        }))
    }
}

/// The lines of one write, before the catalog has seen them.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    write: &'a Write,
    body: &'a str,
    lines: Vec<Line<'a>>,
    /// Lines that a fault took out before the catalog saw them.
    rejected: usize,
}

impl Batch<'_> {
    /// Stores what is stored, and says what is answered: nothing if the server breaks down while it
    /// writes the reply, which closes the connection.
    pub(crate) fn store(
        self,
        catalog: &mut Catalog,
        databases: &mut BTreeMap<String, Database>,
    ) -> Option<Reply> {
        let (write, rejected) = (self.write, self.rejected);
        match self.take_in(catalog, databases) {
            Ok(()) if rejected > 0 => {
                let message =
                    format!("partial write: points beyond retention policy dropped={rejected}");
                Some(Failure::any(400, &message).reply(write.api))
            }
            Ok(()) => Some(with_origin(Reply::new(204))),
            Err(Refusal::Failure(failure)) => Some(failure.reply(write.api)),
            Err(Refusal::Breakdown) => None,
        }
    }

    fn take_in(
        self,
        catalog: &mut Catalog,
        databases: &mut BTreeMap<String, Database>,
    ) -> Result<(), Refusal> {
        let write = self.write;
        let mut transaction =
            catalog.begin(write.database(), write.edition).map_err(Failure::too_many_databases)?;
        let is_empty = self.lines.is_empty() && self.rejected == 0;
        let ingested = now();
        // The server takes one text line for each line it parsed. Blank lines, comments and line
        // feeds in strings shift the text: from there on it belongs to another line.
        let mut raw = self.body.lines();
        let mut rows = Vec::new();
        let mut bad = Vec::new();
        for (index, line) in self.lines.into_iter().enumerate() {
            let raw = raw.next().unwrap_or_default();
            let refused = match line.parsed {
                Err(reason) => Bad { number: index + 1, reason, shown: raw.to_owned() },
                Ok(parsed) => {
                    let checked = transaction
                        .add(&parsed)
                        .and_then(|()| timestamp(write.parameters.precision, &parsed, ingested));
                    match checked {
                        Ok(time) => {
                            transaction.stored(&parsed);
                            rows.push(catalog::row(parsed, time));
                            continue;
                        }
                        Err(reason) => Bad { number: index + 1, reason, shown: parsed.to_string() },
                    }
                }
            };
            if !write.parameters.accept_partial {
                let shown = write.shown(&refused);
                // `/api/v2/write` names no line, and cannot break down there.
                return Err(match (write.api, shown) {
                    (Dialect::V1 | Dialect::V3, None) => Refusal::Breakdown,
                    (_, line) => {
                        let line = line.unwrap_or_default();
                        Failure::line(write.edition, &refused.reason, line).into()
                    }
                });
            }
            bad.push(refused);
        }
        catalog.commit(transaction);
        if is_empty {
            return Err(Failure::empty().into());
        }
        let database = databases.entry(write.database().to_owned()).or_default();
        rows.into_iter().for_each(|row| database.insert(row));
        database.hide(catalog.unreadable_tables(write.database()));
        if bad.is_empty() {
            return Ok(());
        }
        let hits_limit = bad.iter().any(|bad| bad.reason.starts_with("Update to schema would"));
        let shown: Option<Vec<_>> = bad.iter().map(|bad| write.shown(bad)).collect();
        match shown {
            Some(lines) => Err(Failure::partial(lines, hits_limit).into()),
            None => Err(Refusal::Breakdown),
        }
    }
}

struct Bad {
    /// Among the lines that are neither blank nor comments, from 1.
    number: usize,
    reason: String,
    shown: String,
}

enum Refusal {
    Failure(Failure),
    /// The server breaks down while it writes the reply.
    Breakdown,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal::Failure(failure)
    }
}

/// All 64-bit times are taken.
fn timestamp(
    precision: Precision,
    line: &super::parser::ParsedLine,
    ingested: i64,
) -> Result<i64, String> {
    match line.timestamp {
        None => Ok(ingested - ingested % precision.nanoseconds(i64::MAX)),
        Some(given) => given.checked_mul(precision.nanoseconds(given)).ok_or_else(|| {
            format!("timestamp, {given}, out of range for precision: {precision:?}")
        }),
    }
}
