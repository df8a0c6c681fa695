use super::*;

fn measurement() -> Measurement {
    Measurement::new("db", "m").timestamp(7)
}

#[test]
fn the_line_has_name_tags_fields_and_timestamp_in_the_order_given() {
    let line = measurement().tag("z", "1").tag("a", "2").field("y", 1.5).field("b", 2).marshall();
    assert_eq!(line, "m,z=1,a=2 y=1.5,b=2i 7");
}

#[test]
fn without_tags_there_is_no_comma() {
    assert_eq!(measurement().field("f", true).marshall(), "m f=true 7");
}

#[test]
fn empty_tags_are_left_out_and_removed() {
    let mut measurement = measurement().tag("a", "").tag("b", "1").tag("c", "2").field("f", 1);
    assert_eq!(measurement.marshall(), "m,b=1,c=2 f=1i 7");
    measurement.set_tag("b", "");
    assert_eq!(measurement.marshall(), "m,c=2 f=1i 7");
    measurement.set_tag("c", "");
    assert_eq!(measurement.marshall(), "m f=1i 7");
}

#[test]
fn setting_again_replaces_in_place() {
    let mut measurement = measurement();
    for value in ["one", "twenty-two", "3"] {
        measurement.set_tag("a", value).set_tag("b c", value).set_tag("d", value);
        measurement.set_field("a", value).set_field("b", value.len()).set_field("c", value);
    }
    assert_eq!(measurement.marshall(), r#"m,a=3,b\ c=3,d=3 a="3",b=1i,c="3" 7"#);
}

#[test]
fn many_keys_are_replaced_like_few() {
    let mut measurement = measurement();
    for round in 0..3 {
        for key in 0..100 {
            measurement.set_tag(format!("t{key}"), format!("{round}"));
            measurement.set_field(format!("f{key}"), format!("{round},t{key}=\"x\" f=1"));
        }
    }
    let line = measurement.marshall();
    assert_eq!(line.matches("=2,").count() + line.matches("=2 ").count(), 100);
    assert_eq!(line.matches(r#"="2,t"#).count(), 100);
}

#[test]
fn more_tags_and_fields_than_any_server_takes_are_refused() {
    let wide = |tags: usize, fields: usize, value: f64| {
        let mut measurement = measurement();
        (0..tags).for_each(|n| _ = measurement.set_tag(format!("t{n}"), "v"));
        (0..fields).for_each(|n| _ = measurement.set_field(format!("f{n}"), value));
        measurement.check(true, true)
    };
    for (tags, fields) in [(4_095, 1), (1, 4_095), (0, 4_096), (2_000, 2_000)] {
        wide(tags, fields, 1.0).unwrap();
    }
    let rows = [(4_096, 1, 1.0), (64_000, 1, 1.0), (1, 64_000, 1.0), (4_090, 7, 1.0)];
    for (tags, fields, value) in rows.into_iter().chain([(1, 64_000, f64::NAN)]) {
        let error = wide(tags, fields, value).unwrap_err().to_string();
        assert!(error.contains("more than 4096 tags and fields"), "{error}");
    }
}

#[test]
fn keys_that_were_removed_do_not_count() {
    let mut measurement = measurement().field("f", 1);
    (0..4_000).for_each(|n| _ = measurement.set_tag(format!("t{n}"), "v"));
    for round in 0..1_000 {
        measurement.set_tag("more", format!("{round}")).set_tag("more", "");
    }
    measurement.check(true, true).unwrap();
    assert_eq!(measurement.marshall().matches("=v").count(), 4_000);
}

#[test]
fn many_tags_override_base_tags_like_few() {
    let base_tags: Vec<_> = (0..400).map(|n| (format!("t{n}"), "base")).collect();
    let base_tags = BaseTags::new(base_tags.iter().map(|(name, value)| (&**name, *value)));
    let mut measurement = measurement();
    (0..200).for_each(|n| _ = measurement.set_tag(format!("t{}", 2 * n), "own"));
    (0..100).for_each(|n| _ = measurement.set_field(format!("t{}", 4 * n + 1), 1));
    let (mut line, mut bytes) = (Vec::new(), 0);
    for _ in 0..2 {
        line.clear();
        let written = measurement.line(&base_tags, 1);
        bytes = written.len();
        written.write_to(&mut line);
    }
    assert_eq!(line.len(), bytes);
    let line = String::from_utf8(line).unwrap();
    assert_eq!((line.matches("=own").count(), line.matches("=base").count()), (200, 100));
}

#[test]
fn keys_that_a_repair_makes_equal_are_one_key() {
    let line = measurement().tag("a\n", "1").tag("a ", "2").field("time", 1).field("time_", 2);
    assert!(line.is_repaired());
    assert_eq!(line.marshall(), r"m,a\ =2 time_=2i 7");
}

#[test]
fn reserved_and_empty_keys_are_repaired() {
    let line = measurement().tag("time", "a").tag("_field", "b").tag("_measurement", "c");
    let line = line.tag("", "d").field("time", 1).field("_field", 2).field("", 3);
    assert_eq!(
        line.marshall(),
        "m,time_=a,_field_=b,_measurement_=c,_=d time_=1i,_field=2i,_=3i 7"
    );
}

#[test]
fn floats_that_are_not_finite_are_left_out_and_counted() {
    let mut measurement = measurement().field("a", f64::NAN).field("b", 1.0).field("c", 2);
    measurement.set_field("b", f64::INFINITY);
    assert_eq!((measurement.marshall().as_str(), measurement.non_finite()), ("m c=2i 7", 2));
    measurement.set_field("a", 3).set_field("b", 4);
    assert_eq!(
        (measurement.marshall().as_str(), measurement.non_finite()),
        ("m c=2i,a=3i,b=4i 7", 0)
    );
}

#[test]
fn measurements_that_no_server_can_store_are_refused() {
    let refused = |measurement: Measurement, has_unsigned| {
        measurement
            .check(!measurement.database().is_empty(), has_unsigned)
            .expect_err("refused")
            .to_string()
    };
    let contains = |text: String, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "{text:?} does not contain {part:?}");
        }
    };
    contains(refused(measurement(), true), &["\"m\"", "no field"]);
    contains(refused(Measurement::new("db", "").field("f", 1), true), &["\"db\"", "empty name"]);
    contains(refused(Measurement::new("", "m").field("f", 1), true), &["\"m\"", "no database"]);
    contains(
        refused(measurement().field("f", u64::MAX), false),
        &["\"f\"", "18446744073709551615"],
    );
    contains(refused(measurement().field("f", i128::MAX), true), &["\"f\"", "17014118346046923"]);
    contains(
        refused(measurement().field("f", 1).timestamp(i64::MAX), true),
        &["9223372036854775807"],
    );
    measurement().field("f", u64::MAX).check(true, true).unwrap();
    measurement().field("f", u64::MAX).field("f", 1).check(true, false).unwrap();
    measurement().field("f", i128::MAX).field("f", 1).check(true, false).unwrap();
    measurement().field("f\"", i128::MAX).field("f'", 1).check(true, false).unwrap();
    measurement().field("f", f64::NAN).check(true, false).unwrap();
}

