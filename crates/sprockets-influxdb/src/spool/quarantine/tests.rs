//! No line of the quarantine is lost, for a crash at every operation of the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::config::{Precision, SpoolSync};
use crate::spool::dir::SpoolDir;
use crate::spool::disk::Disk;
use crate::spool::simulated::{Image, Simulated};

const ROOT: &str = "/spool";
/// So small that the third file removes the first.
const MAX_BYTES: u64 = 48 << 10;

type Lines = BTreeSet<String>;

/// A client and an operator who share a quarantine.
struct Setup {
    disk: Simulated,
    quarantine: Quarantine,
    /// Lines that were rejected, and neither delivered, dropped by the operator, nor removed for
    /// room.
    kept: Arc<Mutex<Lines>>,
    next: usize,
}

impl Setup {
    fn new(disk: Simulated, sync: SpoolSync) -> Self {
        let dir = SpoolDir::new(Arc::new(disk.clone()), ROOT.into(), sync);
        let quarantine = Quarantine::new(Arc::new(dir), MAX_BYTES);
        Self { disk, quarantine, kept: Arc::default(), next: 0 }
    }

    /// The client keeps lines that the server rejected.
    fn keep(&mut self, count: usize, length: usize) {
        let line = |n| format!("m n={n}i,s=\"{}\" {n}", "x".repeat(length));
        let lines: Vec<_> = (self.next..self.next + count).map(line).collect();
        self.next += count;
        let rejected = lines.iter().map(|line| (line.as_bytes(), "no"));
        self.quarantine.keep("db", Precision::Seconds, rejected).unwrap();
        self.kept.lock().unwrap().extend(lines);
    }

    fn files(&self) -> Vec<QuarantineFile> {
        files(&self.disk)
    }

    /// The client keeps a line so long that the oldest files may be removed for it.
    fn rotate(&mut self) {
        let mut files = self.files();
        files.pop();
        for file in files {
            self.decided(file.read().unwrap().iter().map(|entry| &entry.line[..]));
        }
        self.keep(1, 14_000);
    }

    /// An operator retries all lines. The server takes those whose number `is_taken`.
    fn retry(&mut self, is_taken: fn(usize) -> bool) {
        for file in self.files() {
            let Some(claim) = file.claim().unwrap() else { continue };
            assert!(file.claim().unwrap().is_none(), "a second claim");
            // A client that had the file open goes on in another one.
            self.keep(1, 0);
            let (taken, left): (Vec<_>, Vec<_>) =
                claim.read().unwrap().into_iter().partition(|of| is_taken(number(&of.line)));
            self.decided(taken.iter().map(|entry| &entry.line[..]));
            let left: Vec<_> = left.iter().map(|entry| entry.rejected_again("no again")).collect();
            claim.finish(&left).unwrap();
        }
    }

    /// An operator drops the oldest file.
    fn drop_oldest(&self) {
        let Some(file) = self.files().into_iter().next() else { return };
        let entries = file.read().unwrap();
        self.decided(entries.iter().map(|entry| &entry.line[..]));
        file.remove().unwrap();
    }

    fn decided<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) {
        let mut kept = self.kept.lock().unwrap();
        for line in lines {
            kept.remove(std::str::from_utf8(line).unwrap());
        }
    }
}

