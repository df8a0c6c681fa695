//! The thread that reads lines, validates them, and adds them to the client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use sprockets_influxdb::{Client, Finding, Precision, RawLine, SourceLine};

use super::add_guard::AddGuard;
use super::input::Inputs;
use super::source::{self, Ended};
use crate::wait::NO_TIMEOUT;

/// How many invalid lines are shown.
const MAX_SHOWN: u64 = 20;

/// What the command's thread waits for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message about an invalid line.
    Invalid(String),
    /// All inputs were read, or reading failed.
    Ended(Ended),
    /// All lines that were read are decided.
    Flushed,
    Interrupted,
}

/// Counters of the thread, which others read.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Lines that are neither blank nor comments, valid or not.
    pub(crate) lines: AtomicU64,
    pub(crate) invalid: AtomicU64,
    /// Bytes read, before decompression.
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
    pub(crate) guard: Arc<AddGuard>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) events: Sender<Event>,
}

impl Import {
    pub(crate) fn run(self, inputs: Inputs) {
        let mut checked = BTreeSet::new();
        let ended = source::read(inputs, self.database.as_deref(), |name, database, line| {
            if !checked.contains(database) {
                self.check(database)?;
                checked.insert(database.to_owned());
            }
            Ok(self.guard.run(|| self.add(name, database, line)).is_some())
        });
        self.send(Event::Ended(ended));
        self.client.flush(NO_TIMEOUT);
        self.send(Event::Flushed);
    }

    /// Fails at once if an operator has to change something. A server that is down may come back.
    fn check(&self, database: &str) -> Result<(), Ended> {
        let check = self.client.check(Some(database));
        for finding in [check.authentication, check.database] {
            if let Finding::Failed(advice) = finding {
                return Err(Ended::Failed(advice));
            }
        }
        Ok(())
    }

    fn add(&self, name: &str, database: &str, line: &SourceLine<'_>) {
        let added = RawLine::parse(line.bytes, self.precision)
            .and_then(|line| self.client.add_line(database, &line));
        if let Err(problem) = added {
            match self.counts.invalid.fetch_add(1, Ordering::Relaxed) {
                ..MAX_SHOWN => {
                    self.send(Event::Invalid(source::invalid(name, line, &problem)));
                }
                MAX_SHOWN => self.send(Event::Invalid(
                    "more invalid lines are counted, but not shown".to_owned(),
                )),
                _ => {}
            }
        }
        self.counts.lines.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&self, event: Event) {
        // Nobody listens once the command gave up.
        let _ = self.events.send(event);
    }
}
