use super::*;

const LONGEST: usize = 64 * 1024;

fn only(body: &str) -> Result<ParsedLine, String> {
    let mut lines = parse_lines(body, LONGEST);
    assert_eq!(lines.len(), 1, "{body:?}");
    lines.remove(0).parsed
}

#[test]
fn accepted_lines_are_read_as_influxdb_3_reads_them() {
    for (line, expected) in [
        ("m f=1 17", "m f=1 17"),
        (" \tm f=1", "m f=1"),
        ("m  f=1  17 ", "m f=1 17"),
        ("my\\ m,k\\ x=v\\,x f\\,x=1", "my m,k x=v,x f,x=1"),
        ("m\\\\a,k=a\\\\b,l=\\x f=1", "m\\a,k=a\\b,l=\\x f=1"),
        ("m,,t=a f=1", "m,,t=a f=1"),
        ("m,k=v=x f=1", "m,k=v=x f=1"),
        ("m,a=1,a=2 f=1", "m,a=1,a=2 f=1"),
        ("m,k=v\0x f=1", "m,k=v\0x f=1"),
        ("m\\\nx f=1", "m\\\nx f=1"),
        ("m f=\"a\\\"b\\\\c\\d\nx\"", "m f=a\"b\\c\\d\nx"),
        ("m f=007,g=-0.5e-3,h=1E3", "m f=7,g=-0.0005,h=1000"),
        ("m f=1e400", "m f=inf"),
        ("m f=-1i,g=18446744073709551615u", "m f=-1i,g=18446744073709551615u"),
        ("m f=t,g=TRUE,h=False", "m f=true,g=true,h=false"),
        ("m f=1,f=\"a\" -9223372036854775808", "m f=1,f=a -9223372036854775808"),
    ] {
        assert_eq!(only(line).map(|parsed| parsed.to_string()), Ok(expected.into()), "{line:?}");
    }
}

#[test]
fn refused_lines_have_the_message_of_influxdb_3() {
    let trailing = "Could not parse entire line. Found trailing content:";
    let backslash =
        "Measurements, tag keys and values, and field keys may not end with a backslash";
    let space = "Expected at least one space character, got";
    for (line, expected) in [
        ("m", format!("{space} end of input")),
        ("m,t=a", format!("{space} end of input")),
        ("m\tf=1 17", format!("{space} `\tf=1 17`")),
        (",t=a f=1", "Invalid measurement was provided".into()),
        ("\0m f=1", "Invalid measurement was provided".into()),
        ("m,", "Expected tag key, got end of input".into()),
        ("m, k=v f=1 17000", "Expected tag key, got ` k=v f=1 1...`".into()),
        ("m,k= f=1", "Expected tag value, got ` f=1`".into()),
        (
            "m,k f=1 17000",
            "Tag set malformed: could not find equals sign in `k f=1 1700...`".into(),
        ),
        ("m\\\\ f=1", backslash.into()),
        ("m,k=v\\\\ f=1", backslash.into()),
        ("m f\\\\=1", backslash.into()),
        ("m,k=v\\ f=1 17", "No fields were provided".into()),
        ("m f=.5", "No fields were provided".into()),
        ("m f=NaN", "No fields were provided".into()),
        ("m f=\"a", "No fields were provided".into()),
        ("m f=1.", format!("{trailing} `.`")),
        ("m f=-1u 17000000000", format!("{trailing} `u 17000000...`")),
        ("m f=1, g=2", format!("{trailing} ` g=2`")),
        ("m f=1 17\r", format!("{trailing} `\r`")),
        ("m f=1 17 x", format!("{trailing} `x`")),
        ("m f=tRUE", format!("{trailing} `RUE`")),
        ("m f=9223372036854775808i", "Unable to parse integer value `9223372036854775808`".into()),
        (
            "m f=1 9223372036854775808",
            "Unable to parse timestamp value `9223372036854775808`".into(),
        ),
    ] {
        assert_eq!(only(line), Err(expected), "{line:?}");
    }
}

#[test]
fn blank_lines_and_comments_are_no_lines() {
    let body = "\n# c\n   \nm f=1\n  # c m f=2\nm f=\"a\n# x\" 2\n";
    let texts: Vec<_> = parse_lines(body, LONGEST).iter().map(|line| line.text).collect();
    assert_eq!(texts, ["m f=1", "m f=\"a\n# x\" 2"]);
}

#[test]
fn names_tag_values_and_strings_have_a_length() {
    let long = "x".repeat(LONGEST);
    for fits in [format!("{long} f=1"), format!("m,t={long} f=1"), format!("m f=\"{long}\"")] {
        assert!(only(&fits).is_ok());
    }
    for exceeds in [format!("{long}x f=1"), format!("m,t={long}x f=1"), format!("m f=\"{long}x\"")]
    {
        assert_eq!(only(&exceeds), Err("String is greater than 64KB".into()));
    }
}
