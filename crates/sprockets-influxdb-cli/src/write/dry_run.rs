//! `write --dry-run`: prints valid lines as line protocol, and reports invalid ones.

use std::io::{self, BufWriter, ErrorKind, Write};

use sprockets_influxdb::{Precision, RawLine, Timestamp};

use super::input::Inputs;
use super::source::{self, Ended};
use crate::exit::{self, Problem};
use crate::output::message;

pub(crate) struct DryRun<'a> {
    pub(crate) database: Option<&'a str>,
    pub(crate) precision: Precision,
    /// Whether lines would be written over the v1 API, which has no unsigned integers.
    pub(crate) is_v1: bool,
    pub(crate) quiet: bool,
}

impl DryRun<'_> {
    pub(crate) fn run(&self, inputs: Inputs) -> Result<u8, Problem> {
        let mut out = BufWriter::new(io::stdout().lock());
        let (mut valid, mut invalid) = (0_u64, 0_u64);
        let mut current = String::new();
        let mut is_closed = false;
        let ended = source::read(inputs, self.database, |name, database, line| {
            let parsed = match self.parse(line.bytes) {
                Ok(parsed) => parsed,
                Err(problem) => {
                    invalid += 1;
                    message(&source::invalid(name, line, &problem));
                    return Ok(true);
                }
            };
            valid += 1;
            let is_new = current != database;
            if is_new {
                database.clone_into(&mut current);
            }
            match print(&mut out, is_new.then_some(database), &parsed) {
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
        Ok(if invalid == 0 { exit::OK } else { exit::FAILED })
    }

    fn parse<'l>(&self, line: &'l [u8]) -> Result<RawLine<'l>, String> {
        let parsed = RawLine::parse(line, self.precision).map_err(|error| error.to_string())?;
        if self.is_v1 && parsed.has_unsigned() {
            return Err(
                "it has an unsigned integer, which the v1 API does not know: write 1i".into()
            );
        }
        Ok(parsed)
    }
}

fn print(out: &mut impl Write, database: Option<&str>, line: &RawLine<'_>) -> io::Result<()> {
    if let Some(database) = database {
        writeln!(out, "# CONTEXT-DATABASE: {database}")?;
    }
    let time = line.timestamp().unwrap_or_else(Timestamp::now).nanoseconds();
    writeln!(out, "{} {time}", line.text())
}
