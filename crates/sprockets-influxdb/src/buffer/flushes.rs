//! Flushes that wait, and how many lines of each batch are undecided.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;
use std::time::Duration;

use super::types::{FailureNote, SequenceNumber};
use crate::stats::Report;

#[derive(Default)]
pub(super) struct Flushes {
    /// The number of the batch that was closed last.
    newest: SequenceNumber,
    /// The batches that have lines without a decision.
    undecided: BTreeMap<SequenceNumber, Undecided>,
    waiting: Vec<Flush>,
    /// How many flushes there were. Each has its number as its id.
    begun: u64,
}

struct Undecided {
    database: Arc<str>,
    lines: usize,
}

/// A flush that waits for batches.
struct Flush {
    id: u64,
    covers: Covers,
    /// Lines that are in no batch: a thread that waits for the disk holds them.
    held: usize,
    report: Report,
    /// The newest failure that is about its lines.
    failure: Option<String>,
    /// Whether that failure lasts until an operator changes something.
    is_refused: bool,
    /// Since when it waits. The refusal of a request that was sent before does not end the wait.
    since: Duration,
}

/// The batches that a flush covers.
struct Covers {
    /// Those after this one,
    after: SequenceNumber,
    /// up to this one. `None`: those that are still to be closed, too.
    last: Option<SequenceNumber>,
    /// The only database. `None`: all.
    database: Option<Box<str>>,
}

impl Covers {
    fn is_of(&self, database: &str) -> bool {
        self.database.as_deref().is_none_or(|own| own == database)
    }

    fn has(&self, sequence: SequenceNumber, batch: &Undecided) -> bool {
        sequence > self.after
            && self.last.is_none_or(|last| sequence <= last)
            && self.is_of(&batch.database)
    }
}

impl Flushes {
    /// Numbers a batch that is closed, with this number of lines.
    pub(super) fn number(&mut self, database: Arc<str>, lines: usize) -> SequenceNumber {
        self.newest = self.newest.next();
        self.undecided.insert(self.newest, Undecided { database, lines });
        self.newest
    }

    /// Adds lines to a batch that was closed before.
    pub(super) fn extend(&mut self, sequence: SequenceNumber, database: Arc<str>, lines: usize) {
        let batch = self.undecided.entry(sequence).or_insert(Undecided { database, lines: 0 });
        batch.lines += lines;
    }

    /// Decides lines of a batch. `note` adds them to the report of each flush that covers it.
    pub(super) fn decide(
        &mut self,
        sequence: SequenceNumber,
        lines: usize,
        note: impl Fn(&mut Report),
    ) {
        // No flush covers the batches of dead processes, which are not here.
        let Some(batch) = self.undecided.get_mut(&sequence) else { return };
        for flush in self.waiting.iter_mut().filter(|flush| flush.covers.has(sequence, batch)) {
            let delivered = flush.report.delivered;
            note(&mut flush.report);
            flush.is_refused &= flush.report.delivered == delivered;
        }
        batch.lines = batch.lines.saturating_sub(lines);
        if batch.lines == 0 {
            self.undecided.remove(&sequence);
        }
    }

    /// Lines are sampled out, and in no batch.
    pub(super) fn sample_out(&mut self, database: &str, lines: usize) {
        let is_open = |flush: &&mut Flush| flush.covers.last.is_none();
        for flush in self.waiting.iter_mut().filter(is_open) {
            if flush.covers.is_of(database) {
                flush.report.sampled_out += lines as u64;
            }
        }
    }

    /// Keeps a failure for the flushes that it is about.
    pub(super) fn fail(&mut self, failure: &FailureNote<'_>) {
        for flush in &mut self.waiting {
            if failure.database.is_none_or(|database| flush.covers.is_of(database)) {
                flush.failure = Some(failure.reason.clone());
                match failure.refused_request_sent_at {
                    Some(sent) => flush.is_refused |= sent >= flush.since,
                    None => flush.is_refused = false,
                }
            }
        }
    }

    /// Registers a flush of all batches closed so far. Of what it covers, `sampled_out` lines were
    /// just sampled out, and up to `held` lines could not be put into batches. Returns its id.
    pub(super) fn begin(&mut self, sampled_out: u64, held: usize) -> u64 {
        let (after, last) = (SequenceNumber::default(), Some(self.newest));
        let id = self.register(Covers { after, last, database: None }, Duration::ZERO);
        if let Some(flush) = self.waiting.last_mut() {
            flush.report.sampled_out = sampled_out;
            flush.held = held;
        }
        id
    }

    /// Registers a flush of what is added to a database from now on, until
    /// [`end_additions`](Self::end_additions). Returns its id.
    pub(super) fn track(&mut self, database: &str, now: Duration) -> u64 {
        let database = Some(database.into());
        self.register(Covers { after: self.newest, last: None, database }, now)
    }

    fn register(&mut self, covers: Covers, since: Duration) -> u64 {
        self.begun += 1;
        self.waiting.push(Flush {
            id: self.begun,
            covers,
            held: 0,
            report: Report::default(),
            failure: None,
            is_refused: false,
            since,
        });
        self.begun
    }

    /// A tracked flush covers nothing that is added later. Up to `held` lines could not be put into
    /// batches. It waits for the next attempt before it is refused.
    pub(super) fn end_additions(&mut self, id: u64, held: usize, now: Duration) {
        let newest = self.newest;
        if let Some(flush) = self.waiting.iter_mut().find(|flush| flush.id == id) {
            flush.covers.last = Some(newest);
            flush.held = held;
            (flush.is_refused, flush.since) = (false, now);
        }
    }

    /// Whether everything that a flush covers is decided.
    pub(super) fn is_done(&self, id: u64) -> bool {
        let is_done = |flush: &Flush| flush.held == 0 && self.undecided(flush).next().is_none();
        self.find(id).is_none_or(is_done)
    }

    /// Whether a tracked flush waits for an operator.
    pub(super) fn is_refused(&self, id: u64) -> bool {
        let is_refused = |flush: &Flush| flush.covers.database.is_some() && flush.is_refused;
        self.find(id).is_some_and(is_refused)
    }

    /// Removes a flush. Returns its report, and the newest failure that is about it.
    pub(super) fn end(&mut self, id: u64) -> (Report, Option<String>) {
        let Some(index) = self.waiting.iter().position(|flush| flush.id == id) else {
            return Default::default();
        };
        let mut flush = self.waiting.swap_remove(index);
        flush.report.pending = (self.undecided(&flush).sum::<usize>() + flush.held) as u64;
        (flush.report, flush.failure)
    }

    /// Whether a flush waits.
    pub(super) fn has_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The newest batch that must stay as it is: a flush waits for it, or does not cover it.
    pub(super) fn newest_awaited(&self) -> Option<SequenceNumber> {
        self.waiting.iter().map(|flush| flush.covers.last.unwrap_or(flush.covers.after)).max()
    }

    fn find(&self, id: u64) -> Option<&Flush> {
        self.waiting.iter().find(|flush| flush.id == id)
    }

    /// Lines without a decision, for each batch that a flush covers.
    fn undecided<'a>(&'a self, flush: &'a Flush) -> impl Iterator<Item = usize> + 'a {
        let last = flush.covers.last.unwrap_or(self.newest);
        let batches = self.undecided.range((Excluded(flush.covers.after), Included(last)));
        let covered = batches.filter(|(sequence, batch)| flush.covers.has(**sequence, batch));
        covered.map(|(_, batch)| batch.lines)
    }
}
