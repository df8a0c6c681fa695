//! What is recorded. Pure: no I/O, no threads, no locks; uses nothing of ours but the error type.
//!
//! A [`Measurement`] is line protocol from the start: names and tags are escaped when they are set, so that adding it
//! is little more than a copy.

mod clock;
mod duration;
mod keys;
mod line;
mod escape;
mod timestamp;
mod value;

pub(crate) use clock::{Clock, unix_nanoseconds};
pub use duration::DurationGuard;
pub(crate) use line::{BaseTags, Line};
pub use timestamp::Timestamp;
pub use value::FieldValue;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::error::{Error, Result};
use keys::Keys;
use escape::{Key, Position, Text};

/// One row for InfluxDB: database, name, tags, fields and a timestamp.
///
/// ```
/// use sprockets_influxdb::Measurement;
///
/// let mut measurement = Measurement::new("example", "requests").tag("method", "GET").field("bytes", 512);
/// measurement.set_tag("status code", "200");
/// assert!(measurement.marshall().starts_with(r"requests,method=GET,status\ code=200 bytes=512i "));
/// ```
///
/// It is stamped when it is made, in nanoseconds, with a number that no other measurement of this process is stamped
/// with. Adding it does not consume it; each further time it is added it is stamped anew, since InfluxDB overwrites a
/// point of the same series and timestamp. A timestamp that you set yourself is kept.
///
/// # What is repaired
///
/// Some text cannot be a name or a tag on any InfluxDB, or not on all. There one character is replaced, everywhere by
/// the same rule, and [`Stats::repaired`](crate::Stats::repaired) counts the measurements that this happened to:
///
/// - a control character (U+0000 to U+001F, U+007F) becomes a space;
/// - a backslash at the end, or before a backslash, comma, equals sign or space (in a measurement's name also before a
///   double quote), becomes a slash;
/// - a number sign at the start of a measurement's name becomes a hyphen;
/// - a double quote in a field's name becomes a single quote;
/// - an empty tag or field name becomes `_`; the reserved names `time` (tags and fields), `_field` and `_measurement`
///   (tags) get a `_` appended.
///
/// A tag whose value is empty is left out, as InfluxDB has no empty tags. String fields are stored as they are.
pub struct Measurement {
    /// The database's name as it stands, the measurement's name escaped, and `,key=value` for each tag.
    head: Text,
    database_end: usize,
    name_end: usize,
    tag_keys: Keys,
    /// ` key=value,key=value`: with the space that separates it from the head.
    fields: Text,
    field_keys: Keys,
    timestamp: AtomicI64,
    /// Whether the timestamp is ours, and ours to renew.
    stamped: bool,
    added: AtomicBool,
    unsigned: bool,
    without_base_tags: bool,
    /// Fields that are not in the line, and why.
    left_out: Vec<LeftOut>,
}

#[derive(Clone)]
struct LeftOut {
    field: String,
    /// The field's key as it would stand in the line: what is one field there is one field here.
    key: Vec<u8>,
    /// The integer that is out of range; a float that is not finite otherwise.
    integer: Option<String>,
}

impl Measurement {
    /// A measurement of that name for a database (a bucket, on InfluxDB 2.x), stamped now, without tags and fields.
    pub fn new(database: &str, name: &str) -> Self {
        let mut measurement = Self {
            head: Text::with_capacity(240),
            database_end: 0,
            name_end: 0,
            tag_keys: Keys::default(),
            fields: Text::with_capacity(112),
            field_keys: Keys::default(),
            timestamp: AtomicI64::new(0),
            stamped: true,
            added: AtomicBool::new(false),
            unsigned: false,
            without_base_tags: false,
            left_out: Vec::new(),
        };
        measurement.restart(database, name);
        measurement
    }

    /// Makes this a new measurement, stamped now, without tags and fields, in the memory of the old one: for a loop
    /// that must not allocate.
    pub fn restart(&mut self, database: &str, name: &str) {
        self.restart_at(database, name, Timestamp::now());
        self.stamped = true;
    }

