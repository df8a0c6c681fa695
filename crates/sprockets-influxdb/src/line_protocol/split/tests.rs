use super::*;

#[test]
fn a_line_ends_at_a_line_feed_outside_of_strings() {
    let all: Vec<&[u8]> = vec![
        b"m f=1i 7",
        b"m,t=a\\ b\"c,u=d f=\"x\ny\\\"\nz\\\\\",g=\"\" 8",
        b"m\\ n,t=\\,\" a=\"\",b=\" \\\\\\\"\n\" 9",
        b"m",
        b"",
        b"m f=2i 10",
    ];
    let mut bytes = all.join(&b'\n');
    assert_eq!(lines(&bytes).collect::<Vec<_>>(), all);
    bytes.push(b'\n');
    assert_eq!(lines(&bytes).collect::<Vec<_>>(), all);
}

#[test]
fn an_end_is_known_once_nothing_can_change_it() {
    for text in ["m f=1 7\n", "m f=\"a\nb\" 7\n", "m\n"] {
        let bytes = text.as_bytes();
        assert_eq!(known_line_end(bytes), Ok(bytes.len()), "{text:?}");
        for cut in 0..bytes.len() {
            assert!(known_line_end(&bytes[..cut]).is_err(), "{text:?} {cut}");
        }
    }
    assert_eq!(known_line_end(b"m f=\"a\nm f=1\n"), Err(7));
}

#[test]
fn damaged_text_ends_too() {
    for text in ["m f=\"never closed", "m f=\"\\", "m\\", "\\", "\"", "m,\\\n\n", "m \"\n\"\n"] {
        let bytes = text.as_bytes();
        let total: usize = lines(bytes).map(|line| line.len() + 1).sum();
        assert!(total >= bytes.len(), "{text:?}");
    }
}
