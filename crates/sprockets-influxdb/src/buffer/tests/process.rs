//! A buffer with a spool on a simulated disk, in simulated time, and the lines that it must not
//! lose.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::buffer::spool_worker::SpoolWorker;
use crate::config::SpoolSync;
use crate::spool::simulated::{Image, Simulated};

pub(super) const ROOT: &str = "/data/app/spool";

/// Lines, each with its database, by what is expected of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// All lines that were ever added.
    pub(super) known: BTreeSet<String>,
    /// Accepted, and not yet delivered.
    pub(super) accepted: BTreeSet<String>,
    /// Of those, the ones that have to survive a loss of power.
    pub(super) synced: BTreeSet<String>,
}

/// One process. What is expected of its lines is recorded when its disk crashes.
pub(super) struct Process {
    pub(super) disk: Simulated,
    pub(super) level: SpoolSync,
    pub(super) clock: Clock,
    pub(super) spool: Arc<Spool>,
    pub(super) buffer: Buffer,
    pub(super) worker: SpoolWorker,
    pub(super) expected: Arc<Mutex<Expected>>,
    pub(super) at_crash: Arc<Mutex<Expected>>,
    added: usize,
}

impl Process {
    pub(super) fn new(disk: Simulated, level: SpoolSync, limits: Limits) -> Self {
        let clock = Clock::simulated();
        let spool = Arc::new(Spool::on(Arc::new(disk.clone()), Path::new(ROOT), level));
        let buffer = Buffer::new(limits, Intake::Open, Some(spool.clone()), clock.clone());
        let (expected, at_crash) = <(Arc<Mutex<Expected>>, Arc<Mutex<Expected>>)>::default();
        let worker = SpoolWorker::default();
        Self { disk, level, clock, spool, buffer, worker, expected, at_crash, added: 0 }
    }

    /// Makes the disk crash at an operation.
    pub(super) fn crash_at(&self, operation: usize) {
        let (expected, at_crash) = (self.expected.clone(), self.at_crash.clone());
        let note = move || *at_crash.lock().unwrap() = expected.lock().unwrap().clone();
        self.disk.crash_at(operation, note);
    }

    /// The contents of the disk at the crash, and what was expected then.
    pub(super) fn crashed(&self) -> (Image, Expected) {
        (self.disk.crashed(), self.at_crash.lock().unwrap().clone())
    }

    pub(super) fn add(&mut self, database: &str, count: usize) {
        for _ in 0..count {
            self.added += 1;
            let length = [3, 40, 200, 700][self.added % 4];
            let line = format!("m s=\"{}\" {}", "x\n#".repeat(length / 3), self.added);
            self.add_line(database, &line);
        }
    }

    pub(super) fn add_line(&self, database: &str, line: &str) {
        let named = format!("{database} {line}");
        self.expected.lock().unwrap().known.insert(named.clone());
        add(&self.buffer, database, line);
        self.expected.lock().unwrap().accepted.insert(named);
    }

    /// Adds from another thread, which has another shard.
    pub(super) fn add_elsewhere(&mut self, database: &str, count: usize) {
        thread::scope(|scope| scope.spawn(|| self.add(database, count)).join()).unwrap();
    }

    /// Makes everything that was added due.
    pub(super) fn submit(&self) {
        let flush = self.buffer.begin_flush(Duration::MAX);
        self.buffer.end_flush(flush);
    }

    /// Steps the spool worker a second later, when it syncs.
    pub(super) fn step_worker(&mut self) {
        let now = self.clock.now() + Duration::from_secs(1);
        self.clock.advance_to(now);
        let before = self.expected.lock().unwrap().accepted.clone();
        self.worker.step(&self.buffer);
        if self.level != SpoolSync::Process && !self.spool.health().is_failing() {
            self.expected.lock().unwrap().synced.extend(before);
        }
    }

    /// Does what a flush does before it waits.
    pub(super) fn flush(&mut self) {
        self.submit();
        let before = self.expected.lock().unwrap().accepted.clone();
        self.buffer.sync();
        if self.level == SpoolSync::Always && !self.spool.health().is_failing() {
            self.expected.lock().unwrap().synced.extend(before);
        }
    }

    /// Takes the next batch, and loads it if it is on disk.
    pub(super) fn take(&self, most_bytes: usize) -> Option<Batch> {
        let batch = self.buffer.take(|_| most_bytes, |_| true)?;
        self.buffer.load(batch, most_bytes)
    }

    /// Delivers a batch.
    pub(super) fn deliver(&self, batch: Batch) {
        let mut expected = self.expected.lock().unwrap();
        for line in named(&batch) {
            expected.accepted.remove(&line);
            expected.synced.remove(&line);
        }
        drop(expected);
        let delivered = batch.lines();
        self.buffer.settle(batch, Outcome { delivered, rejected: 0 });
    }

    /// Shuts down, without a server.
    pub(super) fn end(&mut self) {
        let flush = self.buffer.begin_shutdown(Duration::MAX);
        self.flush();
        self.buffer.end_flush(flush);
        self.buffer.persist_pending();
    }

    /// Moves all batches to disk.
    pub(super) fn seal_all(&self, target: usize) {
        let mut steps = 0..1_000;
        while self.buffer.seal_to_disk(&self.spool, target) {
            steps.next().expect("there is an end of batches to seal");
        }
    }

    /// Delivers everything there is, and everything that is recovered meanwhile. Returns it.
    pub(super) fn drain(&mut self) -> BTreeSet<String> {
        let mut drained = BTreeSet::new();
        let mut steps = 0;
        loop {
            let next = self.worker.step(&self.buffer);
            self.submit();
            let before = drained.len();
            while let Some(batch) = self.buffer.take(|_| usize::MAX, |_| true) {
                if let Some(batch) = self.buffer.load(batch, usize::MAX) {
                    drained.extend(named(&batch));
                    self.deliver(batch);
                }
            }
            steps += 1;
            assert!(steps < 100, "it does not end");
            let stats = self.buffer.stats();
            assert!(stats.is_balanced(), "{stats:?}");
            if drained.len() == before && next > self.clock.now() && stats.pending == 0 {
                return drained;
            }
        }
    }
}

pub(super) fn named(batch: &Batch) -> Vec<String> {
    let line = |line: &[u8]| format!("{} {}", batch.database(), String::from_utf8_lossy(line));
    batch.iter_lines().map(line).collect()
}

/// The lines that a process delivers that starts with this disk.
pub(super) fn recovered(image: Image, level: SpoolSync) -> BTreeSet<String> {
    Process::new(Simulated::of(image), level, limits()).drain()
}
