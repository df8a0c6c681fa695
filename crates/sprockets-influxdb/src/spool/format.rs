//! The format of a spool file: line protocol that any tool can read. A comment with length and
//! checksum precedes each line, so that damage costs only the lines it touches. Pure: bytes in,
//! bytes out.
//!
//! ```text
//! # sprockets-influxdb spool 1 salt=9f86d081884c7d65 precision=ns database=example sum=1b2c3d4e
//! # sprockets-influxdb spool 1 salt=9f86d081884c7d65 precision=ns database=example sum=1b2c3d4e
//! #00002a5e6f7a8b
//! requests,method=GET bytes=512i 1700000000
//! # end 00000001 8c9daebf
//! ```
//!
//! - The header is written twice, because a damaged header would cost every line.
//! - The comment before a line (the mark) has the length of the line with its line feed, in six
//!   hexadecimal digits, and a checksum in eight: rapidhash (v3) of the line XOR the header's salt,
//!   each folded to 32 bits.
//! - Each use of a file has a new salt, so that lines of an earlier use fail their checksums.
//! - The end comment has the number of lines and completes a sealed file. A segment that was being
//!   written ends with zeros or with bytes that fail the checksum.

use std::fmt::Write as _;
use std::ops::Range;

use memchr::memmem;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rapidhash::v3::rapidhash_v3;

use crate::config::Precision;

/// Length of the comment before a line, in bytes.
pub(crate) const MARK: usize = 16;
/// The longest line, line feed included: the comment has six digits for its length.
pub(crate) const MAX_LINE_BYTES: usize = 0xff_ffff;
/// The longest file that is written, and read.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;
/// An upper bound for the length of a header with a database name of usual length.
pub(crate) const MAX_HEADER_BYTES: usize = 256;

/// The beginning of a segment whose lines no longer count.
pub(crate) const UNUSED: &str = "# sprockets-influxdb spool 1 is not in use\n";

const TITLE: &str = "# sprockets-influxdb spool ";
const VERSION: u32 = 1;
const END: &str = "# end ";
/// Length of the end comment with its number, checksum and line feed.
const END_BYTES: usize = END.len() + 8 + 1 + 8 + 1;
/// Characters of a database name that are percent-encoded in a header.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The salt of a file's checksums, folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(u32);

impl Salt {
    pub(crate) fn new(salt: u64) -> Self {
        Self(folded(salt))
    }

    /// The comment before a line. `line` ends with its line feed and is at most
    /// [`MAX_LINE_BYTES`] long.
    #[inline]
    pub(crate) fn mark(self, line: &[u8]) -> [u8; MARK] {
        // In one register: to read what was just written in pieces would stall the processor. The
        // first two digits of the length are 0, and left out.
        let len = u128::from(u64::from_le_bytes(digits(line.len() as u32)) >> 16);
        let sum = u128::from(u64::from_le_bytes(digits(checksum(line) ^ self.0)));
        let mark = u128::from(b'#') | len << 8 | sum << 56 | u128::from(b'\n') << 120;
        mark.to_le_bytes()
    }

    /// The length of the line after this comment, if the line has the length and checksum that
    /// the comment states.
    fn check(self, bytes: &[u8]) -> Option<usize> {
        let mark = bytes.first_chunk::<MARK>()?;
        if mark[0] != b'#' || mark[MARK - 1] != b'\n' {
            return None;
        }
        let len = usize::try_from(hexadecimal(&mark[1..7])?).ok()?;
        let line = bytes.get(MARK..MARK + len)?;
        (line.ends_with(b"\n") && self.mark(line) == *mark).then_some(len)
    }
}

/// The header of a file, twice.
pub(crate) fn header(database: &str, precision: Precision, salt: u64) -> String {
    let database = encoded(database);
    let mut header =
        format!("{TITLE}{VERSION} salt={salt:016x} precision={precision} database={database} sum=");
    // Writing to a string does not fail.
    let _ = writeln!(header, "{:08x}", checksum(header.as_bytes()));
    header.repeat(2)
}

/// A database name, encoded for a comment.
pub(crate) fn encoded(database: &str) -> String {
    utf8_percent_encode(database, RESERVED).to_string()
}

/// The end comment of a file with this number of lines.
pub(crate) fn end(lines: usize) -> String {
    let mut end = format!("{END}{lines:08x} ");
    let _ = writeln!(end, "{:08x}", checksum(end.as_bytes()));
    end
}

/// The contents of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) database: String,
    pub(crate) precision: Precision,
    /// Ranges of the intact lines, each with its line feed.
    pub(crate) lines: Vec<Range<usize>>,
    /// Lines that were found damaged. At least so many are lost.
    pub(crate) lost: usize,
    /// A description of the damage, if any.
    pub(crate) damage: Option<String>,
}

