//! What the server holds, by database. Same series and same timestamp is the same point: fields are merged, the last
//! value of a field wins, and a field of a measurement keeps the type that it was first written with.

use std::collections::{BTreeMap, HashMap};

use super::point::{Point, Value};

/// What makes a point one and the same: timestamp, measurement, sorted tags.
type Key = (i64, String, Vec<(String, String)>);

#[derive(Debug, Default)]
pub(super) struct Database {
    points: BTreeMap<Key, BTreeMap<String, Value>>,
    types: Types,
    lines_received: usize,
}

/// A point whose field has another type than the one stored, or than an earlier one of its batch.
#[derive(Debug, PartialEq)]
pub(super) struct Conflict {
    pub(super) measurement: String,
    pub(super) field: String,
    pub(super) given: &'static str,
    pub(super) existing: &'static str,
    /// Whether the field is new with this batch, which disagrees with itself.
    pub(super) within_batch: bool,
}

impl Database {
    /// By time, then measurement, then tags.
    pub(super) fn points(&self) -> Vec<Point> {
        let points = self.points.iter().map(|((timestamp, measurement, tags), fields)| Point {
            measurement: measurement.clone(),
            tags: tags.clone(),
            fields: fields.clone().into_iter().collect(),
            timestamp: *timestamp,
        });
        points.collect()
    }

    pub(super) fn count(&self) -> usize {
        self.points.len()
    }

    /// Every line that was stored, also those that overwrote a point.
    pub(super) fn lines_received(&self) -> usize {
        self.lines_received
    }

    /// For each point the conflict that keeps it from being stored, if there is one. Stores nothing.
    pub(super) fn conflicts<'a>(
        &self,
        points: impl Iterator<Item = &'a Point>,
    ) -> Vec<Option<Conflict>> {
        let mut batch = Types::default();
        points
            .map(|point| {
                let conflict = self.conflict(point, &batch);
                if conflict.is_none() {
                    batch.learn(point);
                }
                conflict
            })
            .collect()
    }

    fn conflict(&self, point: &Point, batch: &Types) -> Option<Conflict> {
        point.fields.iter().find_map(|(field, value)| {
            let stored = self.types.of(&point.measurement, field);
            let existing = stored.or_else(|| batch.of(&point.measurement, field))?;
            (existing != value.type_name()).then(|| Conflict {
                measurement: point.measurement.clone(),
                field: field.clone(),
                given: value.type_name(),
                existing,
                within_batch: stored.is_none(),
            })
        })
    }

    /// Fixes the types of a point's new fields without storing the point.
    pub(super) fn learn_types(&mut self, point: &Point) {
        self.types.learn(point);
    }

    pub(super) fn insert(&mut self, point: Point) {
        self.types.learn(&point);
        self.lines_received += 1;
        let key = (point.timestamp, point.measurement, point.tags);
        self.points.entry(key).or_default().extend(point.fields);
    }
}

/// The types of fields, by measurement and field.
#[derive(Debug, Default)]
struct Types(HashMap<String, HashMap<String, &'static str>>);

impl Types {
    fn of(&self, measurement: &str, field: &str) -> Option<&'static str> {
        self.0.get(measurement)?.get(field).copied()
    }

    fn learn(&mut self, point: &Point) {
        if point.fields.iter().all(|(field, _)| self.of(&point.measurement, field).is_some()) {
            return;
        }
        let types = self.0.entry(point.measurement.clone()).or_default();
        for (field, value) in &point.fields {
            types.entry(field.clone()).or_insert(value.type_name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line_protocol::parse;
    use super::*;

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
}