    /// As [`restart`](Self::restart), with a timestamp of your own, which saves a look at the clock.
    pub fn restart_at(&mut self, database: &str, name: &str, timestamp: impl Into<Timestamp>) {
        self.head.clear();
        self.fields.clear();
        self.tag_keys.clear();
        self.field_keys.clear();
        self.left_out.clear();
        self.unsigned = false;
        self.without_base_tags = false;
        self.head.push_raw(database.as_bytes());
        self.database_end = self.head.len();
        self.head.push_escaped(name, Position::Measurement);
        self.name_end = self.head.len();
        *self.added.get_mut() = false;
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

    /// Sets a tag; one of that name is replaced where it stands. An empty value removes it.
    #[inline]
    pub fn set_tag(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        let key = self.head.push_key(b',', name, Position::TagKey);
        let old = self.tag_keys.insert(&self.head, self.name_end, &key);
        if value.is_empty() {
            self.head.truncate(key.start);
            if let Some(old) = old {
                self.head.remove(old);
            }
            return self;
        }
        self.head.push_escaped(value, Position::TagValue);
        if let Some(old) = old {
            self.head.replace(old, key.start);
        }
        self
    }

    /// Sets several tags.
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

    /// Sets a field; one of that name is replaced where it stands. See [`FieldValue`] for what each type becomes.
    #[inline]
    pub fn set_field<'v>(
        &mut self,
        name: impl AsRef<str>,
        value: impl Into<FieldValue<'v>>,
    ) -> &mut Self {
        let (name, value) = (name.as_ref(), value.into());
        let separator = if self.fields.is_empty() { b' ' } else { b',' };
        let key = self.fields.push_key(separator, name, Position::FieldKey);
        if !self.left_out.is_empty() {
            let written = self.fields.key(&key);
            self.left_out.retain(|left_out| left_out.key != written);
        }
        let old = self.field_keys.insert(&self.fields, 0, &key);
        match &value {
            FieldValue::Float(float) if !float.is_finite() => self.leave_out(name, None, &key, old),
            FieldValue::OutOfRange(text) => self.leave_out(name, Some(text.clone()), &key, old),
            value => {
                if let FieldValue::Unsigned(unsigned) = value {
                    self.unsigned |= *unsigned > i64::MAX as u64;
                }
                self.fields.push_value(value);
                if let Some(old) = old {
                    self.fields.replace(old, key.start);
                    self.fields.set_first(b' ');
                }
            }
        }
        self
    }

    /// Sets a tag, unless there is one of that name.
    pub(crate) fn default_tag(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let key = self.head.push_key(b',', name, Position::TagKey);
        match self.tag_keys.insert(&self.head, self.name_end, &key) {
            Some(_) => self.head.truncate(key.start),
            None => self.head.push_escaped(value, Position::TagValue),
        }
    }

    /// Sets a field to what any server stores, unless there is one of that name.
    pub(crate) fn default_field(&mut self, name: &str, value: &FieldValue<'_>) {
        let separator = if self.fields.is_empty() { b' ' } else { b',' };
        let key = self.fields.push_key(separator, name, Position::FieldKey);
        match self.field_keys.insert(&self.fields, 0, &key) {
            Some(_) => self.fields.truncate(key.start),
            None => self.fields.push_value(value),
        }
    }

    /// Sets the time of this measurement: nanoseconds since the Unix epoch as an `i64`, or a
    /// [`SystemTime`](std::time::SystemTime).
    pub fn set_timestamp(&mut self, timestamp: impl Into<Timestamp>) -> &mut Self {
        *self.timestamp.get_mut() = timestamp.into().nanoseconds();
        self.stamped = false;
        self
    }

    /// Leaves the client's base tags out of this measurement: it has all its tags already.
    pub fn omit_base_tags(&mut self) -> &mut Self {
        self.without_base_tags = true;
        self
    }

    /// Times what happens until the guard is dropped, also by a panic, and records it in a field, in seconds.
    ///
    /// ```
    /// # use sprockets_influxdb::Measurement;
    /// let mut measurement = Measurement::new("example", "job");
    /// {
    ///     let mut timed = measurement.duration("duration");
    ///     timed.set_tag("kind", "nightly"); // the guard is the measurement, too
    /// }
    /// assert!(measurement.marshall().contains(" duration="));
    /// ```
    #[must_use = "the time is taken until this guard is dropped"]
    pub fn duration<'m>(&'m mut self, field: &'m str) -> DurationGuard<'m> {
        DurationGuard::start(self, field)
    }

    /// The database (bucket) that this measurement is for.
    pub fn database(&self) -> &str {
        // What was put there came from a `str`, whole.
        std::str::from_utf8(self.database_bytes()).unwrap_or_default()
    }

