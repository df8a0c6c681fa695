use super::*;

#[test]
fn lines_are_found_by_a_field_of_the_wrong_type() {
    let lines = [
        r"m f=1i 1",
        r"m f=1 2",
        r#"m s="f=1i",g=1i 3"#,
        r"m\ n,t=a\ b,u=f\=1i f=1i 4",
        r#"m\ n s="a\" f=1i, b",f=1i 5"#,
        r"m\ n f\ g=1i,f=2.5 6",
        r"m,f=1i g=1i",
        r#"m b=t,s="x",u=1u"#,
    ];
    let batch = Batch::of("db", &lines);
    let find = |field, measurement, kind| TypeConflict { field, measurement, kind }.lines(&batch);
    assert_eq!(find("f", "m", "integer"), [0]);
    assert_eq!(find("f", "m", "float"), [1]);
    assert_eq!(find("f", "m n", "integer"), [3, 4]);
    assert_eq!(find("f g", "m n", "integer"), [5]);
    assert_eq!(find("g", "m", "integer"), [2, 6]);
    assert_eq!(find("b", "m", "boolean"), [7]);
    assert_eq!(find("s", "m", "string"), [2, 7]);
    assert_eq!(find("u", "m", "unsigned"), [7]);
}

#[test]
fn a_type_conflict_is_read() {
    let text = "partial write: field type conflict: input field \"a\" b\" on measurement \"m\" is \
        type integer, already exists as type float dropped=2";
    let conflict = TypeConflict { field: "a\" b", measurement: "m", kind: "integer" };
    assert_eq!(TypeConflict::read(text), Some(conflict));
    assert_eq!(TypeConflict::read("field type conflict"), None);
}

#[test]
fn lines_that_are_cut_short_are_read_to_their_end() {
    let conflict = TypeConflict { field: "f", measurement: "m", kind: "string" };
    for line in [
        "",
        "m",
        "m\\",
        "m ",
        "m f",
        "m f=",
        "m f=\"",
        "m f=\"\\",
        "m,",
        "m f=1,",
        "m g=\"a\"x",
        "\\",
        ",",
    ] {
        assert!(!conflict.is_in(line.as_bytes()) || line.starts_with("m f=\""), "{line}");
    }
}
