//! What a file of the spool holds: line protocol that any tool reads, each line after a comment with its length and its
//! checksum, so that whatever happens to a file costs only the lines that it happened to. Pure: bytes in, bytes out.
//!
//! ```text
//! # sprockets-influxdb spool 1 salt=9f86d081884c7d65 precision=ns database=example sum=1b2c3d4e
//! # sprockets-influxdb spool 1 salt=9f86d081884c7d65 precision=ns database=example sum=1b2c3d4e
//! #00002a5e6f7a8b
//! requests,method=GET bytes=512i 1700000000
//! # end 00000001 8c9daebf
//! ```
//!
//! The header stands there twice, as a damaged one would cost every line. The comment before a line has the line's length,
//! line feed included, in six hexadecimal digits, and a checksum in eight: rapidhash (v3) of the line, and the header's
//! salt, each folded to 32 bits, combined by exclusive or. The salt differs for each use of a file, so that a line of an
//! earlier use is not taken for one of this. The end comment, with the number of lines, ends a file that is whole; one that
//! was being written ends with zeros, or with what does not pass for a line.

use std::fmt::Write as _;
use std::ops::Range;

use memchr::memmem;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rapidhash::v3::rapidhash_v3;

use crate::config::Precision;

/// Bytes of the comment before a line.
pub(crate) const MARK: usize = 16;
/// The longest line that the comment's six digits can tell.
pub(crate) const MOST_BYTES: usize = 0xff_ffff;

/// The beginning of a file whose lines are none any more.
pub(crate) const UNUSED: &str = "# sprockets-influxdb spool 1 is not in use\n";

const TITLE: &str = "# sprockets-influxdb spool ";
const VERSION: u32 = 1;
const END: &str = "# end ";
/// With its number, its checksum and its line feed.
const END_BYTES: usize = END.len() + 8 + 1 + 8 + 1;
/// What a database's name may not have in a header.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Checks the lines of one file, by its salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(u32);

impl Salt {
    pub(crate) fn new(salt: u64) -> Self {
        Self(folded(salt))
    }

    /// The comment before a line; `line` has its line feed, and no more than [`MOST_BYTES`].
    #[inline]
    pub(crate) fn mark(self, line: &[u8]) -> [u8; MARK] {
        let mut mark = [b'#'; MARK];
        // The length's first two digits are 0, and make room for the number sign.
        mark[..8].copy_from_slice(&digits(line.len() as u32));
        mark.copy_within(2..8, 1);
        mark[0] = b'#';
        mark[7..15].copy_from_slice(&digits(checksum(line) ^ self.0));
        mark[15] = b'\n';
        mark
    }

    /// The length of the line that this comment stands before, if the line is what the comment says.
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

/// The header of a file.
pub(crate) fn header(database: &str, precision: Precision, salt: u64) -> String {
    let database = encoded(database);
    let mut header =
        format!("{TITLE}{VERSION} salt={salt:016x} precision={precision} database={database} sum=");
    // Writing to a string does not fail.
    let _ = writeln!(header, "{:08x}", checksum(header.as_bytes()));
    header.repeat(2)
}

/// A database's name as it stands in a comment.
pub(crate) fn encoded(database: &str) -> String {
    utf8_percent_encode(database, RESERVED).to_string()
}

/// What ends a file of so many lines.
pub(crate) fn end(lines: usize) -> String {
    let mut end = format!("{END}{lines:08x} ");
    let _ = writeln!(end, "{:08x}", checksum(end.as_bytes()));
    end
}

/// What a file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) database: String,
    pub(crate) precision: Precision,
    /// Where the intact lines stand, each with its line feed.
    pub(crate) lines: Vec<Range<usize>>,
    /// What is wrong with the file, in words.
    pub(crate) damage: Option<String>,
}

