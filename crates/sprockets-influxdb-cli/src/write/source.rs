//! The lines of all inputs, each with its place and its database.

use std::fmt;

use sprockets_influxdb::{LineReader, SourceLine};

use super::input::Inputs;
use crate::context::Context;
use crate::format::excerpt;

/// How reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All lines were read, or no more were wanted.
    Complete,
    /// The server or an input failed. Says which, and why.
    Failed(String),
    /// The arguments or the input do not say what to do. Says what is missing.
    Unusable(String),
}

/// Calls `take` for each line, with the input's name and the line's database, until it returns
/// `false`. `database` takes precedence over what comments name.
pub(crate) fn read(
    inputs: Inputs,
    database: Option<&str>,
    mut take: impl FnMut(&str, &str, &SourceLine<'_>) -> Result<bool, Ended>,
) -> Ended {
    let read = || -> Result<(), Ended> {
        let failed = |name: &str, error| Ended::Failed(format!("reading {name} failed: {error}"));
        for (name, reader) in inputs.open() {
            let mut reader = LineReader::new(reader.map_err(|error| failed(&name, error))?);
            let mut context = Context::default();
            while let Some(line) = reader.next_line().map_err(|error| failed(&name, error))? {
                if line.is_comment() {
                    context.read(line.bytes);
                } else if !context.is_statements {
                    let database = database.or(context.database.as_deref());
                    let database = database.ok_or_else(|| no_database(&name, &line))?;
                    if !take(&name, database, &line)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    };
    read().err().unwrap_or(Ended::Complete)
}

fn no_database(name: &str, line: &SourceLine<'_>) -> Ended {
    Ended::Unusable(format!(
        "no database for {name}, line {}: pass --database, or put a comment \
         `# CONTEXT-DATABASE: NAME` before the line",
        line.first
    ))
}

/// The message about an invalid line: its place, what is wrong, and its beginning.
pub(crate) fn invalid(name: &str, line: &SourceLine<'_>, problem: &impl fmt::Display) -> String {
    // More than an excerpt has, whatever its characters.
    let start = &line.bytes[..line.bytes.len().min(1024)];
    let text = String::from_utf8_lossy(start).replace(char::is_control, " ");
    let place = match (line.first, line.last) {
        (first, last) if first == last => format!("{name}:{first}"),
        (first, last) => format!("{name}:{first}-{last}"),
    };
    format!("{place}: {problem}: {}", excerpt(&text))
}
