use super::*;

#[test]
fn parse_lines_goes_on_after_a_bad_line_and_parse_does_not() {
    let text = "m f=1 1\nm f=\n\nm f=2 2\n";
    let results: Vec<_> = parse_lines(text).collect();
    assert_eq!(results.len(), 3);
    let error = results[1].clone().unwrap_err();
    assert_eq!((error.line_number(), error.line()), (2, "m f="));
    assert_eq!(error.to_string(), "unable to parse 'm f=': missing field value");
    assert_eq!(results[2].as_ref().map(|point| point.timestamp), Ok(2));
    assert_eq!(parse(text), Err(error));
}

#[test]
fn a_line_without_a_timestamp_is_of_now() {
    let before = now();
    let time = parse("m f=1").unwrap()[0].timestamp;
    assert!((before..=now()).contains(&time));
}
