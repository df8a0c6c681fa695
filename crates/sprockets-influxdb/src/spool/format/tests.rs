use super::*;

/// A file of these lines, with or without its end comment.
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

/// Asserts that the lines read are some of those written, once each and in order. Returns how many
/// are missing.
fn missing(read: &[String]) -> usize {
    let mut written = LINES.iter();
    assert!(read.iter().all(|line| written.any(|own| own == line)), "invented: {read:?}");
    LINES.len() - read.len()
}

#[test]
fn written_lines_are_read_back() {
    for is_ended in [false, true] {
        let mut file = file(&LINES, is_ended);
        assert_eq!(lines(&file).unwrap(), LINES);
        assert_eq!(read(&file).unwrap().damage, None);
        // The unused rest of a segment.
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
fn a_flipped_bit_loses_at_most_one_line_and_invents_none() {
    for is_ended in [false, true] {
        let whole = file(&LINES, is_ended);
        let body = header("d b%\n", Precision::Milliseconds, 0).len();
        for bit in (0..8 * whole.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let missing = missing(&lines(&damaged).unwrap());
            let is_in_lines = bit / 8 >= body && bit / 8 < whole.len() - 24 * usize::from(is_ended);
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
fn lines_of_an_earlier_use_of_the_file_are_ignored() {
    let old = file(&LINES, false);
    let mut new = header("d b%\n", Precision::Milliseconds, 1).into_bytes();
    new.extend_from_slice(&Salt::new(1).mark(b"m f=5 11\n"));
    new.extend_from_slice(b"m f=5 11\n");
    let torn = [&new[..], &old[new.len()..]].concat();
    assert_eq!(lines(&torn).unwrap(), ["m f=5 11\n"]);
    assert_eq!(read(&torn).unwrap().damage, None);
}

#[test]
fn foreign_empty_newer_and_damaged_files_are_distinguished() {
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
fn a_file_crafted_to_look_like_lines_is_read_in_linear_time() {
    let mut hostile = header("db", Precision::Nanoseconds, 7).into_bytes();
    let share = if cfg!(miri) { 1_000 } else { 1 };
    hostile.extend("#00ffff00000000\n".repeat(16_384 / share).bytes());
    hostile.extend("#0000ff".repeat(100_000 / share).bytes());
    assert!(read(&hostile).unwrap().lines.is_empty());
}

/// The file of a segment, with lines of an earlier use after its own.
fn used_again(lines: &[&str]) -> Vec<u8> {
    let older = file(&["m f=1i 1\n"; 40], false);
    let mut file = file(lines, false);
    file.extend_from_slice(&[0; MARK]);
    let start = header("d b%\n", Precision::Milliseconds, 0).len();
    // Their checksums have the salt of that use.
    for chunk in older[start..].chunks_exact(MARK + 9) {
        file.extend_from_slice(&Salt::new(1).mark(&chunk[MARK..]));
        file.extend_from_slice(&chunk[MARK..]);
    }
    file
}

#[test]
fn a_line_damaged_by_any_flipped_bit_is_counted() {
    let own =
        ["m,t=a f=1i 7\n", "m f=\"a\nb\" 1700000000123456789\n", "m f=\"#\" 9\n", "m f=4 10\n"];
    let whole = file(&own, false);
    let start = header("d b%\n", Precision::Milliseconds, 0).len();
    let with_rest = used_again(&own);
    assert_eq!(read(&with_rest).unwrap().lost, 0);
    // Without its line feed, the last line looks as if it was being written.
    for bit in 8 * start..8 * (whole.len() - 1) {
        let mut damaged = with_rest.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let contents = read(&damaged).unwrap();
        assert_eq!((contents.lines.len(), contents.lost), (3, 1), "bit {bit}");
        assert!(contents.damage.is_some());
    }
}

#[test]
fn a_line_that_was_being_written_is_not_counted_as_lost() {
    let own = ["m f=1 7\n", "m f=\"a\nb\" 8\n", "m f=3 9\n"];
    let start = header("d b%\n", Precision::Milliseconds, 0).len();
    let last = MARK + own[2].len();
    let whole = file(&own, false);
    let others = whole.len() - last;
    assert!(others > start);
    for written in 0..last {
        let mut cut = whole[..others + written].to_vec();
        cut.resize(whole.len() + 200, 0);
        let contents = read(&cut).unwrap();
        assert_eq!((contents.lines.len(), contents.lost), (2, 0), "{written} bytes");
        // Over lines of an earlier use.
        let mut reused = used_again(&own[..2]);
        reused[others..others + written].copy_from_slice(&whole[others..others + written]);
        let contents = read(&reused).unwrap();
        assert!(contents.lines.len() == 2 && contents.lost <= 1, "{written}: {contents:?}");
    }
}

#[test]
fn lines_of_a_file_without_intact_headers_are_counted() {
    let mut bytes = used_again(&["m f=1 7\n", "m f=2 8\n", "m f=3 9\n"]);
    let header = header("d b%\n", Precision::Milliseconds, 0).len();
    bytes[40] ^= 1;
    bytes[header / 2 + 40] ^= 1;
    assert_eq!(read(&bytes), Err(Unreadable::Damaged));
    assert_eq!(count_headless(&bytes), 3);
}
