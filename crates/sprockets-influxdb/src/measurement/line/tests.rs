use super::*;
use crate::Measurement;

fn line(measurement: &Measurement, base_tags: &BaseTags) -> String {
    let line = measurement.line(base_tags, 1);
    let mut bytes = Vec::new();
    line.write_to(&mut bytes);
    assert_eq!(bytes.len(), line.len());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn base_tags_come_first_and_a_measurements_own_tag_wins() {
    let base_tags = BaseTags::new([("host", "a b"), ("empty", ""), ("env", "x"), ("env", "test")]);
    let measurement = Measurement::new("db", "m").field("f", 1).timestamp(7);
    assert_eq!(line(&measurement, &base_tags), "m,host=a\\ b,env=test f=1i 7\n");
    let measurement = measurement.tag("z", "1").tag("env", "prod");
    assert_eq!(line(&measurement, &base_tags), "m,host=a\\ b,z=1,env=prod f=1i 7\n");
    let mut measurement = measurement.tag("host", "c");
    assert_eq!(line(&measurement, &base_tags), "m,z=1,env=prod,host=c f=1i 7\n");
    measurement.set_tag("host", "").omit_base_tags();
    assert_eq!(line(&measurement, &base_tags), "m,z=1,env=prod f=1i 7\n");
}

#[test]
fn a_base_tag_gives_way_to_a_field_of_its_name() {
    let base_tags = BaseTags::new([("host", "a"), ("env", "test"), ("a b", "c")]);
    let measurement = Measurement::new("db", "m").field("env", 1).field("a b", 2).timestamp(7);
    assert_eq!(line(&measurement, &base_tags), "m,host=a env=1i,a\\ b=2i 7\n");
}

#[test]
fn the_length_is_known_whatever_the_timestamp() {
    for timestamp in [0, 1, -1, 9, 10, -10, 99, 100, i64::MAX, i64::MIN, 1_000_000_000_000_000_000]
    {
        let measurement = Measurement::new("db", "m").field("f", 1).timestamp(timestamp);
        assert_eq!(line(&measurement, &BaseTags::default()), format!("m f=1i {timestamp}\n"));
    }
}

#[test]
fn a_measurement_with_many_tags_still_overrides() {
    let base_tags = BaseTags::new([("t3", "base"), ("other", "base")]);
    let mut measurement = Measurement::new("db", "m").field("f", 1).timestamp(7);
    for tag in 0..40 {
        measurement.set_tag(format!("t{tag}"), "own");
    }
    let line = line(&measurement, &base_tags);
    assert!(line.starts_with("m,other=base,t0=own"), "{line}");
    assert_eq!(line.matches(",t3=").count(), 1);
}

#[test]
fn tags_are_found_among_escaped_commas_and_longer_keys() {
    let keys = ["a", "a,b", "b", "a=b", "ab", r"c\d", "é"];
    let measurement = Measurement::new("db", "m").field("f", 1).timestamp(7);
    for own in keys {
        let mut measurement = measurement.clone();
        measurement.set_timestamp(7).set_tag("x", "1,b=2,a=3").set_tag(own, "own");
        measurement.set_tag("y", r"\,a\");
        for base in keys {
            let line = line(&measurement, &BaseTags::new([(base, "base")]));
            assert_eq!(line.contains("=base"), own != base, "{base:?}: {line}");
        }
    }
}

#[test]
fn of_more_than_64_base_tags_each_may_be_overridden() {
    let names: Vec<String> = (0..130).map(|tag| format!("t{tag}")).collect();
    let base_tags = BaseTags::new(names.iter().map(|name| (name.as_str(), "base")));
    for own in [0, 63, 64, 129] {
        let mut measurement = Measurement::new("db", "m").field("f", 1).timestamp(7);
        measurement.set_tag(&names[own], "own");
        let line = line(&measurement, &base_tags);
        assert_eq!(line.matches("=base").count(), 129);
        assert!(!line.contains(&format!(",t{own}=base")), "{line}");
    }
}
