//! `write --dry-run`: what would be written, as line protocol that could be written, and what is wrong with the rest.

use std::io::{self, BufWriter, ErrorKind, Write};

use sprockets_influxdb::{RawLine, Timestamp};

use super::Options;
use super::import::{self, Ended, walk};
use super::input::Inputs;
use crate::{Problem, exit};

pub(crate) fn run(options: &Options, inputs: Inputs, is_v1: bool) -> Result<u8, Problem> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut valid, mut invalid) = (0_u64, 0_u64);
    let mut current = String::new();
    let mut is_heard = true;
    let ended = walk(inputs, options.database.as_deref(), |name, database, line| {
        let problem = match RawLine::parse(line.bytes, options.precision) {
            Ok(parsed) if is_v1 && parsed.has_unsigned() => {
                "it has an unsigned integer, which the v1 API does not know: write 1i".to_owned()
            }
            Ok(parsed) => {
                valid += 1;
                let is_new = current != database;
                if is_new {
                    database.clone_into(&mut current);
                }
                match print(&mut out, is_new.then_some(database), &parsed) {
                    Ok(()) => return Ok(true),
                    // Whoever reads it has seen enough.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => is_heard = false,
                    Err(error) => return Err(Ended::Broken(format!("the output fails: {error}"))),
                }
                return Ok(false);
            }
            Err(problem) => problem.to_string(),
        };
        invalid += 1;
        let _ = writeln!(io::stderr(), "{}", import::invalid(name, line, &problem));
        Ok(true)
    });
    let flushed = out.flush();
    match (ended, flushed) {
        (Ended::Unusable(problem), _) => return Err(problem.into()),
        (Ended::Broken(problem), _) => {
            let _ = writeln!(io::stderr(), "error: {problem}");
            return Ok(exit::FAILED);
        }
        (Ended::All, Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error.into());
        }
        (Ended::All, _) => {}
    }
    if !options.quiet && is_heard {
        let _ = writeln!(
            io::stderr(),
            "dry run: {valid} lines would be written, {invalid} are invalid"
        );
    }
    Ok(if invalid == 0 { exit::OK } else { exit::FAILED })
}

fn print(out: &mut impl Write, database: Option<&str>, line: &RawLine<'_>) -> io::Result<()> {
    if let Some(database) = database {
        writeln!(out, "# CONTEXT-DATABASE: {database}")?;
    }
    let time = line.timestamp().unwrap_or_else(Timestamp::now).nanoseconds();
    writeln!(out, "{} {time}", line.text())
}
