use super::*;

fn refusal(line: &str) -> String {
    match RawLine::parse(line.as_bytes(), Precision::Nanoseconds) {
        Ok(line) => panic!("{line:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_line_is_parsed_into_text_and_timestamp() {
    for (line, text, time) in [
        ("m f=1", "m f=1", None),
        ("m f=1 7", "m f=1", Some(7_000)),
        ("  m,a=b,c=d f=1i,g=\"x y\"  -7 \r\n", "m,a=b,c=d f=1i,g=\"x y\"", Some(-7_000)),
        ("m,a=1,aa=a,b=a f=1,ab=\",a=1\",g=2", "m,a=1,aa=a,b=a f=1,ab=\",a=1\",g=2", None),
        ("m f=\"two\nlines, and \\\" \\\\\" 7\n", "m f=\"two\nlines, and \\\" \\\\\"", Some(7_000)),
        (r"a\ b\,c,t\ \=k=v\ w f\ \=1=t", r"a\ b\,c,t\ \=k=v\ w f\ \=1=t", None),
        (r#"m,q="x f=1u"#, r#"m,q="x f=1u"#, None),
        (
            r"m,w=C:\Users\me f=.5,g=1.,h=-1e-3,i=1E+3",
            r"m,w=C:\Users\me f=.5,g=1.,h=-1e-3,i=1E+3",
            None,
        ),
    ] {
        let parsed = RawLine::parse(line.as_bytes(), Precision::Microseconds).unwrap();
        let parsed_time = parsed.timestamp().map(Timestamp::nanoseconds);
        assert_eq!((parsed.text(), parsed_time), (text, time), "{line:?}");
        assert_eq!(parsed.has_unsigned(), line.contains("1u"));
    }
}

#[test]
fn lines_that_no_server_accepts_are_refused_with_the_reason() {
    for (line, reason) in [
        ("", "it has no name"),
        ("# m f=1", "it is a comment"),
        (",a=b f=1", "it has no name"),
        ("m", "it has no field"),
        ("m,a=b", "it has no field"),
        ("m,a f=1", "the tag a has no value"),
        ("m,a= f=1", "the tag a has no value"),
        ("m,=b f=1", "a tag has no name"),
        ("m,a=b=c f=1", "the tag a has an unescaped ="),
        ("m,a==b f=1", "the tag a has an unescaped ="),
        ("m,a=b, f=1", "a tag has no name"),
        ("m,a=1,a=2 f=1", "the tag a is set twice"),
        ("m,a=1,b=2,c\\ d=3,b=2 f=1", "the tag b is set twice"),
        (r"m,c\ d=1,a=\,c\ d\=2,c\ d=3 f=1", r"the tag c\ d is set twice"),
        ("m,a=1,b=2 f=1,b=2", "b is a tag and a field"),
        (r"m,a\=b=1 f=1,a\=b=2", r"a\=b is a tag and a field"),
        ("m =1", "a field has no name"),
        ("m f", "the field f has no value"),
        ("m f=", "the field f has no value"),
        ("m f=1,", "a field has no name"),
        ("m f=,g=1", "the field f has no value"),
        ("m f=\"a", "the string in field f is never closed"),
        ("m f=\"a\"b", "the field f goes on after its string"),
        ("m f\"g=1", "the field name f\"g has a \""),
        ("m f=nan", "the field f is NaN or infinite"),
        ("m f=-Inf", "the field f is NaN or infinite"),
        ("m f=yes", "the field f: \"yes\" is not a value"),
        ("m f=+1", "the field f: \"+1\" is not a value"),
        ("m f=1e", "the field f: \"1e\" is not a value"),
        ("m f=.", "the field f: \".\" is not a value"),
        ("m f=-1u", "the field f: \"-1u\" is not a value"),
        ("m f=1.5i", "the field f: \"1.5i\" is not a value"),
        ("m f=9223372036854775808i", "the field f: \"9223372036854775808i\" is out of range"),
        ("m f=1e999", "the field f: \"1e999\" is out of range"),
        ("m f=1 soon", "\"soon\" is not a timestamp"),
        ("m f=1 +7", "\"+7\" is not a timestamp"),
        ("m f=1 1 2", "\"1 2\" is not a timestamp"),
        ("m f=1 9223372036854775807", "the timestamp 9223372036854775807 is not between"),
        ("m\nx f=1", "it has a line break outside of a string"),
        ("m f=1\nn g=1", "it has a line break outside of a string"),
        ("m,a=b\\\\ c,d=\" f=\"x\ny\"", "it has two backslashes before"),
    ] {
        let message = refusal(line);
        assert!(message.starts_with(reason), "{line:?}: {message}");
    }
    let error = RawLine::parse(b"m f=\"\xff\"", Precision::Nanoseconds).unwrap_err();
    assert!(error.is_measurement() && error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn a_line_may_have_many_tags_and_none_twice() {
    let tags: String = (0..64_000).map(|n| format!(",t{n}=v")).collect();
    let parse = |line: String| RawLine::parse(line.as_bytes(), Precision::Nanoseconds).map(|_| ());
    parse(format!("m{tags} f=1")).unwrap();
    let twice = parse(format!("m{tags},t3=v f=1")).unwrap_err().to_string();
    assert!(twice.starts_with("the tag t3 is set twice"), "{twice}");
    let both = parse(format!("m{tags} f=1,t63999=2")).unwrap_err().to_string();
    assert!(both.starts_with("t63999 is a tag and a field"), "{both}");
}

#[test]
fn timestamps_may_be_in_any_unit() {
    let hour = Duration::from_secs(3600);
    let time = |line: &[u8], unit| RawLine::parse_in(line, unit).map(|line| line.timestamp());
    assert_eq!(time(b"m f=1 2", hour), Ok(Some(7_200_000_000_000.into())));
    let error = time(b"m f=1 9223372036", hour).unwrap_err().to_string();
    assert!(error.contains("9223372036 is not between the years 1677 and 2262"), "{error}");
    time(b"m f=1 1", Duration::MAX).unwrap_err();
}
