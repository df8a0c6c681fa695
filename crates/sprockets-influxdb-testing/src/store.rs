//! What the server holds, by database. Same series and same timestamp is the same point: fields are merged, the last
//! value of a field wins, and a field of a measurement keeps the type that it was first written with.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::point::{Point, Value};

/// What makes a point one and the same: timestamp, measurement, sorted tags.
type Key = (i64, String, Vec<(String, String)>);

#[derive(Debug, Default)]
pub(crate) struct Database {
    points: BTreeMap<Key, BTreeMap<String, Value>>,
    types: Types,
    lines_received: usize,
    /// Measurements that no query can read.
    hidden: BTreeSet<String>,
}

/// A point whose field has another type than the one stored, or than an earlier one of its batch.
#[derive(Debug, PartialEq)]
pub(crate) struct Conflict {
    pub(crate) measurement: String,
    pub(crate) field: String,
    pub(crate) given: &'static str,
    pub(crate) existing: &'static str,
    /// Whether the field is new with this batch, which disagrees with itself.
    pub(crate) within_batch: bool,
}

impl Database {
    /// By time, then measurement, then tags.
    pub(crate) fn points(&self) -> Vec<Point> {
        let points = self.visible().map(|((timestamp, measurement, tags), fields)| Point {
            measurement: measurement.clone(),
            tags: tags.clone(),
            fields: fields.clone().into_iter().collect(),
            timestamp: *timestamp,
        });
        points.collect()
    }

    pub(crate) fn count(&self) -> usize {
        if self.hidden.is_empty() { self.points.len() } else { self.visible().count() }
    }

    /// Leaves these measurements, and no others, out of [`points`](Self::points) and
    /// [`count`](Self::count).
    pub(crate) fn hide(&mut self, measurements: impl IntoIterator<Item = String>) {
        self.hidden = measurements.into_iter().collect();
    }

    fn visible(&self) -> impl Iterator<Item = (&Key, &BTreeMap<String, Value>)> {
        self.points.iter().filter(|((_, measurement, _), _)| !self.hidden.contains(measurement))
    }

    /// Every line that was stored, also those that overwrote a point.
    pub(crate) fn lines_received(&self) -> usize {
        self.lines_received
    }

    /// For each point the conflict that keeps it from being stored, if there is one. Stores nothing.
    pub(crate) fn conflicts<'a>(
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
    pub(crate) fn learn_types(&mut self, point: &Point) {
        self.types.learn(point);
    }

    pub(crate) fn insert(&mut self, point: Point) {
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
mod tests;