#[test]
fn a_name_that_is_a_tag_and_a_field_is_refused() {
    for name in ["a", "with space", "time", "a_much_longer_name_than_sixteen_bytes"] {
        let both = measurement().tag("x", "1").tag(name, "1").field("y", 1).field(name, 1);
        let message = both.check(true, true).expect_err("refused").to_string();
        assert!(message.contains(" is a tag and a field of measurement \"m\""), "{message}");
        let both = measurement().field(name, 1).tag(name, "1");
        both.check(true, true).unwrap_err();
        both.tag(name, "").check(true, true).unwrap();
        measurement().field(name, f64::NAN).tag(name, "1").field("f", 1).check(true, true).unwrap();
    }
}

#[test]
fn names_that_only_resemble_each_other_are_not_refused() {
    let mut measurement = measurement();
    for key in 0..200 {
        measurement.set_tag(format!("t{key}"), ",f1=1 f1=1");
        measurement.set_field(format!("f{key}"), ",t1=1 t1=1");
    }
    measurement.check(true, true).unwrap();
    measurement.set_field("t77", 1);
    measurement.check(true, true).unwrap_err();
}

#[test]
fn defaults_give_way_to_what_has_their_name() {
    let mut measurement = measurement().tag("a", "1").field("b", 1);
    assert!(measurement.default_tag("b", "default"));
    assert!(!measurement.default_tag("a", "default"));
    assert!(!measurement.default_tag("c", "default"));
    assert!(measurement.default_field("a", &2.into()));
    assert!(!measurement.default_field("b", &2.into()));
    assert!(!measurement.default_field("d", &2.into()));
    assert_eq!(measurement.marshall(), "m,a=1,c=default b=1i,d=2i 7");
    measurement.check(true, true).unwrap();
}

#[test]
fn tags_that_have_the_name_of_a_field_can_be_removed() {
    let mut measurement = measurement().field("b", 1).field("c =", 2);
    measurement.set_tags([("a", "1"), ("b", "1"), ("c =", "1"), ("d", "1")]);
    measurement.check(true, true).unwrap_err();
    assert_eq!(measurement.remove_tags_of_fields().as_deref(), Some("b"));
    assert_eq!(measurement.marshall(), r"m,a=1,d=1 b=1i,c\ \==2i 7");
    measurement.check(true, true).unwrap();
    assert_eq!(measurement.remove_tags_of_fields(), None);
}

#[test]
fn a_measurement_added_again_gets_a_new_timestamp_unless_the_user_set_it() {
    let measurement = Measurement::new("db", "m").field("f", 1);
    let mut lines = Vec::new();
    for _ in 0..3 {
        measurement.line(&BaseTags::default(), 1).write_to(&mut lines);
        measurement.clone().line(&BaseTags::default(), 1).write_to(&mut lines);
    }
    let text = String::from_utf8(lines).unwrap();
    let stamps: std::collections::HashSet<_> = text.lines().collect();
    assert_eq!(stamps.len(), 6);

    let fixed = measurement.timestamp(5);
    let mut lines = Vec::new();
    fixed.line(&BaseTags::default(), 1).write_to(&mut lines);
    fixed.line(&BaseTags::default(), 1).write_to(&mut lines);
    assert_eq!(lines, b"m f=1i 5\nm f=1i 5\n");
}

#[test]
fn the_precision_divides_towards_the_past() {
    let line = |timestamp: i64| {
        let mut bytes = Vec::new();
        let measurement = Measurement::new("db", "m").field("f", 1).timestamp(timestamp);
        measurement.line(&BaseTags::default(), 1_000).write_to(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(line(1_999), "m f=1i 1\n");
    assert_eq!(line(-1), "m f=1i -1\n");
}

#[test]
fn duration_records_seconds_even_when_the_block_panics() {
    let mut measurement = Measurement::new("db", "m");
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _timed = measurement.duration("d");
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(result.is_err());
    assert!(measurement.marshall().contains(" d="), "{measurement:?}");
}
