use super::*;

fn escaped(text: &str, position: Position) -> (String, bool) {
    let mut out = TextBuf::default();
    out.push_escaped(text, position);
    (String::from_utf8(out.as_bytes().to_vec()).unwrap(), out.is_repaired())
}

#[test]
fn plain_strings_of_every_length_stay_as_they_are() {
    let text = "the.quick-brown_fox/jumps:over;the|lazy*dog'0123456789\u{e9}\u{1f600}";
    for (end, _) in text.char_indices() {
        for position in [Position::Measurement, Position::TagKey, Position::FieldKey] {
            assert_eq!(escaped(&text[..end], position), (text[..end].to_owned(), false));
        }
    }
}

#[test]
fn a_special_byte_is_found_wherever_it_stands() {
    for len in (1..50).step_by(if cfg!(miri) { 13 } else { 1 }) {
        for at in 0..len {
            for (special, expected) in [(" ", "\\ "), (",", "\\,"), ("=", "\\="), ("\0", "\\ ")] {
                let text = format!("{}{special}{}", "x".repeat(at), "y".repeat(len - 1 - at));
                let (out, _) = escaped(&text, Position::TagValue);
                assert_eq!(out, text.replace(special, expected), "{len} bytes, at {at}");
            }
        }
    }
}

#[test]
fn escapes_and_repairs_follow_the_position() {
    use Position::*;
    let rows = [
        (Measurement, "a b,c=d\"e", "a\\ b\\,c=d\"e", false),
        (TagKey, "a b,c=d\"e", "a\\ b\\,c\\=d\"e", false),
        (TagValue, "C:\\Users\\me", "C:\\Users\\me", false),
        (FieldKey, "a b,c=d", "a\\ b\\,c\\=d", false),
        (Measurement, "#comment", "-comment", true),
        (Measurement, "say \\\"x\\\"", "say\\ /\"x/\"", true),
        (TagValue, "#no comment", "#no\\ comment", false),
        (TagValue, "trailing\\", "trailing/", true),
        (TagValue, "a\\\\b", "a/\\b", true),
        (TagValue, "a\\ b", "a/\\ b", true),
        (TagValue, "a\\\tb", "a/\\ b", true),
        (TagValue, "a\r\nb\0\u{7f}", "a\\ \\ b\\ \\ ", true),
        (FieldKey, "f\"x", "f'x", true),
        (TagKey, "\u{85}\u{2028}", "\u{85}\u{2028}", false),
    ];
    for (position, text, expected, repaired) in rows {
        let got = escaped(text, position);
        assert_eq!(got, (expected.to_owned(), repaired), "{position:?} {text:?}");
    }
}
