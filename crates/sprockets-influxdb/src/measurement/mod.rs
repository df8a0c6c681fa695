//! What is recorded: measurements, their values and timestamps.
//!
//! A [`Measurement`] is line protocol from the start: names and tags are escaped when they are
//! set, so that adding it is little more than a copy. No I/O, no threads, no locks.

mod check;
mod escape;
mod field_set;
mod keys;
mod line;
mod prepared_key;
mod series_key;
mod swar;
mod text_buf;
mod timestamp;
mod value;

pub(crate) use line::{BaseTags, Line};
pub use prepared_key::{PreparedKey, PreparedTag};
pub use timestamp::Timestamp;
pub use value::FieldValue;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use crate::clock::unique_stamp;
use crate::error::Result;
use field_set::FieldSet;
use series_key::SeriesKey;

/// One row for InfluxDB: database, name, tags, fields and a timestamp.
///
/// ```
/// use sprockets_influxdb::Measurement;
///
/// let mut measurement =
///     Measurement::new("example", "requests").tag("method", "GET").field("bytes", 512);
/// measurement.set_tag("status code", "200");
/// let line = measurement.marshall();
/// assert!(line.starts_with(r"requests,method=GET,status\ code=200 bytes=512i "));
/// ```
///
/// A new measurement gets the current time as its timestamp, in nanoseconds. No other measurement
/// gets the same: see [`Timestamp::now`]. Adding a measurement does not consume it. Each time it is
/// added again it gets a new timestamp, since InfluxDB overwrites a point of the same series and
/// timestamp. A timestamp that you set yourself is kept.
///
/// # Repairs
///
/// Some text cannot be a name or a tag on any InfluxDB, or not on all versions. There one
/// character is replaced, by the same rules for every version.
/// [`Stats::repaired`](crate::Stats::repaired) counts the measurements that were repaired:
///
/// - A control character (U+0000 to U+001F, U+007F) becomes a space.
/// - A backslash at the end, or before a backslash, comma, equals sign or space (in a
///   measurement's name also before a double quote), becomes a slash.
/// - A number sign at the start of a measurement's name becomes a hyphen.
/// - A double quote in a field's name becomes a single quote.
/// - An empty tag or field name becomes `_`. The reserved names `time` (tags and fields), `_field`
///   and `_measurement` (tags) get a `_` appended.
///
/// A measurement has at most 4,096 tags and fields. With more, adding it is an error.
///
/// A tag whose value is empty is left out, as InfluxDB has no empty tags. String fields are stored
/// unchanged. A base tag of the client gives way to a tag or a field of the same name.
pub struct Measurement {
    series: SeriesKey,
    fields: FieldSet,
    timestamp: AtomicI64,
    /// Whether the timestamp is the current time, and not set by the user.
    has_own_timestamp: bool,
    /// Whether it was added since the timestamp was set.
    was_added: AtomicBool,
    omits_base_tags: bool,
}

impl Measurement {
    /// A measurement of that name for a database (a bucket, on InfluxDB 2.x), without tags and
    /// fields. An empty database is the client's default one. Its timestamp is the current time.
    pub fn new(database: &str, name: &str) -> Self {
        let mut measurement = Self {
            series: SeriesKey::with_capacity(240),
            fields: FieldSet::with_capacity(112),
            timestamp: AtomicI64::new(0),
            has_own_timestamp: true,
            was_added: AtomicBool::new(false),
            omits_base_tags: false,
        };
        measurement.restart(database, name);
        measurement
    }

    /// A measurement of that name for the [default database](crate::Config::database) of the client
    /// that it is added to.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use sprockets_influxdb::{Client, Config, Measurement};
    ///
    /// # let server = sprockets_influxdb::testing::Server::start();
    /// let client = Client::new(Config::new().database("example").url(&server.url()))?;
    /// client.add_measurement(&Measurement::named("job").field("rows", 3))?;
    /// # assert!(client.flush(Duration::from_secs(30)).is_complete());
    /// # assert_eq!(server.points("example").len(), 1);
    /// # Ok::<(), sprockets_influxdb::Error>(())
    /// ```
    pub fn named(name: &str) -> Self {
        Self::new("", name)
    }

    /// Makes this a new measurement, as [`new`](Self::new) does, and keeps its memory: for a loop
    /// that must not allocate.
    pub fn restart(&mut self, database: &str, name: &str) {
        self.restart_at(database, name, Timestamp::now());
        self.has_own_timestamp = true;
    }

    /// As [`restart`](Self::restart), with a timestamp of yours, which saves reading the clock.
    pub fn restart_at(&mut self, database: &str, name: &str, timestamp: impl Into<Timestamp>) {
        self.series.restart(database, name);
        self.fields.clear();
        self.omits_base_tags = false;
        *self.was_added.get_mut() = false;
        self.set_timestamp(timestamp);
    }

