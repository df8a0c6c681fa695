//! `write --dry-run`: prints valid lines as line protocol, and reports invalid ones.

use std::io::{self, BufWriter, ErrorKind, Write};

use sprockets_influxdb::{RawLine, Timestamp};

use super::input::Inputs;
use super::source::{self, Ended, Item};
use super::targets::Policies;
use super::unit::Unit;
use crate::context;
use crate::exit::{self, Problem};
use crate::output::message;

pub(crate) struct DryRun<'a> {
    pub(crate) database: Option<&'a str>,
    pub(crate) unit: Unit,
    pub(crate) policies: Policies,
    /// Whether lines would be written over the v1 API, which has no unsigned integers.
    pub(crate) is_v1: bool,
    pub(crate) quiet: bool,
}

impl DryRun<'_> {
    pub(crate) fn run(&self, inputs: Inputs) -> Result<u8, Problem> {
        let mut out = BufWriter::new(io::stdout().lock());
        let (mut valid, mut invalid, mut empty) = (0_u64, 0_u64, 0_u64);
        let mut current = (String::new(), None);
        let mut is_closed = false;
        let ended = source::read(inputs, self.database, |item| {
            let (name, target, line) = match item {
                Item::Line(name, target, line) => (name, target, line),
                Item::Nothing(why) => {
                    empty += 1;
                    message(&why);
                    return Ok(true);
                }
            };
            let parsed = match self.parse(line.bytes) {
                Ok(parsed) => parsed,
                Err(problem) => {
                    invalid += 1;
                    message(&source::invalid(name, &line, &problem));
                    return Ok(true);
                }
            };
            valid += 1;
            let names = self.policies.names(target);
            let is_new = current != names;
            current = names;
            let (database, policy) = &current;
            let head = is_new.then_some((database.as_str(), policy.as_deref()));
            match print(&mut out, head, &parsed) {
                Ok(()) => Ok(true),
                // The reader has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    is_closed = true;
                    Ok(false)
                }
                Err(error) => Err(Ended::Failed(format!("writing the output failed: {error}"))),
            }
        });
        let flushed = out.flush();
        match (ended, flushed) {
            (Ended::Unusable(problem), _) => return Err(problem.into()),
            (Ended::Failed(problem), _) => {
                message(&format!("error: {problem}"));
                return Ok(exit::FAILED);
            }
            (Ended::Complete, Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                return Err(error.into());
            }
            (Ended::Complete, _) => {}
        }
        if !self.quiet && !is_closed {
            message(&format!("dry run: {valid} lines would be written, {invalid} are invalid"));
        }
        Ok(if invalid + empty == 0 { exit::OK } else { exit::FAILED })
    }

    fn parse<'l>(&self, line: &'l [u8]) -> Result<RawLine<'l>, String> {
        let parsed = RawLine::parse_in(line, self.unit.0).map_err(|error| error.to_string())?;
        if self.is_v1 && parsed.has_unsigned() {
            return Err(
                "it has an unsigned integer, which the v1 API does not know: write 1i".into()
            );
        }
        Ok(parsed)
    }
}

/// `head`: the database and the retention policy, if they are not those of the line before.
fn print(
    out: &mut impl Write,
    head: Option<(&str, Option<&str>)>,
    line: &RawLine<'_>,
) -> io::Result<()> {
    if let Some((database, policy)) = head {
        writeln!(out, "{}", context::comment_for_people(database))?;
        if let Some(comment) = policy.and_then(context::policy_comment) {
            writeln!(out, "{comment}")?;
        }
    }
    let time = line.timestamp().unwrap_or_else(Timestamp::now).nanoseconds();
    writeln!(out, "{} {time}", line.text())
}
