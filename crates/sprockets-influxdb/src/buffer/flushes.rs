//! Flushes that wait, and how many lines of each batch are undecided.

use std::collections::BTreeMap;

use super::types::SequenceNumber;
use crate::stats::Report;

#[derive(Default)]
pub(super) struct Flushes {
    /// The number of the batch that was closed last.
    newest: SequenceNumber,
    /// Lines without a decision, for each batch that has any.
    undecided: BTreeMap<SequenceNumber, usize>,
    waiting: Vec<Flush>,
    /// How many flushes there were. Each has its number as its id.
    begun: u64,
}

/// A flush that waits for every batch up to one.
struct Flush {
    id: u64,
    last: SequenceNumber,
    /// Lines that are in no batch: a thread that waits for the disk holds them.
    held: usize,
    report: Report,
}

impl Flushes {
    /// Numbers a batch that is closed, with this number of lines.
    pub(super) fn number(&mut self, lines: usize) -> SequenceNumber {
        self.newest = self.newest.next();
        self.undecided.insert(self.newest, lines);
        self.newest
    }

    /// Adds lines to a batch that was closed before.
    pub(super) fn extend(&mut self, sequence: SequenceNumber, lines: usize) {
        *self.undecided.entry(sequence).or_default() += lines;
    }

    /// Decides lines of a batch. `note` adds them to the report of each flush that covers it.
    pub(super) fn decide(
        &mut self,
        sequence: SequenceNumber,
        lines: usize,
        note: impl Fn(&mut Report),
    ) {
        if let Some(undecided) = self.undecided.get_mut(&sequence) {
            *undecided = undecided.saturating_sub(lines);
            if *undecided == 0 {
                self.undecided.remove(&sequence);
            }
        }
        for flush in self.waiting.iter_mut().filter(|flush| flush.last >= sequence) {
            note(&mut flush.report);
        }
    }

    /// Registers a flush of all batches closed so far. Of what it covers, `sampled_out` lines were
    /// just sampled out, and up to `held` lines could not be put into batches. Returns its id.
    pub(super) fn begin(&mut self, sampled_out: u64, held: usize) -> u64 {
        self.begun += 1;
        let report = Report { sampled_out, ..Report::default() };
        self.waiting.push(Flush { id: self.begun, last: self.newest, held, report });
        self.begun
    }

    /// Whether everything that a flush covers is decided.
    pub(super) fn is_done(&self, id: u64) -> bool {
        let flush = self.waiting.iter().find(|flush| flush.id == id);
        let is_done =
            |flush: &Flush| flush.held == 0 && self.undecided.range(..=flush.last).next().is_none();
        flush.is_none_or(is_done)
    }

    /// Removes a flush. Returns its report.
    pub(super) fn end(&mut self, id: u64) -> Report {
        let Some(index) = self.waiting.iter().position(|flush| flush.id == id) else {
            return Report::default();
        };
        let mut flush = self.waiting.swap_remove(index);
        let pending: usize = self.undecided.range(..=flush.last).map(|(_, lines)| lines).sum();
        flush.report.pending = (pending + flush.held) as u64;
        flush.report
    }

    /// Whether a flush waits.
    pub(super) fn has_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The newest batch that a flush waits for.
    pub(super) fn newest_awaited(&self) -> Option<SequenceNumber> {
        self.waiting.iter().map(|flush| flush.last).max()
    }
}
