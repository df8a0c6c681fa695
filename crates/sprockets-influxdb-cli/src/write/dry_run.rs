//! `write --dry-run`: prints valid lines as line protocol, and reports invalid ones.

use std::io::{self, Write};

use sprockets_influxdb::{RawLine, Timestamp};

use super::input::Inputs;
use super::source::{self, Databases, Ended, Item};
use super::targets::Policies;
use super::unit::Unit;
use crate::context;
use crate::exit::{self, Problem};
use crate::format::counted;
use crate::output::{self, message};

pub(crate) struct DryRun {
    pub(crate) databases: Databases,
    pub(crate) unit: Unit,
    pub(crate) policies: Policies,
    /// Whether lines would be written over the v1 API, which has no unsigned integers.
    pub(crate) is_v1: bool,
    pub(crate) quiet: bool,
}

#[derive(Debug, Default)]
struct Counts {
    valid: u64,
    invalid: u64,
    /// Inputs without a line.
    empty: u64,
    /// Whether all was printed: the reader of a closed pipe has seen enough.
    is_whole: bool,
}

impl DryRun {
    pub(crate) fn run(&self, inputs: Inputs) -> Result<u8, Problem> {
        let mut counts = Counts::default();
        let mut ended = Ended::Complete;
        output::print(|out| {
            ended = self.print_lines(inputs, out, &mut counts)?;
            Ok(())
        })?;
        match ended {
            Ended::Unusable(problem) => return Err(problem.into()),
            Ended::Failed(problem) => {
                message(&format!("error: {problem}"));
                return Ok(exit::FAILED);
            }
            Ended::Complete => {}
        }
        let Counts { valid, invalid, empty, is_whole } = counts;
        if !self.quiet && is_whole {
            let (lines, are) = (counted(valid, "line"), if invalid == 1 { "is" } else { "are" });
            message(&format!("dry run: {lines} would be written, {invalid} {are} invalid"));
        }
        Ok(if invalid + empty == 0 { exit::OK } else { exit::FAILED })
    }

    /// Errors are those of the output.
    fn print_lines(
        &self,
        inputs: Inputs,
        out: &mut dyn Write,
        counts: &mut Counts,
    ) -> io::Result<Ended> {
        let mut current = (String::new(), None);
        let mut failed = None;
        let ended = source::read(inputs, &self.databases, |item| {
            let (name, target, line) = match item {
                Item::Line(name, target, line) => (name, target, line),
                Item::Nothing(why) => {
                    counts.empty += 1;
                    message(&why);
                    return Ok(true);
                }
            };
            let parsed = match self.parse(line.bytes) {
                Ok(parsed) => parsed,
                Err(problem) => {
                    counts.invalid += 1;
                    message(&source::invalid(name, &line, &problem));
                    return Ok(true);
                }
            };
            counts.valid += 1;
            let names = self.policies.names(target);
            let is_new = current != names;
            current = names;
            let (database, policy) = &current;
            let head = is_new.then_some((database.as_str(), policy.as_deref()));
            failed = print(out, head, &parsed).err();
            Ok(failed.is_none())
        });
        match failed {
            Some(error) => Err(error),
            None => {
                counts.is_whole = true;
                Ok(ended)
            }
        }
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
    out: &mut dyn Write,
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
    output::write_data(out, format!("{} {time}", line.text()).as_bytes())
}
