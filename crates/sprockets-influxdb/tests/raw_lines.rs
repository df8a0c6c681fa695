//! Lines of other programs: each accepted line stays one line, and every line that the strictest
//! parser accepts is accepted.

use proptest::prelude::*;
use sprockets_influxdb::testing::parse;
use sprockets_influxdb::{LineReader, Precision, RawLine};

/// Text made mostly of characters with a meaning.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "m", ",", " ", "=", "\"", "\\", "\n", "#", ",t=v", " f=1", "i", "u", "-", ".", "e", "1",
        "true", "ü", "\r",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("m{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_accepted_line_is_one_line(text in text()) {
        let Ok(line) = RawLine::parse(text.as_bytes(), Precision::Nanoseconds) else {
            return Ok(());
        };
        let whole = format!("{} 7\nm f=1 1\n", line.text());
        let mut reader = LineReader::new(whole.as_bytes());
        let first = reader.next_line().unwrap().map(|first| first.bytes.to_vec());
        prop_assert_eq!(first, Some(format!("{} 7", line.text()).into_bytes()));
        let second = reader.next_line().unwrap().map(|second| second.bytes.to_vec());
        prop_assert_eq!(second, Some(b"m f=1 1".to_vec()));
        let again = RawLine::parse(line.text().as_bytes(), Precision::Nanoseconds).unwrap();
        prop_assert_eq!(again.text(), line.text());
    }

    #[test]
    fn every_line_that_the_strictest_parser_accepts_is_accepted(text in text()) {
        let Ok(points) = parse(&text) else { return Ok(()) };
        // The one exception: servers read a quotation mark in a field key differently.
        let mut names = points.iter().flat_map(|point| &point.fields).map(|(name, _)| name);
        prop_assume!(!names.any(|name| name.contains('"')));
        let mut reader = LineReader::new(text.as_bytes());
        let mut taken = 0;
        while let Some(line) = reader.next_line().unwrap().filter(|line| !line.is_comment()) {
            let parsed = RawLine::parse(line.bytes, Precision::Nanoseconds);
            prop_assert!(parsed.is_ok(), "{:?}: {:?}", text, parsed);
            taken += 1;
        }
        prop_assert_eq!(taken, points.len(), "{:?}", text);
    }
}
