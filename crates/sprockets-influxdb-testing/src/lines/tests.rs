use super::*;

fn split(body: &str) -> Vec<&str> {
    lines(body.as_bytes()).map(|(_, line)| std::str::from_utf8(line).unwrap()).collect()
}

#[test]
fn blank_lines_and_comments_are_not_lines() {
    let none: [&str; 0] = [];
    for body in ["", "\n", "\n\n", "   ", "# comment", "  # comment\n\n", "# f=\"a\n"] {
        assert_eq!(split(body), none, "{body:?}");
    }
    assert_eq!(split("a f=1\n\n#b\nc f=2"), ["a f=1", "c f=2"]);
    let numbers: Vec<_> = lines(b"\na\n#\nb\n").map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn a_line_feed_in_a_string_or_after_a_backslash_ends_no_line() {
    assert_eq!(split("m f=\"a\nb\" 1\nm f=2"), ["m f=\"a\nb\" 1", "m f=2"]);
    assert_eq!(split("m f=\"a\\\"\nb\" 1\nm f=2"), ["m f=\"a\\\"\nb\" 1", "m f=2"]);
    assert_eq!(split("m f=\"a\\\\\"\nm f=2"), ["m f=\"a\\\\\"", "m f=2"]);
    assert_eq!(split("m f=1,g=\"# no\n#comment\",h=2\nm f=2").len(), 2);
    assert_eq!(split("m f=1 1\\\nm f=2 2\nm f=3"), ["m f=1 1\\\nm f=2 2", "m f=3"]);
    assert_eq!(split("m f=\"a 1\nm f=2 2\n"), ["m f=\"a 1\nm f=2 2\n"]);
}

#[test]
fn a_quotation_mark_in_a_name_opens_no_string() {
    assert_eq!(split("m,k=\"v f=1\nm f=2"), ["m,k=\"v f=1", "m f=2"]);
    assert_eq!(split("\"m f=1\nm f=2"), ["\"m f=1", "m f=2"]);
    assert_eq!(split("m f\"g=1\nm f=2"), ["m f\"g=1", "m f=2"]);
}
