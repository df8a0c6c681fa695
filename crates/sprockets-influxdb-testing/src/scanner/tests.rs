use super::*;
use crate::rules::Precision;

const RULES: Rules =
    Rules { precision: Precision::Nanosecond, now: 1_234_567_890_123_456_789, unsigned: true };

fn read(line: impl AsRef<[u8]>) -> Result<Point, Reason> {
    parse_line(line.as_ref(), &RULES)
}

#[track_caller]
fn refused(line: impl AsRef<[u8]>, reason: &str) {
    let line = line.as_ref();
    assert_eq!(read(line), Err(reason.to_owned()), "{}", String::from_utf8_lossy(line));
}

fn only_field(line: &str) -> Value {
    let mut point = read(line).unwrap_or_else(|reason| panic!("{line}: {reason}"));
    assert_eq!(point.fields.len(), 1, "{line}");
    point.fields.remove(0).1
}

#[test]
fn a_line_becomes_a_point_in_the_order_of_its_keys() {
    let line = "req,verb=GET,app=web size=17i,took=0.25,ok=t,path=\"/a b\",big=3u 42";
    let expected = Point {
        measurement: "req".into(),
        tags: vec![("app".into(), "web".into()), ("verb".into(), "GET".into())],
        fields: vec![
            ("big".into(), Value::Unsigned(3)),
            ("ok".into(), Value::Boolean(true)),
            ("path".into(), Value::String("/a b".into())),
            ("size".into(), Value::Integer(17)),
            ("took".into(), Value::Float(0.25)),
        ],
        timestamp: 42,
    };
    assert_eq!(read(line), Ok(expected));
}