/// Why a file has no lines to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was created, but no line was written to it.
    Empty,
    /// A later release wrote it, in this version of the format.
    Newer(u32),
    /// It is not a spool file.
    Foreign,
    /// Both of its headers are damaged.
    Damaged,
}

/// Reads any file, in time proportional to its length.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, Unreadable> {
    if bytes.starts_with(UNUSED.as_bytes()) || is_zero(bytes) {
        return Err(Unreadable::Empty);
    }
    let (header, mut at) = find_header(bytes)?;
    let mut contents = Contents {
        database: header.database,
        precision: header.precision,
        lines: Vec::new(),
        lost: 0,
        damage: header.damage,
    };
    let mut damaged = 0;
    // Everything that looks like a mark has to be hashed. The budget keeps a crafted file from
    // taking quadratic time.
    let mut hash_budget = 64 * bytes.len();
    loop {
        while let Some(len) = header.salt.check(&bytes[at..]) {
            contents.lines.push(at + MARK..at + MARK + len);
            at += MARK + len;
        }
        if let Some(lines) = read_end(&bytes[at..]) {
            if lines != contents.lines.len() && damaged == 0 {
                damaged = 1;
            }
            break;
        }
        let rest = &bytes[at..];
        // Zeros may precede the unused rest of a file or the remains of an earlier use,
        // or be a lost sector.
        let next =
            if is_zero(rest) { None } else { find_line(rest, header.salt, &mut hash_budget) };
        let next = next.or_else(|| find_end(rest));
        let Some(next) = next else {
            let lost = count_lost(from_mark(complete_lines(rest)), true);
            damaged += usize::from(lost > 0);
            contents.lost += lost;
            break;
        };
        damaged += 1;
        contents.lost += count_lost(&rest[..next], true);
        at += next;
    }
    if damaged > 0 {
        let places = if damaged == 1 { "a place".into() } else { format!("{damaged} places") };
        contents.damage = Some(format!("damaged in {places} within its lines"));
    }
    Ok(contents)
}

/// Database and precision by the first header of a file, and the length of both headers.
pub(crate) fn read_start(bytes: &[u8]) -> Option<(String, Precision, usize)> {
    let (header, len) = read_header(bytes)?;
    Some((header.database, header.precision, 2 * len))
}

struct Header {
    salt: Salt,
    precision: Precision,
    database: String,
    damage: Option<String>,
}

/// The first intact header, and the offset of the lines.
fn find_header(bytes: &[u8]) -> Result<(Header, usize), Unreadable> {
    if let Some((header, len)) = read_header(bytes) {
        let is_repeated = bytes.get(len..2 * len) == Some(&bytes[..len]);
        let damage = (!is_repeated).then(|| "its second header is damaged".to_owned());
        return Ok((Header { damage, ..header }, bytes.len().min(2 * len)));
    }
    for at in memmem::find_iter(bytes, TITLE).take(4) {
        if let Some((header, len)) = read_header(&bytes[at..]) {
            let damage = Some("its first header is damaged".to_owned());
            return Ok((Header { damage, ..header }, at + len));
        }
    }
    if let Some(version) = version(bytes).filter(|version| *version > VERSION) {
        return Err(Unreadable::Newer(version));
    }
    let looks_like_ours =
        memmem::find(bytes, b"sprockets-influxdb").is_some() || TITLE.as_bytes().starts_with(bytes);
    Err(if looks_like_ours { Unreadable::Damaged } else { Unreadable::Foreign })
}

fn version(bytes: &[u8]) -> Option<u32> {
    let rest = bytes.strip_prefix(TITLE.as_bytes())?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    (rest[end] == b' ').then(|| std::str::from_utf8(&rest[..end]).ok()?.parse().ok())?
}

fn read_header(bytes: &[u8]) -> Option<(Header, usize)> {
    let len = memchr::memchr(b'\n', bytes)? + 1;
    let line = std::str::from_utf8(&bytes[..len - 1]).ok()?;
    let (summed, sum) = line.split_at(line.rfind('=')? + 1);
    if hexadecimal(sum.as_bytes())? != u64::from(checksum(summed.as_bytes())) {
        return None;
    }
    let fields = line.strip_prefix(TITLE)?.strip_prefix("1 ")?;
    let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name));
    let header = Header {
        salt: Salt::new(hexadecimal(field("salt=")?.as_bytes())?),
        precision: field("precision=")?.parse().ok()?,
        database: percent_decode_str(field("database=")?).decode_utf8().ok()?.into_owned(),
        damage: None,
    };
    Some((header, len))
}

