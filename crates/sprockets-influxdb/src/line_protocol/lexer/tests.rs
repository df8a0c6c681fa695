use super::*;

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'=')
}

#[test]
fn both_readings_agree_on_single_escapes() {
    for (text, end) in [
        ("name=value", 4),
        (r"a\=b=c", 4),
        (r"C:\dir\x,y", 8),
        (r"a\ b c", 4),
        ("plain", 5),
        (r"ends\", 5),
        ("", 0),
    ] {
        let bytes = text.as_bytes();
        assert_eq!(find_unescaped(bytes, 0, is_delimiter), end, "{text:?}");
        assert_eq!(find_delimiter(bytes, 0, is_delimiter), end, "{text:?}");
    }
}

#[test]
fn the_readings_differ_on_two_backslashes_before_a_delimiter() {
    let bytes = br"a\\ b";
    assert_eq!(find_unescaped(bytes, 0, is_delimiter), 3);
    assert_eq!(find_head_end(bytes), Some(3));
    assert_eq!(find_delimiter(bytes, 0, is_delimiter), 5);
}

#[test]
fn no_backslash_escapes_a_line_feed() {
    assert_eq!(find_head_end(b"m\\\nn f=1"), Some(2));
    assert_eq!(find_unescaped(b"m\\\nn", 0, |byte| byte == b'\n'), 2);
    assert_eq!(find_delimiter(b"m\\\nn", 0, is_delimiter), 2);
}

#[test]
fn a_string_ends_at_the_first_quote_that_is_not_escaped() {
    for (text, end) in [
        (r#"" 7"#, Some(1)),
        (r#"a b,c=d" 7"#, Some(8)),
        ("two\nlines\"", Some(10)),
        (r#"\"\\" 7"#, Some(5)),
        (r#"\\\""#, None),
        (r"\", None),
        ("never closed", None),
        ("", None),
    ] {
        assert_eq!(string_end(text.as_bytes(), 0), end, "{text:?}");
    }
    assert_eq!(string_end(b"\"", 2), None);
}

#[test]
fn names_are_read_back_as_they_were_written() {
    for (escaped, name) in [
        (r"a\ b\,c\=d", "a b,c=d"),
        (r"C:\dir", r"C:\dir"),
        (r"ends\", r"ends\"),
        (r"a\\ b", r"a\ b"),
        ("plain", "plain"),
    ] {
        assert!(unescape(escaped.as_bytes()).eq(name.bytes()), "{escaped:?}");
    }
}
