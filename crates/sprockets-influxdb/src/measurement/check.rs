//! Refuses measurements that no server can store.

use super::field_set::FieldSet;
use super::keys::{Entry, MAX_KEYS, entries};
use super::series_key::SeriesKey;
use super::swar::fingerprint;
use super::timestamp::Timestamp;
use crate::error::{Error, Result};

/// `has_database`: the measurement or the client names one. `has_unsigned`: the server has unsigned
/// integers.
#[inline]
pub(super) fn check(
    series: &SeriesKey,
    fields: &FieldSet,
    timestamp: i64,
    has_database: bool,
    has_unsigned: bool,
) -> Result<()> {
    if series.is_named()
        && has_database
        && fields.is_storable(has_unsigned)
        && Timestamp::RANGE.contains(&timestamp)
        && (!series.tag_keys().may_intersect(fields.keys()) || has_columns(series, fields))
    {
        return Ok(());
    }
    check_each(series, fields, timestamp, has_database, has_unsigned)
}

/// Whether there are few enough tags and fields, and no name is both. Sets of many keys always
/// intersect for the filter.
#[cold]
fn has_columns(series: &SeriesKey, fields: &FieldSet) -> bool {
    columns(series, fields) <= MAX_KEYS && tag_of_field(series, fields).is_none()
}

/// The number of tags and fields.
fn columns(series: &SeriesKey, fields: &FieldSet) -> usize {
    series.tag_keys().count(series.name_then_tags().1) + fields.count()
}

/// The first tag that has the name of a field.
#[inline]
pub(super) fn tag_of_field(series: &SeriesKey, fields: &FieldSet) -> Option<Entry> {
    series.tag_keys().may_intersect(fields.keys()).then(|| find(series, fields)).flatten()
}

#[cold]
fn find(series: &SeriesKey, fields: &FieldSet) -> Option<Entry> {
    let tags = series.name_then_tags().1;
    let is_field = |key| fields.contains(fingerprint(key), key);
    entries(tags).find(|entry| is_field(&tags[entry.key.clone()]))
}

/// The same again, with a message that says what is wrong.
#[cold]
fn check_each(
    series: &SeriesKey,
    fields: &FieldSet,
    timestamp: i64,
    has_database: bool,
    has_unsigned: bool,
) -> Result<()> {
    let refuse = |message| Err(Error::measurement(message));
    let database = String::from_utf8_lossy(series.database());
    let name = String::from_utf8_lossy(series.name_then_tags().0);
    if name.is_empty() {
        return refuse(format!(
            "the measurement for database {database:?} has an empty name: give it one"
        ));
    }
    if !has_database {
        return refuse(format!(
            "measurement {name:?} has no database: name one, or set INFLUXDB_DATABASE (database)"
        ));
    }
    if let Some((field, integer)) = fields.out_of_range() {
        return refuse(format!(
            "field {field:?} of measurement {name:?} is {integer}: no InfluxDB stores integers \
             beyond 64 bits; use a float or a string"
        ));
    }
    if fields.is_unset() {
        return refuse(format!("measurement {name:?} has no field: set at least one"));
    }
    if !Timestamp::RANGE.contains(&timestamp) {
        return refuse(format!(
            "the timestamp of measurement {name:?} is {timestamp} ns: expected {} to {}",
            Timestamp::RANGE.start(),
            Timestamp::RANGE.end()
        ));
    }
    if let Some((field, value)) = fields.unsigned().filter(|_| !has_unsigned) {
        return refuse(format!(
            "field {field:?} of measurement {name:?} is {value}: InfluxDB 1.x has no integers \
             above {}; use a float or a string",
            i64::MAX
        ));
    }
    if columns(series, fields) > MAX_KEYS {
        return refuse(format!(
            "measurement {name:?} has more than {MAX_KEYS} tags and fields: spread them over \
             several measurements"
        ));
    }
    if let Some(tag) = tag_of_field(series, fields) {
        let key = series.tag_key(&tag);
        return refuse(format!(
            "{key:?} is a tag and a field of measurement {name:?}: servers reject this, or \
             cannot query it; rename one"
        ));
    }
    Ok(())
}
