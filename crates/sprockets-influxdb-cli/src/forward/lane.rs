//! Delivers the lines of one database, in groups of messages: a group is closed when it is large
//! enough or old enough, and is decided when each of its lines is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sprockets_influxdb::internal::flush_unless;
use sprockets_influxdb::{Client, LineReader, RawLine};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::message::{Lines, Receipt};
use crate::wait::NO_TIMEOUT;

/// A group of so many lines is closed.
const GROUP_LINES: u64 = 5_000;

/// A group is closed at this age.
pub(super) const GROUP_AGE: Duration = Duration::from_millis(200);

/// Groups that wait for the server. Further messages go to the open group.
const MAX_GROUPS: usize = 8;

pub(super) struct Lane {
    pub(super) client: Client,
    open: Group,
    /// Groups that are being delivered.
    pub(super) waiting: Vec<Group>,
    opened_at: Instant,
    pub(super) used_at: Instant,
    next_id: u64,
}

/// Messages that are decided together.
#[derive(Default)]
pub(super) struct Group {
    id: u64,
    pub(super) receipts: Vec<Receipt>,
    lines: u64,
    /// Bytes of lines.
    pub(super) bytes: usize,
}

/// Says that all lines of a group are decided.
pub(super) struct Decided {
    pub(super) database: String,
    id: u64,
}

/// A line that cannot be delivered: its number, what is wrong, and the line.
pub(super) type BadLine = (u64, String, Vec<u8>);

/// What a message gave.
#[derive(Default)]
pub(super) struct Added {
    pub(super) lines: u64,
    pub(super) bad: Vec<BadLine>,
}

impl Lane {
    pub(super) fn new(client: Client) -> Self {
        let now = Instant::now();
        Self {
            client,
            open: Group::default(),
            waiting: Vec::new(),
            opened_at: now,
            used_at: now,
            next_id: 0,
        }
    }

    /// Adds the lines of a message. One whose lines are all bad is not held.
    pub(super) fn add(&mut self, lines: &Lines, receipt: &Receipt) -> Added {
        let mut added = Added::default();
        let mut reader = LineReader::new(lines.bytes.as_slice());
        loop {
            let line = match reader.next_line() {
                Ok(Some(line)) if line.is_comment() => continue,
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    added.bad.push((0, error.to_string(), Vec::new()));
                    break;
                }
            };
            match self.add_line(lines, receipt, line.bytes) {
                Ok(()) => added.lines += 1,
                Err(problem) => {
                    added.bad.push((line.first, problem.to_string(), line.bytes.to_vec()));
                }
            }
        }
        self.used_at = Instant::now();
        if added.lines > 0 {
            if self.open.receipts.is_empty() {
                self.opened_at = self.used_at;
            }
            self.open.receipts.push(receipt.clone());
            self.open.lines += added.lines;
            self.open.bytes += lines.bytes.len();
        }
        added
    }

    /// Delivers the message that was added last again, once its lines are decided.
    pub(super) fn return_last(&mut self) {
        if let Some(receipt) = self.open.receipts.last_mut() {
            receipt.comes_again = true;
        }
    }

    fn add_line(
        &self,
        lines: &Lines,
        receipt: &Receipt,
        line: &[u8],
    ) -> sprockets_influxdb::Result<()> {
        // A stored time: the same when the message is delivered again.
        let line = RawLine::parse(line, lines.precision)?.or_timestamp(receipt.stored_at);
        self.client.add_line(&lines.database, &line)
    }

    /// Closes the open group if it is due, or if it has to be.
    pub(super) fn close_due(
        &mut self,
        database: &str,
        is_ending: &Arc<AtomicBool>,
        decided: &UnboundedSender<Decided>,
    ) {
        let must = is_ending.load(Ordering::Relaxed);
        let is_due = self.open.lines >= GROUP_LINES || self.opened_at.elapsed() >= GROUP_AGE;
        let is_free = self.waiting.len() < MAX_GROUPS;
        if self.open.receipts.is_empty() || !(must || is_due && is_free) {
            return;
        }
        let mut group = std::mem::take(&mut self.open);
        group.id = self.next_id;
        self.next_id += 1;
        let message = Decided { database: database.to_owned(), id: group.id };
        self.waiting.push(group);
        let (client, ends, decided) = (self.client.clone(), is_ending.clone(), decided.clone());
        // If no thread can be started, the group goes to another forwarder when this one ends.
        let _ = thread::Builder::new().name("forward-flush".to_owned()).spawn(move || {
            let report = flush_unless(&client, NO_TIMEOUT, || ends.load(Ordering::Relaxed));
            // While this ends, others wait for it.
            let left = if report.is_complete() { report } else { client.flush(NO_TIMEOUT) };
            if left.pending == 0 {
                // Nobody listens once the command has ended.
                let _ = decided.send(message);
            }
        });
    }

    /// Takes out a group that is decided.
    pub(super) fn take(&mut self, decided: &Decided) -> Option<Group> {
        let index = self.waiting.iter().position(|group| group.id == decided.id)?;
        Some(self.waiting.swap_remove(index))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.receipts.is_empty() && self.waiting.is_empty()
    }

    /// The messages that are not decided.
    pub(super) fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        let waiting = self.waiting.iter().flat_map(|group| &group.receipts);
        self.open.receipts.iter().chain(waiting)
    }
}
