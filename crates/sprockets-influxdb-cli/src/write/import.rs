//! The thread that reads lines, validates them, and adds them to the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use sprockets_influxdb::{Client, RawLine, SourceLine};

use super::add_guard::AddGuard;
use super::input::Inputs;
use super::source::{self, Databases, Ended, Item, Target};
use super::targets::{Choice, Policies, Targets};
use super::unit::Unit;
use crate::wait::NO_TIMEOUT;

/// How many invalid lines are shown.
const MAX_SHOWN: u64 = 20;

/// What the command's thread waits for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message about an invalid line.
    Invalid(String),
    /// An input or a database of which no line is written, and why.
    Skipped(String),
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
    /// Lines whose database cannot be written to.
    pub(crate) skipped: AtomicU64,
    /// Bytes read, before decompression.
    pub(crate) bytes: Arc<AtomicU64>,
}

impl Counts {
    pub(crate) fn new(bytes: Arc<AtomicU64>) -> Self {
        let zero = || AtomicU64::new(0);
        Self { lines: zero(), invalid: zero(), skipped: zero(), bytes }
    }
}

pub(crate) struct Import {
    pub(crate) client: Client,
    pub(crate) databases: Databases,
    pub(crate) unit: Unit,
    pub(crate) policies: Policies,
    pub(crate) guard: Arc<AddGuard>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) events: Sender<Event>,
}

impl Import {
    pub(crate) fn run(self, inputs: Inputs) {
        let mut targets = Targets::new(self.policies.clone());
        let ended = source::read(inputs, &self.databases, |item| match item {
            Item::Line(name, target, line) => self.take(&mut targets, name, target, &line),
            Item::Nothing(why) => {
                self.send(Event::Skipped(why));
                Ok(true)
            }
        });
        self.send(Event::Ended(ended));
        self.client.flush(NO_TIMEOUT);
        self.send(Event::Flushed);
    }

    /// Returns whether to go on.
    fn take(
        &self,
        targets: &mut Targets,
        name: &str,
        target: Target<'_>,
        line: &SourceLine<'_>,
    ) -> Result<bool, Ended> {
        let is_only = self.databases.argument.is_some() && target.policy.is_none();
        let fail = |advice| {
            if is_only {
                return Err(Ended::Failed(advice));
            }
            self.send(Event::Skipped(advice));
            Ok(())
        };
        match targets.choose(&self.client, target, fail)? {
            Choice::Stop => Ok(false),
            Choice::Add => {
                Ok(self.guard.run(|| self.add(name, targets.database(), line)).is_some())
            }
            Choice::Skip => {
                let skip = || {
                    self.counts.skipped.fetch_add(1, Ordering::Relaxed);
                    self.counts.lines.fetch_add(1, Ordering::Relaxed);
                };
                Ok(self.guard.run(skip).is_some())
            }
        }
    }

    fn add(&self, name: &str, database: &str, line: &SourceLine<'_>) {
        let added = RawLine::parse_in(line.bytes, self.unit.0)
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
