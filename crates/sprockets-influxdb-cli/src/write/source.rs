//! The lines of all inputs, each with its place and its target.

use std::fmt;

use sprockets_influxdb::internal::is_printable;
use sprockets_influxdb::{LineReader, Precision, RawLine, SourceLine};

use super::input::Inputs;
use crate::context::Context;
use crate::format::{counted, excerpt};

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

/// What is read from the inputs.
pub(crate) enum Item<'a> {
    /// A line, with the name of its input.
    Line(&'a str, Target<'a>, SourceLine<'a>),
    /// An input without lines: its name, and why it has none.
    Nothing(String),
}

/// Where a line belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) database: &'a str,
    /// The retention policy that comments name.
    pub(crate) policy: Option<&'a str>,
}

/// The databases of lines: that of the argument, else what comments name, else the default.
#[derive(Clone, Debug)]
pub(crate) struct Databases {
    pub(crate) argument: Option<String>,
    pub(crate) default: Option<String>,
}

impl Databases {
    fn choose<'a>(&'a self, comment: Option<&'a str>) -> Option<&'a str> {
        self.argument.as_deref().or(comment).or(self.default.as_deref())
    }
}

/// Calls `take` for each item, until it returns `false`.
pub(crate) fn read(
    inputs: Inputs,
    databases: &Databases,
    mut take: impl FnMut(Item<'_>) -> Result<bool, Ended>,
) -> Ended {
    let read = || -> Result<(), Ended> {
        let failed = |name: &str, error| Ended::Failed(format!("reading {name} failed: {error}"));
        for (name, reader) in inputs.open() {
            let mut reader = LineReader::new(reader.map_err(|error| failed(&name, error))?);
            let mut context = Context::default();
            let (mut lines, mut statements, mut comments) = (0_u64, 0_u64, 0_u64);
            while let Some(line) = reader.next_line().map_err(|error| failed(&name, error))? {
                if line.is_comment() {
                    comments += 1;
                    context.read(line.bytes);
                    continue;
                }
                if context.is_statements {
                    if RawLine::parse(line.bytes, Precision::Nanoseconds).is_err() {
                        statements += 1;
                        continue;
                    }
                    // The marker that ends the statements is missing.
                    context.is_statements = false;
                }
                lines += 1;
                let database = databases.choose(context.database.as_deref());
                let database = database.ok_or_else(|| no_database(&name, &line))?;
                let target = Target { database, policy: context.policy.as_deref() };
                if !take(Item::Line(&name, target, line))? {
                    return Ok(());
                }
            }
            if lines == 0 && statements + comments > 0 {
                let nothing = format!(
                    "{name} has no line of a measurement: {}, {}",
                    counted(statements, "statement"),
                    counted(comments, "comment")
                );
                if !take(Item::Nothing(nothing))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    read().err().unwrap_or(Ended::Complete)
}

fn no_database(name: &str, line: &SourceLine<'_>) -> Ended {
    Ended::Unusable(format!(
        "no database for {name}, line {}: pass --database, set INFLUXDB_DATABASE, or put a \
         comment `# CONTEXT-DATABASE: NAME` before the line",
        line.first
    ))
}

/// The message about an invalid line: its place, what is wrong, and its beginning.
pub(crate) fn invalid(name: &str, line: &SourceLine<'_>, problem: &impl fmt::Display) -> String {
    // More than an excerpt has, whatever its characters.
    let start = &line.bytes[..line.bytes.len().min(1024)];
    let text = String::from_utf8_lossy(start).replace(|c| !is_printable(c), " ");
    let place = match (line.first, line.last) {
        (first, last) if first == last => format!("{name}:{first}"),
        (first, last) => format!("{name}:{first}-{last}"),
    };
    format!("{place}: {problem}: {}", excerpt(&text))
}
