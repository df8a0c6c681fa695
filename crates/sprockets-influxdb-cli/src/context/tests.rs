use super::*;

#[test]
fn the_comments_of_an_import_file_are_understood() {
    let mut context = Context::default();
    for (comment, database, policy, is_statements) in [
        ("# any", None, None, false),
        ("# DDL", None, None, true),
        ("# INFLUXDB EXPORT: 1677-09-21T00:12:43Z", None, None, true),
        ("# DML", None, None, false),
        ("# DDL:", None, None, true),
        ("#dml:", None, None, false),
        ("# CONTEXT-DATABASE: my db ", Some("my db"), None, false),
        ("# DDL", Some("my db"), None, true),
        ("#CONTEXT-DATABASE:other", Some("other"), None, false),
        ("# CONTEXT-RETENTION-POLICY: one week", Some("other"), Some("one week"), false),
        ("# CONTEXT-DATABASE:db", Some("db"), Some("one week"), false),
        ("# CONTEXT-RETENTION-POLICY:", Some("db"), None, false),
    ] {
        context.read(comment.as_bytes());
        let found = (context.database.as_deref(), context.policy.as_deref(), context.is_statements);
        assert_eq!(found, (database, policy, is_statements), "{comment}");
    }
}

#[test]
fn only_names_that_are_read_back_unchanged_get_a_comment() {
    assert_eq!(comment("my db").as_deref(), Some("# CONTEXT-DATABASE: my db"));
    let policy = "# CONTEXT-RETENTION-POLICY: one week";
    assert_eq!(policy_comment("one week").as_deref(), Some(policy));
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
