//! The file format, for the fuzz targets.

use std::ops::Range;

use super::format::{MARK, Salt, end, header, read};
use crate::config::Precision;

/// A file with these lines, each with its line feed, and the range of each line with its mark.
pub fn spool_file(lines: &[&[u8]], is_ended: bool) -> (Vec<u8>, Vec<Range<usize>>) {
    let salt = 0x9f86_d081_884c_7d65;
    let mut file = header("db", Precision::Nanoseconds, salt).into_bytes();
    let mut ranges = Vec::new();
    for line in lines {
        ranges.push(file.len()..file.len() + MARK + line.len());
        file.extend_from_slice(&Salt::new(salt).mark(line));
        file.extend_from_slice(line);
    }
    if is_ended {
        file.extend_from_slice(end(lines.len()).as_bytes());
    }
    (file, ranges)
}

/// The lines that are read from a file.
pub fn spooled(file: &[u8]) -> Vec<&[u8]> {
    let lines = read(file).map(|contents| contents.lines).unwrap_or_default();
    let mut end = 0;
    for line in &lines {
        assert!(line.start >= end + MARK && line.end <= file.len(), "{line:?} after {end}");
        end = line.end;
    }
    lines.into_iter().map(|line| &file[line]).collect()
}
