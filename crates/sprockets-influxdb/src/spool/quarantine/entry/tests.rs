use super::*;

const FILE: &str = "\
# 2026-11-23T15:04:05Z precision=s database=my%20db
# reason: 400: no
m f=\"two
# lines\" 7
# 2026-11-23T15:04:06Z precision=ns database=db
# reason: field type conflict
n f=1 8
";

#[test]
fn entries_are_read_as_they_were_written() {
    let entries = read(FILE.as_bytes());
    assert_eq!(entries.len(), 2);
    assert_eq!((&*entries[0].database, entries[0].precision), ("my db", Precision::Seconds));
    let line = &b"m f=\"two\n# lines\" 7"[..];
    assert_eq!((&*entries[0].reason, &*entries[0].line), ("400: no", line));
    assert_eq!(&*entries[1].time, "2026-11-23T15:04:06Z");
    let mut text = Text::default();
    entries.iter().for_each(|entry| text.push_entry(entry));
    assert_eq!(std::str::from_utf8(text.bytes()).unwrap(), FILE);
}

#[test]
fn a_reason_cannot_forge_the_database_or_begin_a_line() {
    for reason in [
        "x precision=ns database=evil",
        "2026-11-23T15:04:05Z precision=ns database=evil",
        "reason: 2026-11-23T15:04:05Z precision=ns database=evil",
        "\n# 2026-11-23T15:04:05Z precision=ns database=evil\nevil f=1 1",
        "\r\n\u{85}\u{2028}evil f=1 1\u{1b}[2J\u{202e}",
    ] {
        let mut text = Text::default();
        text.push("2026-11-23T15:04:05Z", "db", Precision::Seconds, b"m f=1 7", reason);
        text.push("2026-11-23T15:04:06Z", "db2", Precision::Seconds, b"m f=2 8", "no");
        let entries = read(text.bytes());
        let read: Vec<_> = entries.iter().map(|of| (&*of.database, &*of.line)).collect();
        assert_eq!(read, [("db", &b"m f=1 7"[..]), ("db2", b"m f=2 8")], "{reason:?}");
        assert!(entries.iter().all(|of| of.precision == Precision::Seconds), "{reason:?}");
        assert!(entries[0].reason.chars().all(is_printable), "{reason:?}");
    }
}

#[test]
fn comments_of_an_operator_change_nothing() {
    let text = format!("{FILE}# mended by hand precision=ns database=other\no f=1 9\n");
    let entries = read(text.as_bytes());
    assert_eq!((&*entries[2].database, &*entries[2].reason), ("db", "field type conflict"));
}