fn number(line: &[u8]) -> usize {
    std::str::from_utf8(line).unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn files(disk: &Simulated) -> Vec<QuarantineFile> {
    let directory = Path::new(ROOT).join("quarantine");
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let entries = disk.list(&directory).unwrap_or_default().into_iter();
    let file = |entry: crate::spool::disk::DirEntry| {
        QuarantineFile::on(
            (disk.clone(), disk.clone()),
            directory.join(entry.name),
            entry.bytes,
            None,
        )
    };
    entries.filter(is_quarantine_file).map(file).collect()
}

fn lines(image: Image) -> Lines {
    let entries = files(&Simulated::of(image)).into_iter().flat_map(|of| of.read().unwrap());
    entries.map(|entry| String::from_utf8(entry.line).unwrap()).collect()
}

fn work(setup: &mut Setup) {
    setup.keep(3, 10);
    setup.retry(|_| false);
    setup.keep(4, 10);
    setup.retry(|_| false);
    setup.keep(2, 700);
    setup.retry(|number| number % 2 == 0);
    setup.drop_oldest();
    setup.keep(3, 10);
    setup.rotate();
    setup.keep(1, 10);
    setup.rotate();
    setup.rotate();
    setup.retry(|_| true);
}

/// Runs `work` once for each operation at which it can crash.
fn at_every_moment(sync: SpoolSync, mut look: impl FnMut(usize, &Image, &Lines)) {
    for moment in 1.. {
        let mut setup = Setup::new(Simulated::default(), sync);
        let at_crash = Arc::new(Mutex::new(Lines::new()));
        let (kept, noted) = (setup.kept.clone(), at_crash.clone());
        setup
            .disk
            .crash_at(moment, move || noted.lock().unwrap().clone_from(&kept.lock().unwrap()));
        work(&mut setup);
        if setup.disk.operations() < moment {
            assert!(moment > 100, "{moment} operations");
            return;
        }
        look(moment, &setup.disk.crashed(), &at_crash.lock().unwrap());
    }
}

fn check(found: &Lines, expected: &Lines, what: &str) {
    let lost: Vec<_> = expected.difference(found).collect();
    assert!(lost.is_empty(), "{what}: {lost:?} of {expected:?} lost");
}

#[test]
fn killing_a_retry_a_drop_or_a_client_loses_no_line() {
    at_every_moment(SpoolSync::Process, |moment, image, expected| {
        check(&lines(image.after_end_of_process()), expected, &format!("at {moment}"));
    });
}

#[test]
fn a_power_loss_loses_no_line_if_the_spool_is_synced() {
    at_every_moment(SpoolSync::Always, |moment, image, expected| {
        for newest in [false, true] {
            let image = image.after_loss_of_power(|versions| usize::from(newest) * (versions - 1));
            check(&lines(image), expected, &format!("at {moment}, newest: {newest}"));
        }
        let mut random = fastrand::Rng::with_seed(moment as u64);
        for sample in 0..4 {
            let image = image.after_loss_of_power(|versions| random.usize(..versions));
            check(&lines(image), expected, &format!("at {moment}, sample {sample}"));
        }
    });
}

/// A retry that is rejected twice, while the client goes on.
#[test]
fn lines_that_are_rejected_again_stay_however_often() {
    let mut setup = Setup::new(Simulated::default(), SpoolSync::Process);
    for round in 1..6 {
        setup.keep(3, 10);
        setup.retry(|_| false);
        let found: Vec<_> = setup.files().iter().flat_map(|file| file.read().unwrap()).collect();
        assert_eq!(found.len(), setup.next, "round {round}");
    }
    check(&lines(setup.disk.crashed()), &setup.kept.lock().unwrap(), "in the end");
}

#[test]
fn a_file_that_is_claimed_is_not_removed_for_room() {
    let mut setup = Setup::new(Simulated::default(), SpoolSync::Process);
    setup.keep(1, 0);
    let file = setup.files().remove(0);
    let claim = file.claim().unwrap().unwrap();
    for _ in 0..6 {
        setup.keep(1, 10_000);
    }
    assert!(setup.files().len() < 5);
    assert_eq!(claim.read().unwrap().len(), 1);
    claim.finish(&[]).unwrap();
    assert!(file.claim().unwrap().is_none());
}

#[test]
fn a_file_that_grew_since_it_was_counted_is_not_removed() {
    let mut setup = Setup::new(Simulated::default(), SpoolSync::Process);
    setup.keep(1, 0);
    let file = setup.files().remove(0);
    setup.keep(1, 0);
    assert!(file.remove().unwrap_err().to_string().contains("added"));
    assert_eq!(setup.files()[0].read().unwrap().len(), 2);
    setup.drop_oldest();
    assert!(setup.files().is_empty());
}
