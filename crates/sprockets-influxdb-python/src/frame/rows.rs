//! Writes rows of columns as measurements.

use std::borrow::Cow;
use std::time::Duration;

use sprockets_influxdb::internal::{
    Added, PreparedKey, TrackedFlush, is_repaired, set_prepared_field, set_prepared_tag,
};
use sprockets_influxdb::{FieldValue, Measurement};

use super::times::Times;

/// The values of a column.
pub(super) trait Column: Sync {
    /// The value of a row. `None` if it is left out.
    fn value(&self, row: usize) -> Option<FieldValue<'_>>;
}

/// What all rows of a frame have.
pub(super) struct Plan {
    pub(super) database: String,
    name: String,
    tags: Vec<PreparedKey>,
    fields: Vec<PreparedKey>,
    /// How long to wait for room in a full buffer, and for the delivery.
    pub(super) timeout: Duration,
}

/// Some rows: their times in nanoseconds since the epoch, and their columns in the plan's order.
pub(super) struct Rows<'a> {
    pub(super) times: Vec<i64>,
    pub(super) tags: Vec<Box<dyn Column + 'a>>,
    pub(super) fields: Vec<Box<dyn Column + 'a>>,
    /// The row of the columns that is the first one here.
    pub(super) first: usize,
}

/// What became of the rows that were written.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) rows: usize,
    /// Rows without a field.
    pub(super) skipped: usize,
    /// Rows that the client did not take.
    pub(super) dropped: usize,
    pub(super) repaired: usize,
    /// The times of rows without tags.
    pub(super) times: Times,
}

/// Why the rest of the rows is not written, after so many.
pub(super) enum Stop {
    /// A row cannot be stored.
    Invalid(usize, String),
    /// There was no room in time.
    Full(usize),
}

impl Plan {
    pub(super) fn new(
        (database, name): (String, String),
        tags: &[String],
        fields: &[String],
        timeout: Duration,
    ) -> Self {
        let tags = tags.iter().map(|name| PreparedKey::of_tag(name)).collect();
        let fields = fields.iter().map(|name| PreparedKey::of_field(name)).collect();
        Self { database, name, tags, fields, timeout }
    }

    /// Adds the rows, and waits for room if the buffer is full. Without a client it counts them.
    pub(super) fn write(
        &self,
        client: Option<&TrackedFlush>,
        rows: &Rows<'_>,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let mut measurement = Measurement::new("", "");
        for (at, time) in rows.times.iter().enumerate() {
            let row = rows.first + at;
            tally.rows += 1;
            measurement.restart_at(&self.database, &self.name, *time);
            for (key, column) in self.tags.iter().zip(&rows.tags) {
                if let Some(value) = column.value(row) {
                    set_prepared_tag(&mut measurement, key, &text(&value));
                }
            }
            for (key, column) in self.fields.iter().zip(&rows.fields) {
                match column.value(row) {
                    None => {}
                    Some(FieldValue::Float(float)) if !float.is_finite() => {}
                    Some(value) => set_prepared_field(&mut measurement, key, &value),
                }
            }
            if measurement.is_empty() {
                tally.skipped += 1;
                continue;
            }
            if self.tags.is_empty() {
                tally.times.push(*time);
            }
            tally.repaired += usize::from(is_repaired(&measurement));
            let added = client.map(|client| client.add(&measurement, self.timeout));
            match added.unwrap_or(Ok(Added::Dropped)) {
                Ok(Added::Pending) => {}
                Ok(Added::Dropped) => tally.dropped += 1,
                Ok(Added::Full) => return Err(Stop::Full(at)),
                Err(error) => return Err(Stop::Invalid(at, error.to_string())),
            }
        }
        Ok(())
    }
}

/// The text of a tag, as Python's `str()` writes it.
fn text<'a>(value: &'a FieldValue<'_>) -> Cow<'a, str> {
    match value {
        FieldValue::String(text) => Cow::Borrowed(text),
        FieldValue::Integer(integer) => integer.to_string().into(),
        FieldValue::Unsigned(unsigned) => unsigned.to_string().into(),
        FieldValue::Boolean(true) => "True".into(),
        FieldValue::Boolean(false) => "False".into(),
        // Columns of other types are refused.
        _ => "".into(),
    }
}