    /// [`database`](Self::database), without a check that it is UTF-8.
    #[inline]
    pub(crate) fn database_bytes(&self) -> &[u8] {
        &self.head.as_bytes()[..self.database_end]
    }

    /// Whether there is nothing to store: every measurement needs a field that is finite.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The line as it would be sent with nanosecond precision, without a client's base tags and without a line feed.
    pub fn marshall(&self) -> String {
        let mut bytes = Vec::with_capacity(self.unadded_line(&BaseTags::default()).len());
        self.append_to(&mut bytes);
        bytes.pop();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Appends the line as [`marshall`](Self::marshall) has it, and a line feed.
    #[inline]
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        self.unadded_line(&BaseTags::default()).write_to(bytes);
    }

    #[inline]
    fn unadded_line<'a>(&'a self, base_tags: &'a BaseTags) -> Line<'a> {
        self.line_at(self.timestamp.load(Ordering::Relaxed), base_tags, 1)
    }

    /// The line to add: stamped anew if it was added before with a stamp of ours. `divisor` is the nanoseconds in a
    /// unit of the precision.
    #[inline]
    pub(crate) fn line<'a>(&'a self, base_tags: &'a BaseTags, divisor: i64) -> Line<'a> {
        let mut timestamp = self.timestamp.load(Ordering::Relaxed);
        if self.stamped && self.added.swap(true, Ordering::Relaxed) {
            timestamp = clock::unique_stamp();
            self.timestamp.store(timestamp, Ordering::Relaxed);
        }
        self.line_at(timestamp, base_tags, divisor)
    }

    /// Why no server can store this, or not one without unsigned integers.
    #[inline]
    pub(crate) fn check(&self, has_unsigned: bool) -> Result<()> {
        let unsigned_refused = self.unsigned && !has_unsigned;
        let named = self.name_end > self.database_end && self.database_end > 0;
        let timestamp = self.timestamp.load(Ordering::Relaxed);
        if named
            && self.left_out.is_empty()
            && !self.fields.is_empty()
            && !unsigned_refused
            && Timestamp::RANGE.contains(&timestamp)
        {
            return Ok(());
        }
        self.check_in_words(has_unsigned)
    }

    /// Fields left out because they are not finite.
    pub(crate) fn non_finite(&self) -> usize {
        self.left_out.iter().filter(|left_out| left_out.integer.is_none()).count()
    }

    /// Bytes of memory that its texts have.
    pub(crate) fn memory(&self) -> usize {
        self.head.capacity() + self.fields.capacity()
    }

    /// Whether the rule for what cannot be stored changed a name or a tag.
    pub(crate) fn is_repaired(&self) -> bool {
        self.head.is_repaired() || self.fields.is_repaired()
    }

    #[cold]
    fn check_in_words(&self, has_unsigned: bool) -> Result<()> {
        let refuse = |message| Err(Error::measurement(message));
        let database = self.database();
        let name = String::from_utf8_lossy(&self.head.as_bytes()[self.database_end..self.name_end]);
        if name.is_empty() {
            return refuse(format!(
                "the measurement for database {database:?} has an empty name: give it one"
            ));
        }
        if database.is_empty() {
            return refuse(format!("measurement {name:?} names an empty database: name one"));
        }
        for left_out in &self.left_out {
            if let Some(integer) = &left_out.integer {
                return refuse(format!(
                    "field {:?} of measurement {name:?} is {integer}: no InfluxDB stores integers beyond 64 bits; \
                     use a float or a string",
                    left_out.field
                ));
            }
        }
        if self.fields.is_empty() && self.left_out.is_empty() {
            return refuse(format!("measurement {name:?} has no field: set at least one"));
        }
        let timestamp = self.timestamp.load(Ordering::Relaxed);
        if !Timestamp::RANGE.contains(&timestamp) {
            return refuse(format!(
                "the timestamp of measurement {name:?} is {timestamp} ns: expected {} to {}",
                Timestamp::RANGE.start(),
                Timestamp::RANGE.end()
            ));
        }
        if let Some((field, value)) = self.unsigned_field().filter(|_| !has_unsigned) {
            return refuse(format!(
                "field {field:?} of measurement {name:?} is {value}: InfluxDB 1.x has no integers above {}; \
                 use a float or a string",
                i64::MAX
            ));
        }
        Ok(())
    }

