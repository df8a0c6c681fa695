use super::*;

/// Reads one byte at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

fn lines(reader: impl Read) -> Vec<(u64, u64, String)> {
    let (mut reader, mut lines) = (LineReader::new(reader), Vec::new());
    while let Some(line) = reader.next_line().unwrap() {
        lines.push((line.first, line.last, String::from_utf8(line.bytes.to_vec()).unwrap()));
    }
    lines
}

#[test]
fn lines_are_cut_alike_however_they_arrive() {
    let text =
        "\u{feff}# it's \"quoted\n\n  m,t=\"a\" f=\"x\n# y\" 1\r\n \r\n  n f=1 2\n# end\nm f=3";
    let expected = [
        (1, 1, "# it's \"quoted"),
        (3, 4, "  m,t=\"a\" f=\"x\n# y\" 1\r"),
        (6, 6, "  n f=1 2"),
        (7, 7, "# end"),
        (8, 8, "m f=3"),
    ];
    let expected = expected.map(|(first, last, line)| (first, last, line.to_owned()));
    assert_eq!(lines(text.as_bytes()), expected);
    assert_eq!(lines(Slow(text.as_bytes())), expected);
    assert_eq!(lines(&b""[..]), []);
    assert_eq!(lines(&b"\n \n"[..]), []);
}

#[test]
fn a_string_that_is_never_closed_takes_one_line_with_it() {
    let text = "m f=\"a 1\nm f=2 2\n";
    assert_eq!(lines(text.as_bytes()), [(1, 1, "m f=\"a 1".into()), (2, 2, "m f=2 2".into())]);
    let mut long = b"m f=\"a 1\n".to_vec();
    long.resize(MAX_LINE_BYTES + (1 << 20), b'x');
    long.extend_from_slice(b"\nm f=2 2\n");
    let mut reader = LineReader::new(&*long);
    assert_eq!(reader.next_line().unwrap().unwrap().bytes, b"m f=\"a 1");
    let error = reader.next_line().unwrap_err().to_string();
    assert!(error.starts_with("line 2 has no end in 16 MiB"), "{error}");
}

#[test]
fn a_line_may_be_longer_than_the_buffer() {
    let string = "y".repeat(3 * INITIAL_BUFFER_BYTES);
    let text = format!("m f=\"{string}\" 1\nm f=2 2\n");
    let found = lines(text.as_bytes());
    assert_eq!((found.len(), found[0].2.len()), (2, string.len() + 8));
}