#[test]
fn names_are_unescaped() {
    let cases = [
        (r"a\ b f=1", "a b"),
        (r"a\,b f=1", "a,b"),
        (r"\,a f=1", ",a"),
        ("a=b f=1", "a=b"),
        ("\"a\" f=1", "\"a\""),
        (r"\#a f=1", r"\#a"),
        (r"C:\dir f=1", r"C:\dir"),
        ("größe温度 f=1", "größe温度"),
        ("_internal f=1", "_internal"),
        ("time f=1", "time"),
        (r"a\,k=v f=1", "a,k=v"),
    ];
    for (line, measurement) in cases {
        assert_eq!(read(line).map(|point| point.measurement), Ok(measurement.into()), "{line}");
    }
    let cases = [
        (r"m,k=a\ b f=1", "k", "a b"),
        (r"m,k=\ a\  f=1", "k", " a "),
        (r"m,k=a\,b f=1", "k", "a,b"),
        (r"m,k=a\=b f=1", "k", "a=b"),
        (r"m,a\ k\=\,=v f=1", "a k=,", "v"),
        (r"m,k=C:\Users\me f=1", "k", r"C:\Users\me"),
        (r#"m,k="a" f=1"#, "k", "\"a\""),
        (r#"m,k=a\"b f=1"#, "k", "a\\\"b"),
        ("m,#k=#v f=1", "#k", "#v"),
        ("m,k=007 f=1", "k", "007"),
    ];
    for (line, key, value) in cases {
        let point = read(line).unwrap_or_else(|reason| panic!("{line}: {reason}"));
        assert_eq!(point.tags, [(key.to_owned(), value.to_owned())], "{line}");
    }
    let cases =
        [(r"m a\ b=1", "a b"), (r"m a\,b\=c=1", "a,b=c"), (r"m a\b=1", r"a\b"), ("m \"a=1", "\"a")];
    for (line, key) in cases {
        assert_eq!(read(line).unwrap().fields[0].0, key, "{line}");
    }
}

#[test]
fn strings_keep_everything_but_their_escapes() {
    let cases = [
        (r#"m f="""#, ""),
        (r#"m f="a, b=c d" 1"#, "a, b=c d"),
        (r#"m f="say \"hi\"" 1"#, "say \"hi\""),
        (r#"m f="a\\" 1"#, r"a\"),
        (r#"m f="C:\dir\ \,\=\n" 1"#, r"C:\dir\ \,\=\n"),
        (r#"m f="\\\"" 1"#, "\\\""),
        ("m f=\"two\nlines\r\n\tand \0 \u{1} \u{7f}\" 1", "two\nlines\r\n\tand \0 \u{1} \u{7f}"),
        ("m f=\"naïve 🚀\" 1", "naïve 🚀"),
        (r#"m f="1.5" 1"#, "1.5"),
    ];
    for (line, string) in cases {
        assert_eq!(only_field(line), Value::from(string), "{line}");
    }
}

#[test]
fn numbers_and_booleans_are_read_as_all_servers_read_them() {
    let floats = [
        ("1", 1.0),
        ("-1.5", -1.5),
        ("007", 7.0),
        ("00.5", 0.5),
        ("2e3", 2000.0),
        ("1E+3", 1000.0),
        ("1.5e-3", 0.0015),
        ("1e-400", 0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("18446744073709551615", 18446744073709551615.0),
        ("0.30000000000000004", 0.30000000000000004),
    ];
    for (token, value) in floats {
        assert_eq!(only_field(&format!("m f={token}")), Value::Float(value), "{token}");
    }
    let Value::Float(zero) = only_field("m f=-0") else { panic!("a float") };
    assert!(zero == 0.0 && zero.is_sign_negative());

    let integers = [
        ("1i", 1),
        ("-0i", 0),
        ("007i", 7),
        ("9223372036854775807i", i64::MAX),
        ("-9223372036854775808i", i64::MIN),
    ];
    for (token, value) in integers {
        assert_eq!(only_field(&format!("m f={token}")), Value::Integer(value), "{token}");
    }
    assert_eq!(only_field("m f=18446744073709551615u"), Value::Unsigned(u64::MAX));
    for token in ["t", "T", "true", "True", "TRUE"] {
        assert_eq!(only_field(&format!("m f={token}")), Value::Boolean(true), "{token}");
    }
    for token in ["f", "F", "false", "False", "FALSE"] {
        assert_eq!(only_field(&format!("m f={token}")), Value::Boolean(false), "{token}");
    }
}

#[test]
fn what_is_no_value_is_refused() {
    let number = [
        "+1", "1f", "1_0", "0x1", "1.1.1", "1%", "--1", "-", "1I", "1i0", "1U", "1e3i", "1.5i",
        "1,5\"", "'a'", "-true",
    ];
    for token in &number[..number.len() - 3] {
        refused(format!("m f={token} 1"), "invalid number");
    }
    for token in ["'a'", "-true"] {
        refused(format!("m f={token}"), "invalid number");
    }
    for token in [".5", "-.5", ".", "-."] {
        refused(format!("m f={token}"), "invalid number: no digit before the point");
    }
    refused("m f=1.", "invalid number: no digit after the point");
    refused("m f=1.e3", "invalid number: no digit after the point");
    for token in ["1e", "1e+", "1E-"] {
        refused(format!("m f={token}"), "invalid float: no digit in the exponent");
    }
    refused("m f=1e400", "invalid float: value out of range");
    for token in ["NaN", "nan", "inf", "-Inf", "+Inf", "Infinity", "-infinity"] {
        refused(format!("m f={token}"), "invalid number: only finite numbers can be stored");
    }
    for token in ["tRUE", "tr", "yes", "null", "None", "i", "e3", "word"] {
        refused(format!("m f={token}"), "invalid boolean");
    }
    for digits in ["9223372036854775808", "-9223372036854775809"] {
        let reason = format!("unable to parse integer {digits}: value out of range");
        refused(format!("m f={digits}i"), &reason);
    }
    let reason = "unable to parse integer 18446744073709551616: value out of range";
    refused("m f=18446744073709551616u", reason);
    refused("m f=-1u", "unable to parse integer -1: value out of range");
    assert_eq!(
        parse_line(b"m f=1u", &Rules { unsigned: false, ..RULES }),
        Err("invalid number: InfluxDB 1.x has no unsigned integers".into())
    );
}

#[test]
fn a_line_out_of_shape_is_refused_with_the_reason() {
    let cases = [
        (",k=v f=1", "missing measurement"),
        (" m f=1", "space before the measurement"),
        ("m", "missing fields"),
        ("m ", "missing fields"),
        ("m,k=v", "missing fields"),
        ("m,k=v ", "missing fields"),
        ("m  f=1", "more than one space before the fields"),
        ("m, f=1", "missing tag key"),
        ("m,,k=v f=1", "missing tag key"),
        ("m,k=v, f=1", "missing tag key"),
        ("m,=v f=1", "missing tag key"),
        ("m,k f=1", "missing tag value"),
        ("m,k= f=1", "missing tag value"),
        ("m,k=,l=w f=1", "missing tag value"),
        ("m,k==v f=1", "missing tag value"),
        ("m,k=v=w f=1", "invalid tag format"),
        ("m,k=\"a b\" f=1", "invalid field format"),
        ("m,k=a b f=1", "invalid field format"),
        ("m,b=1,a=1,b=2 f=1", "duplicate tags"),
        ("m,a=1,a=1 f=1", "duplicate tags"),
        ("m,time=v f=1", "cannot use reserved tag key \"time\""),
        ("m,_field=v f=1", "cannot use reserved tag key \"_field\""),
        ("m,_measurement=v f=1", "cannot use reserved tag key \"_measurement\""),
        ("m =1", "missing field key"),
        ("m ,f=1", "missing field key"),
        ("m f=1,", "missing field key"),
        ("m f=1, 1", "missing field key"),
        ("m f=1, g=2", "missing field key"),
        ("m f=1,=2", "missing field key"),
        ("m f", "invalid field format"),
        ("m f 1", "invalid field format"),
        ("m f=", "missing field value"),
        ("m f= 1", "missing field value"),
        ("m f=,g=1", "missing field value"),
        ("m f=g=1", "invalid boolean"),
        ("m f=\"a\"b", "invalid field format"),
        ("m f=1\"2\"", "invalid number"),
        ("m f=\"a", "unbalanced quotes"),
        ("m f=\"a\\\" 1", "unbalanced quotes"),
        ("m f=1,f=1", "duplicate field \"f\""),
        ("m f=1,f=\"a\"", "duplicate field \"f\""),
        ("m,k=v k=1", "\"k\" is both a tag and a field"),
        ("m f=1\t1", "invalid number"),
        ("m f=\"a\"\r", "invalid field format"),
    ];
    for (line, reason) in cases {
        refused(line, reason);
    }
    let reason = "invalid field name: input field \"time\" on measurement \"m\" is invalid";
    refused("m time=1", reason);
    refused("m f=1,time=1", reason);
}

#[test]
fn names_that_servers_read_differently_are_refused() {
    let differ = |name: &str| format!("{name}, which servers read differently");
    refused(r"a\\b f=1", &differ(r"the measurement has \\"));
    refused(r"m\\,k=v f=1", &differ(r"the measurement has \\"));
    refused(r"m,k\\=v f=1", &differ(r"a tag key has \\"));
    refused(r"m,k=v\\ f=1", &differ(r"a tag value has \\"));
    refused(r"m f\\=1", &differ(r"a field key has \\"));
    refused(r"a\=b f=1", &differ(r"the measurement has \="));
    refused(r#"a\"b f=1"#, &differ(r#"the measurement has \""#));
    refused(r#"m f\"=1"#, &differ(r#"a field key has \""#));

    refused(r"m\", "the measurement ends with a backslash");
    refused(r"m,k=v\", "a tag value ends with a backslash");
    refused(r"m,k=v\ f=1", "invalid tag format");
    refused(r"m,k=v\,l=w f=1", "invalid tag format");
    refused(r"m\ f=1", "missing fields");
    refused(r"m f\=1", "invalid field format");
}

#[test]
fn control_characters_are_refused_outside_strings() {
    for (byte, hex) in [(0u8, "0x00"), (1, "0x01"), (9, "0x09"), (13, "0x0d"), (127, "0x7f")] {
        let control = char::from(byte);
        let cases = [
            (format!("m{control}x f=1"), "the measurement"),
            (format!("{control}m f=1"), "the measurement"),
            (format!("m\\{control}x f=1"), "the measurement"),
            (format!("m,k{control}x=v f=1"), "a tag key"),
            (format!("m,k=v{control}x f=1"), "a tag value"),
            (format!("m f{control}x=1"), "a field key"),
        ];
        for (line, part) in cases {
            refused(&line, &format!("{part} has the control character {hex}"));
        }
        refused(format!("m f=1{control}"), "invalid number");
        refused(format!("m f=1 1{control}"), "bad timestamp");
    }
    refused("m\\\nx f=1", "the measurement has the control character 0x0a");
    refused("m\tf=1", "the measurement has the control character 0x09");
}

#[test]
fn text_must_be_utf8_everywhere() {
    for line in [&b"m\xff f=1"[..], b"m,k=\xff f=1", b"m f=\"\xff\"", b"m,k=\xed\xa0\x80 f=1"] {
        refused(line, "invalid UTF-8");
    }
}

#[test]
fn timestamps_are_whole_numbers_in_range() {
    let limit = i64::MAX - 1;
    for (token, time) in [("0", 0), ("-1", -1), ("0042", 42)] {
        assert_eq!(read(format!("m f=1 {token}")).unwrap().timestamp, time);
    }
    assert_eq!(read(format!("m f=1 {limit}")).unwrap().timestamp, limit);
    assert_eq!(read(format!("m f=1 -{limit}")).unwrap().timestamp, -limit);
    for token in [i64::MAX.to_string(), i64::MIN.to_string(), "9".repeat(40)] {
        refused(format!("m f=1 {token}"), &format!("time outside range -{limit} - {limit}"));
    }
    for token in ["1.5", "1e3", "now", "-", "+1", "\"1\"", "1i", "1 x", "0x1", "2024-01-01"] {
        refused(format!("m f=1 {token}"), "bad timestamp");
    }
    for line in ["m f=1 ", "m f=1  1", "m f=1 1 ", "m f=1   "] {
        refused(line, "more than one space after the fields, or a space at the end");
    }
}

#[test]
fn timestamps_are_scaled_and_missing_ones_are_cut_to_the_precision() {
    let cases = [
        (Precision::Nanosecond, 1, 1_234_567_890_123_456_789),
        (Precision::Microsecond, 1_000, 1_234_567_890_123_456_000),
        (Precision::Millisecond, 1_000_000, 1_234_567_890_123_000_000),
        (Precision::Second, 1_000_000_000, 1_234_567_890_000_000_000),
        (Precision::Minute, 60_000_000_000, 1_234_567_860_000_000_000),
        (Precision::Hour, 3_600_000_000_000, 1_234_566_000_000_000_000),
        (Precision::Auto, 1_000_000_000, 1_234_567_890_123_456_789),
    ];
    for (precision, unit, now) in cases {
        let rules = Rules { precision, ..RULES };
        let time = |line: &[u8]| parse_line(line, &rules).unwrap().timestamp;
        assert_eq!(time(b"m f=1 7"), 7 * unit, "{precision:?}");
        assert_eq!(time(b"m f=1 -7"), -7 * unit, "{precision:?}");
        assert_eq!(time(b"m f=1"), now, "{precision:?}");
    }
    let auto = Rules { precision: Precision::Auto, ..RULES };
    for (token, time) in [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000123", 1_700_000_000_123_000_000),
        ("1700000000123456", 1_700_000_000_123_456_000),
        ("1700000000123456789", 1_700_000_000_123_456_789),
    ] {
        assert_eq!(parse_line(format!("m f=1 {token}").as_bytes(), &auto).unwrap().timestamp, time);
    }
    let seconds = Rules { precision: Precision::Second, ..RULES };
    assert!(parse_line(b"m f=1 1700000000000000000", &seconds).is_err());
}

#[test]
fn lengths_end_where_a_server_ends_them() {
    // Escapes count in the series key: "m,k=" and the value, 4, and the field's key.
    let value = "v".repeat(65_535 - "m,k=".len() - 4 - "f".len());
    assert!(read(format!("m,k={value} f=1")).is_ok());
    refused(format!("m,k={value}v f=1"), "max key length exceeded: 65536 > 65535");
    refused(format!("m,k={value} fg=1"), "max key length exceeded: 65536 > 65535");
    refused(format!("m,k=\\ {} f=1", &value[1..]), "max key length exceeded: 65536 > 65535");

    let string = "s".repeat(1 << 20);
    assert!(read(format!("m f=\"{string}\"")).is_ok());
    refused(format!("m f=\"{string}s\""), "string longer than 1048576 bytes");
}

#[test]
fn no_bytes_make_it_panic() {
    let alphabet = *b"m,= \\\"1i.-et\n\xc3\xa4\x00#";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        let mut line = Vec::new();
        for _ in 0..state % 24 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            line.push(alphabet[usize::try_from(state % 17).unwrap()]);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = read(&line);
    }
}
