//! The reading thread: cuts the inputs into lines, looks at each, and adds it to the client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use sprockets_influxdb::{Client, Finding, LineReader, Precision, RawLine, SourceLine};

use super::Event;
use super::add_guard::Gate;
use super::input::Inputs;
use crate::wait::PATIENCE;

/// So many bad lines are shown one by one.
const SHOWN: u64 = 20;

/// As much of a bad line as is shown.
const MOST_SHOWN: usize = 120;

/// How the reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    All,
    /// The server, or a file, does not let it go on: what and why.
    Broken(String),
    /// What was asked for cannot be done.
    Unusable(String),
}

/// What the reading thread counts for others to see.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Lines that are neither blank nor comments, valid or not.
    pub(crate) lines: AtomicU64,
    pub(crate) invalid: AtomicU64,
    /// Bytes read, before they are unpacked.
    pub(crate) bytes: Arc<AtomicU64>,
}

impl Counts {
    pub(crate) fn new(bytes: Arc<AtomicU64>) -> Self {
        Self { lines: AtomicU64::new(0), invalid: AtomicU64::new(0), bytes }
    }
}

pub(crate) struct Import {
    pub(crate) client: Client,
    pub(crate) database: Option<String>,
    pub(crate) precision: Precision,
    pub(crate) gate: Arc<Gate>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) events: Sender<Event>,
}

impl Import {
    pub(crate) fn run(self, inputs: Inputs) {
        let mut allowed = BTreeSet::new();
        let ended = walk(inputs, self.database.as_deref(), |name, database, line| {
            if !allowed.contains(database) {
                self.ask(database)?;
                allowed.insert(database.to_owned());
            }
            Ok(self.gate.pass(|| self.add(name, database, line)).is_some())
        });
        self.tell(Event::Ended(ended));
        self.client.flush(PATIENCE);
        self.tell(Event::Flushed);
    }

    /// What an operator has to change is told at once, rather than when patience ends. A server that is down may come up.
    fn ask(&self, database: &str) -> Result<(), Ended> {
        let check = self.client.check(Some(database));
        for finding in [check.authentication, check.database] {
            if let Finding::Failed(todo) = finding {
                return Err(Ended::Broken(todo));
            }
        }
        Ok(())
    }

    fn add(&self, name: &str, database: &str, line: &SourceLine<'_>) {
        let added = RawLine::parse(line.bytes, self.precision)
            .and_then(|line| self.client.add_line(database, &line));
        if let Err(problem) = added {
            match self.counts.invalid.fetch_add(1, Ordering::Relaxed) {
                ..SHOWN => self.tell(Event::Invalid(invalid(name, line, &problem))),
                SHOWN => {
                    self.tell(Event::Invalid("further ones are counted, not shown".to_owned()))
                }
                _ => {}
            }
        }
        self.counts.lines.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self, event: Event) {
        // Nobody listens once the command gave up.
        let _ = self.events.send(event);
    }
}

/// Hands each line to `take`, with the input's name and the line's database, until that wants no more.
pub(crate) fn walk(
    inputs: Inputs,
    database: Option<&str>,
    mut take: impl FnMut(&str, &str, &SourceLine<'_>) -> Result<bool, Ended>,
) -> Ended {
    let walk = || -> Result<(), Ended> {
        let broken =
            |name: &str, error| Ended::Broken(format!("{name} cannot be read on: {error}"));
        for (name, input) in inputs.open() {
            let input = input.map_err(|error| broken(&name, error))?;
            let mut reader = LineReader::new(input.reader);
            let mut context = Context::default();
            while let Some(line) = reader.next_line().map_err(|error| broken(&name, error))? {
                if line.is_comment() {
                    context.read(line.bytes);
                } else if !context.is_statements {
                    let database = database.or(context.database.as_deref());
                    let database = database.ok_or_else(|| no_database(&input.name, &line))?;
                    if !take(&input.name, database, &line)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    };
    walk().err().unwrap_or(Ended::All)
}

/// What the comments of a file that `influx -import` takes say of the lines after them.
#[derive(Debug, Default)]
struct Context {
    database: Option<String>,
    /// Whether statements follow, which are not line protocol.
    is_statements: bool,
}

impl Context {
    fn read(&mut self, comment: &[u8]) {
        let Ok(comment) = std::str::from_utf8(comment) else { return };
        let comment = comment.trim().trim_start_matches('#').trim_start();
        match comment {
            "DDL" => self.is_statements = true,
            "DML" => self.is_statements = false,
            _ => {
                if let Some(name) = comment.strip_prefix("CONTEXT-DATABASE:") {
                    self.database = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
                }
            }
        }
    }
}

fn no_database(name: &str, line: &SourceLine<'_>) -> Ended {
    Ended::Unusable(format!(
        "no database for {name}, line {}: name one by --database, or by a comment `# CONTEXT-DATABASE: NAME` before the line",
        line.first
    ))
}

/// A line that is no line protocol, for a person.
pub(crate) fn invalid(
    name: &str,
    line: &SourceLine<'_>,
    problem: &impl std::fmt::Display,
) -> String {
    let text = String::from_utf8_lossy(&line.bytes[..line.bytes.len().min(4 * MOST_SHOWN)]);
    let shown: String =
        text.chars().take(MOST_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let more = if shown.len() < line.bytes.len() { "…" } else { "" };
    let place = match (line.first, line.last) {
        (first, last) if first == last => format!("{name}:{first}"),
        (first, last) => format!("{name}:{first}-{last}"),
    };
    format!("{place}: {problem}: {shown}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comments_of_an_import_file_are_understood() {
        let mut context = Context::default();
        for (comment, database, is_statements) in [
            ("# any", None, false),
            ("# DDL", None, true),
            ("# DML", None, false),
            ("# CONTEXT-DATABASE: my db ", Some("my db"), false),
            ("#CONTEXT-DATABASE:other", Some("other"), false),
            ("# CONTEXT-RETENTION-POLICY: autogen", Some("other"), false),
        ] {
            context.read(comment.as_bytes());
            assert_eq!(
                (context.database.as_deref(), context.is_statements),
                (database, is_statements)
            );
        }
    }
}
