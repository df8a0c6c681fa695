use std::time::Duration;

use super::*;

const FILE: &str = "\
# 2026-11-23T15:04:05Z precision=s database=my%20db
# 400: no
m f=\"two
# lines\" 7
# 2026-11-23T15:04:06Z precision=ns database=db
# field type conflict
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
    let mut text = Vec::new();
    entries.iter().for_each(|entry| entry.write_to(&mut text));
    assert_eq!(String::from_utf8(text).unwrap(), FILE);
}

#[test]
fn times_are_formatted_in_rfc_3339() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (1_763_910_245, "2025-11-23T15:04:05Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(rfc3339(time), expected);
    }
}
