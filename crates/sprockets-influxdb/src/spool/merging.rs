//! Merges small files of dead processes, so that a thousand crashes do not become a thousand
//! requests.
//!
//! - The lines of small files are collected by database and precision, and written to one file in
//!   this process's slot. Only then the files that had them are removed.
//! - A process that ends between the two leaves some lines in two files. They are delivered twice,
//!   which InfluxDB stores as the same points.
//! - The slots of the files are locked until then, with a descriptor each. Their number is bounded.

use std::collections::HashMap;

use super::sealed::{SealOutcome, SealedFile, SealedFiles};
use crate::config::Precision;
use crate::line_protocol::split::lines_with_ends;

/// Files with more bytes of lines are handed out as they are.
const MAX_SMALL: usize = 128 * 1024;
/// A merged file is handed out before it has more lines, or more bytes of lines.
const MAX_LINES: usize = 10_000;
const MAX_BYTES: usize = 1 << 20;
/// A merged file takes at most this part of the spool's limit, as a divisor.
const SHARE_OF_SPOOL: usize = 16;
/// Bytes of lines that are collected at the same time, of all databases.
const MAX_COLLECTED: usize = 8 << 20;
/// Files that are held at the same time, and so at most the descriptors of their slots' locks.
const MAX_HELD: usize = 128;

/// Small files whose lines are being merged.
#[derive(Debug, Default)]
pub(crate) struct Merging {
    kinds: HashMap<(String, Precision), Collected>,
    held: usize,
    bytes: usize,
}

/// Lines of one database and precision, and the files that have them.
#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    lines: usize,
    files: Vec<SealedFile>,
}

impl Merging {
    /// The largest size of a merged file in a spool with this limit, in bytes.
    pub(crate) fn max_bytes(spool_bytes: usize) -> usize {
        (spool_bytes / SHARE_OF_SPOOL).min(2 * MAX_BYTES)
    }

    /// Adds a file. Returns files to deliver now.
    pub(crate) fn add(&mut self, sealed: &SealedFiles, file: SealedFile) -> Vec<SealedFile> {
        if file.bytes > MAX_SMALL || file.lines > MAX_LINES {
            return vec![file];
        }
        let Some(loaded) = sealed.load(&file) else { return vec![file] };
        // What is not exactly as it was written is left to the batch of that file.
        let is_intact = !file.is_damaged()
            && loaded.lines == file.lines
            && lines_with_ends(&loaded.bytes).count() == loaded.lines
            && loaded.bytes.ends_with(b"\n");
        if !is_intact {
            return vec![file];
        }
        let max_file = Self::max_bytes(sealed.max_spool_bytes());
        let kind = (file.database.clone(), file.precision);
        let collected = self.kinds.entry(kind).or_default();
        let mut ready = Vec::new();
        let bytes = collected.bytes.len() + loaded.bytes.len();
        if collected.lines + loaded.lines > MAX_LINES
            || bytes > MAX_BYTES
            || SealedFiles::max_file_size(collected.lines + loaded.lines, bytes) > max_file
        {
            self.held -= collected.files.len();
            self.bytes -= collected.bytes.len();
            let mut full = std::mem::take(collected);
            full.merge(sealed);
            ready = full.files;
        }
        self.held += 1;
        self.bytes += loaded.bytes.len();
        collected.bytes.extend_from_slice(&loaded.bytes);
        collected.lines += loaded.lines;
        collected.files.push(file);
        if self.bytes > MAX_COLLECTED {
            ready.append(&mut self.finish(sealed));
        } else if self.held > MAX_HELD {
            // Merged again with what comes next: a merged file is in our own slot.
            self.kinds.values_mut().for_each(|collected| collected.merge(sealed));
            self.held = self.kinds.values().map(|collected| collected.files.len()).sum();
            if self.held > MAX_HELD / 2 {
                ready.append(&mut self.finish(sealed));
            }
        }
        ready
    }

    /// Merges what is left. Returns the files to deliver.
    pub(crate) fn finish(&mut self, sealed: &SealedFiles) -> Vec<SealedFile> {
        let collected = std::mem::take(self).kinds.into_values();
        let merged = collected.map(|mut collected| {
            collected.merge(sealed);
            collected.files
        });
        merged.flatten().collect()
    }
}

impl Collected {
    /// Writes the lines to one file, which takes the place of the others. Leaves them if the disk
    /// does not work.
    fn merge(&mut self, sealed: &SealedFiles) {
        let [first, _, ..] = &*self.files else { return };
        let lines = lines_with_ends(&self.bytes);
        let outcome = sealed.seal(&first.database, first.precision, lines);
        let SealOutcome::Sealed(merged) = outcome else { return };
        for file in self.files.drain(..) {
            sealed.remove(&file);
        }
        self.files.push(merged);
    }
}