    /// Makes this a new measurement with the database, name and tags of another one, without
    /// fields, at the current time. Keeps its memory.
    #[inline]
    pub(crate) fn restart_as(&mut self, other: &Self) {
        self.restart_as_at(other, Timestamp::now());
        self.has_own_timestamp = true;
    }

    /// As [`restart_as`](Self::restart_as), with this timestamp.
    #[inline]
    pub(crate) fn restart_as_at(&mut self, other: &Self, timestamp: impl Into<Timestamp>) {
        self.series.copy_from(&other.series);
        self.fields.clear();
        self.omits_base_tags = other.omits_base_tags;
        *self.was_added.get_mut() = false;
        self.set_timestamp(timestamp);
    }

    /// [`set_tag`](Self::set_tag), for chaining.
    #[must_use]
    #[inline]
    pub fn tag(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.set_tag(name, value);
        self
    }

    /// [`set_field`](Self::set_field), for chaining.
    #[must_use]
    #[inline]
    pub fn field<'v>(mut self, name: impl AsRef<str>, value: impl Into<FieldValue<'v>>) -> Self {
        self.set_field(name, value);
        self
    }

    /// [`set_timestamp`](Self::set_timestamp), for chaining.
    #[must_use]
    pub fn timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.set_timestamp(timestamp);
        self
    }

    /// Sets a tag. A tag of the same name is replaced in place. An empty value removes the tag.
    #[inline]
    pub fn set_tag(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut Self {
        self.series.set_tag(name.as_ref(), value.as_ref());
        self
    }

    /// Sets several tags, as [`set_tag`](Self::set_tag) does.
    pub fn set_tags<N, V>(&mut self, tags: impl IntoIterator<Item = (N, V)>) -> &mut Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        for (name, value) in tags {
            self.set_tag(name, value);
        }
        self
    }

    /// Sets a field. A field of the same name is replaced in place. See [`FieldValue`] for the
    /// types.
    #[inline]
    pub fn set_field<'v>(
        &mut self,
        name: impl AsRef<str>,
        value: impl Into<FieldValue<'v>>,
    ) -> &mut Self {
        self.fields.set(name.as_ref(), &value.into());
        self
    }

    /// As [`set_tag`](Self::set_tag), with a name that was escaped before.
    #[inline]
    pub(crate) fn set_prepared_tag(&mut self, name: &PreparedKey, value: &str) {
        self.series.set_prepared_tag(name, value);
    }

    /// Appends a tag that was escaped before, unless there may be one of that name. Returns whether
    /// it did.
    #[inline]
    pub(crate) fn push_prepared_tag(&mut self, tag: &PreparedTag) -> bool {
        self.series.push_prepared_tag(tag)
    }

    /// As [`set_field`](Self::set_field), with a name that was escaped before.
    #[inline]
    pub(crate) fn set_prepared_field(&mut self, name: &PreparedKey, value: &FieldValue<'_>) {
        self.fields.set_prepared(name, value);
    }

    /// Sets a tag, unless there is a tag or a field of that name. Returns whether there is a field.
    pub(crate) fn default_tag(&mut self, name: &str, value: &str) -> bool {
        let Self { series, fields, .. } = self;
        series.set_default_tag(name, value, |fingerprint, key| fields.contains(fingerprint, key))
    }

    /// Sets a field to a value that every server stores, unless there is a field or a tag of that
    /// name. Returns whether there is a tag.
    pub(crate) fn default_field(&mut self, name: &str, value: &FieldValue<'_>) -> bool {
        self.fields
            .set_default(name, value, |fingerprint, key| self.series.has_tag(fingerprint, key))
    }

    /// Removes the tags that have the name of a field. Returns the first such name.
    pub(crate) fn remove_tags_of_fields(&mut self) -> Option<String> {
        let mut first = None;
        while let Some(tag) = check::tag_of_field(&self.series, &self.fields) {
            first.get_or_insert_with(|| self.series.tag_key(&tag));
            self.series.remove_tag(tag);
        }
        first
    }

    /// Sets the timestamp: nanoseconds since the Unix epoch as an `i64`, or a
    /// [`SystemTime`](std::time::SystemTime).
    pub fn set_timestamp(&mut self, timestamp: impl Into<Timestamp>) -> &mut Self {
        *self.timestamp.get_mut() = timestamp.into().nanoseconds();
        self.has_own_timestamp = false;
        self
    }

    /// Adds this measurement without the client's base tags.
    pub fn omit_base_tags(&mut self) -> &mut Self {
        self.omits_base_tags = true;
        self
    }

    /// Records in a field, in seconds, the time until the guard is dropped. A panic drops it too.
    ///
    /// ```
    /// # use sprockets_influxdb::Measurement;
    /// let mut measurement = Measurement::new("example", "job");
    /// {
    ///     let mut timed = measurement.duration("duration");
    ///     timed.set_tag("kind", "nightly"); // the guard dereferences to the measurement
    /// }
    /// assert!(measurement.marshall().contains(" duration="));
    /// ```
    #[must_use = "the time is taken until this guard is dropped"]
    pub fn duration<'m>(&'m mut self, field: &'m str) -> DurationGuard<'m> {
        DurationGuard { measurement: self, field, start: Instant::now() }
    }

    /// The database (bucket, on InfluxDB 2.x) that this measurement is for. Empty: the default one.
    pub fn database(&self) -> &str {
        // It was a `str` when it was set.
        std::str::from_utf8(self.database_bytes()).unwrap_or_default()
    }

    /// [`database`](Self::database), without checking that it is UTF-8.
    #[inline]
    pub(crate) fn database_bytes(&self) -> &[u8] {
        self.series.database()
    }

    /// Whether there is nothing to store: a measurement needs a field with a finite value.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The line as it is sent with nanosecond precision, without a client's base tags and without
    /// a line feed.
    pub fn marshall(&self) -> String {
        let mut bytes = Vec::with_capacity(self.unadded_line().len());
        self.append_to(&mut bytes);
        bytes.pop();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Appends what [`marshall`](Self::marshall) returns, and a line feed.
    #[inline]
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        self.unadded_line().write_to(bytes);
    }

    #[inline]
    fn unadded_line(&self) -> Line<'_> {
        let timestamp = self.timestamp.load(Ordering::Relaxed);
        Line::new(self.series.name_and_tags(), &[], self.fields.as_bytes(), timestamp)
    }

    /// The line to add. It has a new timestamp if it was added before and the user set none.
    /// `divisor`: nanoseconds in a unit of the precision.
    #[inline]
    pub(crate) fn line<'a>(&'a self, base_tags: &'a BaseTags, divisor: i64) -> Line<'a> {
        let mut timestamp = self.timestamp.load(Ordering::Relaxed);
        if self.has_own_timestamp && self.was_added.swap(true, Ordering::Relaxed) {
            timestamp = unique_stamp();
            self.timestamp.store(timestamp, Ordering::Relaxed);
        }
        self.line_at(timestamp, base_tags, divisor)
    }

    #[inline]
    fn line_at<'a>(&'a self, timestamp: i64, base_tags: &'a BaseTags, divisor: i64) -> Line<'a> {
        let fields = self.fields.as_bytes();
        let timestamp = timestamp.div_euclid(divisor);
        if base_tags.is_empty() || self.omits_base_tags {
            return Line::new(self.series.name_and_tags(), &[], fields, timestamp);
        }
        let (name, tags) = self.series.name_then_tags();
        let keys = [self.series.tag_keys(), self.fields.keys()];
        Line::new(name, tags, fields, timestamp).with_base_tags(base_tags, keys)
    }

    /// Refuses what no server can store, what has no database, and unsigned integers for servers
    /// without them.
    #[inline]
    pub(crate) fn check(&self, has_database: bool, has_unsigned: bool) -> Result<()> {
        let timestamp = self.timestamp.load(Ordering::Relaxed);
        check::check(&self.series, &self.fields, timestamp, has_database, has_unsigned)
    }

    /// Whether a name may be a tag and a field. `false` is certain.
    #[inline]
    pub(crate) fn may_repeat_a_name(&self) -> bool {
        self.series.tag_keys().may_intersect(self.fields.keys())
    }

    /// The number of fields that were left out, as they are not finite.
    pub(crate) fn non_finite(&self) -> usize {
        self.fields.non_finite()
    }

    /// Bytes of memory that its texts take.
    pub(crate) fn memory(&self) -> usize {
        self.series.memory() + self.fields.memory()
    }

    /// Whether a name or a tag was changed, as no server can store it.
    pub(crate) fn is_repaired(&self) -> bool {
        self.series.is_repaired() || self.fields.is_repaired()
    }
}

impl Clone for Measurement {
    fn clone(&self) -> Self {
        Self {
            series: self.series.clone(),
            fields: self.fields.clone(),
            timestamp: AtomicI64::new(self.timestamp.load(Ordering::Relaxed)),
            has_own_timestamp: self.has_own_timestamp,
            // With the same timestamp the copy would overwrite the original.
            was_added: AtomicBool::new(true),
            omits_base_tags: self.omits_base_tags,
        }
    }
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measurement")
            .field("database", &self.database())
            .field("line", &self.marshall())
            .finish()
    }
}

/// Records its own lifetime in a field of its measurement, in seconds. See
/// [`Measurement::duration`].
#[derive(Debug)]
pub struct DurationGuard<'m> {
    measurement: &'m mut Measurement,
    field: &'m str,
    start: Instant,
}

impl Deref for DurationGuard<'_> {
    type Target = Measurement;

    fn deref(&self) -> &Measurement {
        self.measurement
    }
}

impl DerefMut for DurationGuard<'_> {
    fn deref_mut(&mut self) -> &mut Measurement {
        self.measurement
    }
}

impl Drop for DurationGuard<'_> {
    fn drop(&mut self) {
        self.measurement.set_field(self.field, self.start.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
