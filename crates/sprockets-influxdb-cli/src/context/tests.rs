use super::*;

#[test]
fn the_comments_of_an_import_file_are_understood() {
    let mut context = Context::default();
    for (comment, database, is_statements) in [
        ("# any", None, false),
        ("# DDL", None, true),
        ("# DML", None, false),
        ("# CONTEXT-DATABASE: my db ", Some("my db"), false),
        ("#CONTEXT-DATABASE:other", Some("other"), false),
        ("# CONTEXT-RETENTION-POLICY: autogen", Some("other"), false),
    ] {
        context.read(comment.as_bytes());
        assert_eq!((context.database.as_deref(), context.is_statements), (database, is_statements));
    }
}

#[test]
fn only_names_that_are_read_back_unchanged_get_a_comment() {
    assert_eq!(comment("my db").as_deref(), Some("# CONTEXT-DATABASE: my db"));
    for name in ["", " db", "db ", "a\nb"] {
        assert_eq!(comment(name), None, "{name:?}");
    }
}

#[test]
fn timestamps_become_nanoseconds() {
    for (line, precision, converted) in [
        ("m f=1 7", Precision::Nanoseconds, Some("m f=1 7")),
        ("m f=\"a 1\" -7", Precision::Seconds, Some("m f=\"a 1\" -7000000000")),
        ("m f=1i 7", Precision::Milliseconds, Some("m f=1i 7000000")),
        ("m f=1", Precision::Nanoseconds, None),
        ("m f=1 9223372036854775807", Precision::Seconds, None),
    ] {
        let found = in_nanoseconds(line.as_bytes(), precision);
        assert_eq!(found.as_deref(), converted.map(str::as_bytes), "{line}");
    }
}