    /// The first field that is written as an unsigned integer. The flag alone does not tell: the field may have been
    /// replaced.
    fn unsigned_field(&self) -> Option<(String, String)> {
        if !self.unsigned {
            return None;
        }
        let text = self.fields.as_bytes();
        keys::entries(text).find_map(|entry| {
            let value = &text[entry.key.end + 1..entry.whole.end];
            let digits = value.strip_suffix(b"u")?;
            digits.first()?.is_ascii_digit().then(|| {
                let key = String::from_utf8_lossy(&text[entry.key]).into_owned();
                (key, String::from_utf8_lossy(digits).into_owned())
            })
        })
    }

    #[cold]
    fn leave_out(
        &mut self,
        field: &str,
        integer: Option<String>,
        key: &Key,
        old: Option<Range<usize>>,
    ) {
        let written = self.fields.key(key).to_vec();
        self.fields.truncate(key.start);
        if let Some(old) = old {
            self.fields.remove(old);
            self.fields.set_first(b' ');
        }
        self.left_out.push(LeftOut { field: field.to_owned(), key: written, integer });
    }

    #[inline]
    fn line_at<'a>(&'a self, timestamp: i64, base_tags: &'a BaseTags, divisor: i64) -> Line<'a> {
        let head = &self.head.as_bytes()[self.database_end..];
        let fields = self.fields.as_bytes();
        if base_tags.is_empty() || self.without_base_tags {
            return Line::new(head, &[], fields, timestamp.div_euclid(divisor));
        }
        let (name, tags) = head.split_at(self.name_end - self.database_end);
        let line = Line::new(name, tags, fields, timestamp.div_euclid(divisor));
        line.with_base_tags(base_tags, &self.tag_keys)
    }
}

impl Clone for Measurement {
    fn clone(&self) -> Self {
        Self {
            head: self.head.clone(),
            database_end: self.database_end,
            name_end: self.name_end,
            tag_keys: self.tag_keys.clone(),
            fields: self.fields.clone(),
            field_keys: self.field_keys.clone(),
            timestamp: AtomicI64::new(self.timestamp.load(Ordering::Relaxed)),
            stamped: self.stamped,
            // The copy would be the same point as the original: it gets a stamp of its own when it is added.
            added: AtomicBool::new(true),
            unsigned: self.unsigned,
            without_base_tags: self.without_base_tags,
            left_out: self.left_out.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement() -> Measurement {
        Measurement::new("db", "m").timestamp(7)
    }

    #[test]
    fn the_line_has_name_tags_fields_and_timestamp_in_the_order_given() {
        let line =
            measurement().tag("z", "1").tag("a", "2").field("y", 1.5).field("b", 2).marshall();
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
    fn what_can_never_be_stored_is_refused_in_words() {
        let refused = |measurement: Measurement, has_unsigned| {
            measurement.check(has_unsigned).expect_err("refused").to_string()
        };
        let named = |text: String, words: &[&str]| {
            for word in words {
                assert!(text.contains(word), "{text:?} does not say {word:?}");
            }
        };
        named(refused(measurement(), true), &["\"m\"", "no field"]);
        named(refused(Measurement::new("db", "").field("f", 1), true), &["\"db\"", "empty name"]);
        named(refused(Measurement::new("", "m").field("f", 1), true), &["\"m\"", "empty database"]);
        named(
            refused(measurement().field("f", u64::MAX), false),
            &["\"f\"", "18446744073709551615"],
        );
        named(refused(measurement().field("f", i128::MAX), true), &["\"f\"", "17014118346046923"]);
        named(
            refused(measurement().field("f", 1).timestamp(i64::MAX), true),
            &["9223372036854775807"],
        );
        measurement().field("f", u64::MAX).check(true).unwrap();
        measurement().field("f", u64::MAX).field("f", 1).check(false).unwrap();
        measurement().field("f", i128::MAX).field("f", 1).check(false).unwrap();
        measurement().field("f\"", i128::MAX).field("f'", 1).check(false).unwrap();
        measurement().field("f", f64::NAN).check(false).unwrap();
    }

    #[test]
    fn a_measurement_added_again_is_stamped_anew_unless_the_stamp_is_the_users() {
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
    fn duration_records_seconds_also_when_the_block_panics() {
        let mut measurement = Measurement::new("db", "m");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _timed = measurement.duration("d");
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(result.is_err());
        assert!(measurement.marshall().contains(" d="), "{measurement:?}");
    }
}
