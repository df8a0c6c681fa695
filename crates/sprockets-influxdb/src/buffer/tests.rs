use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::config::{Overflow, Precision};
use crate::stats::DropReason;

mod backlog;
mod batches;
mod counters;
mod crashes;
mod disk_faults;
mod due;
mod flush;
mod memory;
#[cfg(loom)]
mod models;
mod overflow;
mod process;
mod records;
mod recovery;
mod windows;

fn limits() -> Limits {
    Limits {
        buffer: Size { lines: 25_000, bytes: 64 << 20 },
        batch: Size { lines: 10_000, bytes: 4 << 20 },
        trigger_size: 5_000,
        submission_interval: Duration::from_secs(60),
        first_interval: Duration::from_secs(60),
        sample_probability: 1.0,
        overflow: Overflow::Newest,
        spool_bytes: 1 << 30,
        block_timeout: Duration::from_secs(5),
    }
}

fn buffer(limits: Limits) -> Buffer {
    Buffer::new(limits, Intake::Open, None, Clock::simulated())
}

fn add(buffer: &Buffer, database: &str, line: &str) {
    let write = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    };
    add_with(buffer, database, Precision::Nanoseconds, line.len() + 1, write);
}

fn add_with(
    buffer: &Buffer,
    database: &str,
    precision: Precision,
    len: usize,
    write: impl Fn(&mut Vec<u8>),
) {
    let database = database.as_bytes();
    buffer.push(Entry { database, precision, len, write }, EntryFlags::default(), None);
}

fn add_numbers(buffer: &Buffer, database: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        add(buffer, database, &format!("m n={number}i"));
    }
}

/// Takes all batches that are due.
fn take_all(buffer: &Buffer) -> Vec<Batch> {
    buffer.close_due();
    std::iter::from_fn(|| buffer.take(|_| usize::MAX, |_| true)).collect()
}

fn lines(batches: &[Batch]) -> Vec<String> {
    let lines = batches.iter().flat_map(Batch::iter_lines);
    lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

fn deliver(buffer: &Buffer, batches: Vec<Batch>) {
    for batch in batches {
        let delivered = batch.lines();
        buffer.settle(batch, Outcome { delivered, rejected: 0 });
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("m n={number}i")).collect()
}