/// Why a file holds nothing that could be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was made, but no line was written to it.
    Empty,
    /// A later release wrote it.
    Newer(u32),
    /// It is something else altogether.
    Foreign,
    /// Both of its headers are damaged.
    Damaged,
}

/// Reads a file, whatever it is, in time proportional to its length.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, Unreadable> {
    if bytes.starts_with(UNUSED.as_bytes()) || is_zero(bytes) {
        return Err(Unreadable::Empty);
    }
    let (header, mut at) = find_header(bytes)?;
    let mut contents = Contents {
        database: header.database,
        precision: header.precision,
        lines: Vec::new(),
        damage: header.damage,
    };
    let mut damaged = 0;
    // What looks like a comment is summed up: bounded, as a file can be made of what looks so.
    let mut to_sum = 64 * bytes.len();
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
        // A line that was being written when its process died ends here as well: it was never said to be accepted. Zeros
        // may stand before the rest of a file, or before what is left of an earlier use, or be a sector that was lost.
        let next = if is_zero(rest) { None } else { find_line(rest, header.salt, &mut to_sum) };
        let next = next.or_else(|| find_end(rest));
        let Some(next) = next else { break };
        damaged += 1;
        at += next;
    }
    if damaged > 0 {
        let places = if damaged == 1 { "a place".into() } else { format!("{damaged} places") };
        contents.damage = Some(format!("damaged in {places} within its lines"));
    }
    Ok(contents)
}

/// Whose lines a file has, by its beginning: database, precision, and how many bytes the headers take.
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

/// The first header that is intact, and where the lines begin.
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

/// Where the next intact line begins, if there is one.
fn find_line(bytes: &[u8], salt: Salt, to_sum: &mut usize) -> Option<usize> {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'#', rest)) {
        at += found;
        if salt.check(&bytes[at..]).is_some() {
            return Some(at);
        }
        let len = bytes.get(at + 1..at + 7).and_then(hexadecimal).unwrap_or(0);
        *to_sum = to_sum.checked_sub(len.min(bytes.len() as u64) as usize)?;
        at += 1;
    }
    None
}

/// Rapidhash v3, folded: as good as a CRC-32 at telling what changed, at a third of its time for what is as short as a
/// line.
#[inline]
fn checksum(bytes: &[u8]) -> u32 {
    folded(rapidhash_v3(bytes))
}

#[inline]
fn folded(number: u64) -> u32 {
    (number ^ number >> 32) as u32
}

/// A number in hexadecimal, all digits at once.
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
mod tests {
    use super::*;

    /// A file of these lines, ended or not, and the lines as they are read.
    fn file(lines: &[&str], is_ended: bool) -> Vec<u8> {
        let salt = 0x9f86_d081_884c_7d65;
        let mut file = header("d b%\n", Precision::Milliseconds, salt).into_bytes();
        for line in lines {
            file.extend_from_slice(&Salt::new(salt).mark(line.as_bytes()));
            file.extend_from_slice(line.as_bytes());
        }
        if is_ended {
            file.extend_from_slice(end(lines.len()).as_bytes());
        }
        file
    }

    fn lines(file: &[u8]) -> Result<Vec<String>, Unreadable> {
        let contents = read(file)?;
        assert_eq!((&*contents.database, contents.precision), ("d b%\n", Precision::Milliseconds));
        let text = |range: &Range<usize>| String::from_utf8(file[range.clone()].to_vec()).unwrap();
        Ok(contents.lines.iter().map(text).collect())
    }

    const LINES: [&str; 4] =
        ["m,t=a f=1i 7\n", "m f=\"a\n#00002a5e6f7a8b\n\" 8\n", "m f=\"\0\0\" 9\n", "m f=4 10\n"];

    /// That each line read is one of those written, once, in order; and how many are missing.
    fn missing(read: &[String]) -> usize {
        let mut written = LINES.iter();
        assert!(read.iter().all(|line| written.any(|own| own == line)), "invented: {read:?}");
        LINES.len() - read.len()
    }