fn read_end(bytes: &[u8]) -> Option<usize> {
    let end_of_file = bytes.get(..END_BYTES)?;
    let lines = usize::try_from(hexadecimal(end_of_file.get(END.len()..END.len() + 8)?)?).ok()?;
    (end_of_file == end(lines).as_bytes()).then_some(lines)
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    memmem::rfind(bytes, END.as_bytes()).filter(|at| read_end(&bytes[*at..]).is_some())
}

/// The offset of the next intact line.
fn find_line(bytes: &[u8], salt: Salt, hash_budget: &mut usize) -> Option<usize> {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'#', rest)) {
        at += found;
        if salt.check(&bytes[at..]).is_some() {
            return Some(at);
        }
        let len = bytes.get(at + 1..at + 7).and_then(hexadecimal).unwrap_or(0);
        *hash_budget = hash_budget.checked_sub(len.min(bytes.len() as u64) as usize)?;
        at += 1;
    }
    None
}

/// The number of lines in a file whose headers are damaged.
pub(crate) fn count_headless(bytes: &[u8]) -> usize {
    count_lost(complete_lines(from_mark(bytes)), false)
}

/// The rest of `bytes` from the first mark.
fn from_mark(bytes: &[u8]) -> &[u8] {
    let first = (0..bytes.len()).find(|at| is_like_mark(bytes, *at));
    &bytes[first.unwrap_or(bytes.len())..]
}

/// What was written after the last intact line, up to the zeros that follow each line. Without a
/// line that was being written when its process died: it was never accepted.
fn complete_lines(rest: &[u8]) -> &[u8] {
    let written = &rest[..memmem::find(rest, &[0; MARK]).unwrap_or(rest.len())];
    if written.ends_with(b"\n") && !is_like_mark(written, written.len().saturating_sub(MARK)) {
        return written;
    }
    let last = (0..written.len()).rev().find(|at| is_like_mark(written, *at));
    &written[..last.unwrap_or(0)]
}

/// The number of lines that were written here and are damaged. `skips_older` leaves out lines of an
/// earlier use of the file: they are intact, with another salt.
fn count_lost(bytes: &[u8], skips_older: bool) -> usize {
    let mut salts = Vec::new();
    let (mut lost, mut at) = (0, 0);
    while at < bytes.len() {
        lost += 1;
        let len = bytes.get(at + 1..at + 7).and_then(hexadecimal);
        let sum = bytes.get(at + 7..at + 15).and_then(hexadecimal);
        let end = len.map_or(usize::MAX, |len| at + MARK + len as usize);
        let is_whole = end == bytes.len() || end < bytes.len() && is_like_mark(bytes, end);
        if let (Some(sum), true) = (sum, is_whole) {
            salts.push(u64::from(checksum(&bytes[at + MARK..end])) ^ sum);
            at = end;
        } else {
            let next = (at + 1..bytes.len()).find(|next| is_like_mark(bytes, *next));
            at = next.unwrap_or(bytes.len());
        }
    }
    salts.sort_unstable();
    let older = salts.chunk_by(|a, b| a == b).filter(|equal| equal.len() > 1);
    if skips_older { lost - older.map(<[u64]>::len).sum::<usize>() } else { lost }
}

/// Whether there is a mark in which at most one byte is damaged.
fn is_like_mark(bytes: &[u8], at: usize) -> bool {
    let Some(mark) = bytes.get(at..at + MARK) else { return false };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_after_line = at == 0 || bytes[at - 1] == b'\n';
    let wrong = usize::from(!is_after_line)
        + usize::from(mark[0] != b'#')
        + usize::from(mark[MARK - 1] != b'\n')
        + mark[1..MARK - 1].iter().filter(|byte| !is_digit(byte)).count();
    wrong <= 1
}

/// Rapidhash v3, folded: detects changes as well as a CRC-32, in a third of its time for input as
/// short as a line.
#[inline]
fn checksum(bytes: &[u8]) -> u32 {
    folded(rapidhash_v3(bytes))
}

#[inline]
fn folded(number: u64) -> u32 {
    (number ^ number >> 32) as u32
}

/// A number in hexadecimal, all digits computed at once.
#[inline]
fn digits(number: u32) -> [u8; 8] {
    let spread = u64::from(number);
    let spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    let spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    let are_letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    const LETTERS: u64 = (b'a' - b'0' - 10) as u64;
    (nibbles + 0x3030_3030_3030_3030 + are_letters * LETTERS).to_be_bytes()
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests;
