use super::*;

#[test]
fn values_are_written_in_the_form_that_every_server_reads() {
    let rows: [(FieldValue<'_>, &str); 22] = [
        (0.1.into(), "0.1"),
        (1.0.into(), "1.0"),
        ((-0.0).into(), "-0.0"),
        (1e21.into(), "1e+21"),
        (1.5e-7.into(), "1.5e-7"),
        (f64::MAX.into(), "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE.into(), "2.2250738585072014e-308"),
        (5e-324.into(), "5e-324"),
        (0.1_f32.into(), "0.10000000149011612"),
        (0.into(), "0i"),
        (i64::MIN.into(), "-9223372036854775808i"),
        (i64::MAX.into(), "9223372036854775807i"),
        (7_u8.into(), "7i"),
        (u64::MAX.into(), "18446744073709551615u"),
        ((1_u64 << 63).into(), "9223372036854775808u"),
        ((u64::MAX >> 1).into(), "9223372036854775807i"),
        (true.into(), "true"),
        (false.into(), "false"),
        ("".into(), "\"\""),
        ("a b,c=d".into(), "\"a b,c=d\""),
        ("\"\\\n\\\"".into(), "\"\\\"\\\\\n\\\\\\\"\""),
        ("\u{1f600}".into(), "\"\u{1f600}\""),
    ];
    for (value, expected) in rows {
        let mut out = TextBuf::default();
        value.write_to(&mut out);
        assert_eq!(std::str::from_utf8(out.as_bytes()).unwrap(), expected);
    }
}