    #[test]
    fn what_was_written_is_read() {
        for is_ended in [false, true] {
            let mut file = file(&LINES, is_ended);
            assert_eq!(lines(&file).unwrap(), LINES);
            assert_eq!(read(&file).unwrap().damage, None);
            // The rest of a mapped file.
            file.resize(file.len() + 100, 0);
            assert_eq!(lines(&file).unwrap(), LINES);
            assert_eq!(read(&file).unwrap().damage, None);
        }
    }

    #[test]
    fn a_file_cut_anywhere_keeps_every_whole_line() {
        for is_ended in [false, true] {
            let whole = file(&LINES, is_ended);
            for len in (0..whole.len()).step_by(if cfg!(miri) { 7 } else { 1 }) {
                let Ok(read) = lines(&whole[..len]) else { continue };
                let marks = read.len() * MARK + read.iter().map(String::len).sum::<usize>();
                let headers = header("d b%\n", Precision::Milliseconds, 0).len();
                let next = LINES.get(read.len()).map_or(usize::MAX, |line| MARK + line.len());
                assert!(len < (headers + marks).saturating_add(next), "cut at {len}: {read:?}");
                missing(&read);
            }
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_line_at_most_and_invents_none() {
        for is_ended in [false, true] {
            let whole = file(&LINES, is_ended);
            let body = header("d b%\n", Precision::Milliseconds, 0).len();
            for bit in (0..8 * whole.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let missing = missing(&lines(&damaged).unwrap());
                let is_in_lines =
                    bit / 8 >= body && bit / 8 < whole.len() - 24 * usize::from(is_ended);
                assert_eq!(missing, usize::from(is_in_lines), "bit {bit}");
                let is_last = bit / 8 >= whole.len() - MARK - LINES[3].len();
                if is_in_lines && (is_ended || !is_last) || bit / 8 < body {
                    assert!(read(&damaged).unwrap().damage.is_some(), "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_in_hexadecimal() {
        for number in [0, 9, 10, 15, 16, 0x2a, 0x1234_5678, 0x9abc_def0, 0x0f0f_f0f0, u32::MAX] {
            assert_eq!(digits(number), format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn lines_of_an_earlier_use_of_the_file_are_none_of_this() {
        let old = file(&LINES, false);
        let mut new = header("d b%\n", Precision::Milliseconds, 1).into_bytes();
        new.extend_from_slice(&Salt::new(1).mark(b"m f=5 11\n"));
        new.extend_from_slice(b"m f=5 11\n");
        let torn = [&new[..], &old[new.len()..]].concat();
        assert_eq!(lines(&torn).unwrap(), ["m f=5 11\n"]);
        assert_eq!(read(&torn).unwrap().damage, None);
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(read(b""), Err(Unreadable::Empty));
        assert_eq!(read(&[0; 4096]), Err(Unreadable::Empty));
        assert_eq!(
            read(&[UNUSED.as_bytes(), &file(&LINES, false)[50..]].concat()),
            Err(Unreadable::Empty)
        );
        assert_eq!(read(b"\x7fELF and so on"), Err(Unreadable::Foreign));
        assert_eq!(read(b"# sprockets-influxdb spool 2 x=y\n"), Err(Unreadable::Newer(2)));
        assert_eq!(read(b"# sprockets-influxdb spool 1 salt=\n"), Err(Unreadable::Damaged));
    }

    #[test]
    fn a_file_made_to_look_like_lines_is_read_in_time() {
        let mut hostile = header("db", Precision::Nanoseconds, 7).into_bytes();
        let share = if cfg!(miri) { 1_000 } else { 1 };
        hostile.extend("#00ffff00000000\n".repeat(16_384 / share).bytes());
        hostile.extend("#0000ff".repeat(100_000 / share).bytes());
        assert!(read(&hostile).unwrap().lines.is_empty());
    }
}
