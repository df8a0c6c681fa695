use super::*;
use crate::line_protocol::parse;

fn database(text: &str) -> Database {
    let mut database = Database::default();
    parse(text).unwrap().into_iter().for_each(|point| database.insert(point));
    database
}

#[test]
fn the_same_series_and_time_is_one_point_whose_fields_merge() {
    let text = "m,a=1,b=2 f=1,g=1 7\nm,b=2,a=1 g=2,h=3 7\n";
    let database = database(text);
    assert_eq!(database.points(), parse("m,a=1,b=2 f=1,g=2,h=3 7").unwrap());
    assert_eq!((database.count(), database.lines_received()), (1, 2));
}

#[test]
fn another_measurement_tag_or_time_is_another_point() {
    let text = "m f=1 7\nm f=1 8\nn f=1 7\nm,t=a f=1 7\nm,t=b f=1 7";
    assert_eq!(database(text).count(), 5);
}

#[test]
fn points_come_by_time_then_measurement_then_tags() {
    let sorted = "b f=1 1\na f=1 2\na,t=x f=1 2\na,t=y f=1 2\nb f=1 2";
    let mut shuffled: Vec<_> = sorted.lines().collect();
    shuffled.rotate_left(2);
    shuffled.swap(0, 3);
    assert_eq!(database(&shuffled.join("\n")).points(), parse(sorted).unwrap());
}

#[test]
fn a_field_keeps_its_first_type_in_its_measurement() {
    let database = database("m f=1 1");
    let points = parse("m f=2i 2\nm,t=a f=\"x\" 3\nn f=2i 4\nm g=1i 5\nm g=1 6").unwrap();
    let conflicts = database.conflicts(points.iter());
    let summary = |conflict: &Option<Conflict>| {
        conflict.as_ref().map(|found| (found.given, found.existing, found.within_batch))
    };
    assert_eq!(
        conflicts.iter().map(summary).collect::<Vec<_>>(),
        [
            Some(("integer", "float", false)),
            Some(("string", "float", false)),
            None,
            None,
            Some(("float", "integer", true)),
        ]
    );
}
