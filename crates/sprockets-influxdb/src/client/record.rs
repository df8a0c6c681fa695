//! Records of a client: lines that are encoded later, if the configuration allows it.

use std::cell::Cell;
use std::sync::{Arc, Weak};

use super::core::Core;
use super::handle::{Client, InForce};
use super::snapshot::Snapshot;
use crate::buffer::EntryFlags;
use crate::measurement::{Line, Measurement};
use crate::record::{Record, RecordHead, RecordNames, RecordValues};

/// What many records share, under one configuration.
pub(crate) struct PreparedRecord {
    /// The configuration that it was made for. Does not keep its connections open.
    snapshot: Weak<Snapshot>,
    /// `None` if such measurements have to be added as measurements.
    head: Option<Arc<RecordHead>>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddedRecord {
    Added,
    /// The configuration has changed: prepare it again.
    Outdated,
    /// Add it as a measurement.
    Unfit,
}

impl Client {
    /// Prepares records that have the tags of this measurement, which needs a field. Other tags
    /// and fields than those of `names` do not follow.
    pub(crate) fn prepare_record(
        &self,
        measurement: &Measurement,
        names: RecordNames,
    ) -> PreparedRecord {
        let snapshot = self.core().snapshot.load_full();
        let head = snapshot.record_head(measurement, names).map(Arc::new);
        PreparedRecord { snapshot: Arc::downgrade(&snapshot), head }
    }

    /// Adds a record, as [`add_measurement`](Self::add_measurement) adds a measurement, by this
    /// configuration or else the one that is in force.
    #[inline(always)]
    pub(crate) fn add_record(
        &self,
        in_force: Option<&InForce>,
        prepared: &PreparedRecord,
        nanoseconds: i64,
        values: &RecordValues<'_>,
    ) -> AddedRecord {
        match in_force {
            Some(in_force) => self.core().add_record(&in_force.0, prepared, nanoseconds, values),
            None => {
                let snapshot = self.core().snapshot.load();
                self.core().add_record(&snapshot, prepared, nanoseconds, values)
            }
        }
    }
}

impl Snapshot {
    fn record_head(&self, measurement: &Measurement, names: RecordNames) -> Option<RecordHead> {
        let database = std::str::from_utf8(self.database(measurement.database_bytes())).ok()?;
        let is_storable = self.is_enabled
            && measurement.check(!database.is_empty(), self.has_unsigned).is_ok()
            && !measurement.is_repaired()
            // A value replaces the base tag of its name.
            && !names.all().any(|name| self.base_tags.has(name));
        if !is_storable {
            return None;
        }
        let mut start = Vec::new();
        measurement.line(&self.base_tags, self.divisor).write_start(&mut start);
        RecordHead::new(database, self.precision, start, names)
    }
}

impl Core {
    #[inline(always)]
    fn add_record(
        &self,
        snapshot: &Arc<Snapshot>,
        prepared: &PreparedRecord,
        nanoseconds: i64,
        values: &RecordValues<'_>,
    ) -> AddedRecord {
        if prepared.snapshot.as_ptr() != Arc::as_ptr(snapshot) {
            return AddedRecord::Outdated;
        }
        let Some(head) = prepared.head.as_ref().filter(|_| values.fit()) else {
            return AddedRecord::Unfit;
        };
        if !self.buffer.push_record(head, nanoseconds, values) {
            self.add_encoded(snapshot, head, &Record::new(head, nanoseconds, values));
        } else if self.workers.is_retry_due() {
            self.workers.ensure_leader();
        }
        AddedRecord::Added
    }

    /// Adds a record that the buffer does not take as such.
    #[cold]
    fn add_encoded(&self, snapshot: &Snapshot, head: &RecordHead, record: &Record) {
        thread_local! {
            static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // There is no spare one when the thread ends.
        let mut line = SPARE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        record.write_values(&mut line);
        let text = Line::of_text(&line, record.timestamp());
        let database = head.database.as_bytes();
        self.push(snapshot, database, &text, EntryFlags::default(), None);
        let _ = SPARE.try_with(|spare| spare.set(line));
    }
}
