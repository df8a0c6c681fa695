//! What InfluxDB 3 knows of its databases: their tables, and the kind of each column. A write works
//! on a copy; the copy replaces the original only if the write is accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::edition::Edition;
use super::parser::ParsedLine;
use crate::point::{Point, Value};

const TIME: &str = "time";

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    databases: BTreeMap<String, Schema>,
}

impl Catalog {
    /// Every database ever named by a write that was not refused for its name, ascending.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    /// The tables of a database that no query can read any more.
    pub(crate) fn unreadable_tables(&self, database: &str) -> Vec<String> {
        let tables = self.databases.get(database).map(|schema| &schema.tables);
        let unreadable = tables.into_iter().flatten().filter(|(_, table)| table.is_unreadable());
        unreadable.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn create(&mut self, database: &str) {
        self.databases.entry(database.to_owned()).or_default();
    }

    /// Starts a write. The error is the limit of databases.
    pub(crate) fn begin(&self, database: &str, edition: Edition) -> Result<Transaction, String> {
        let known = self.databases.get(database);
        let limit = edition.limits().databases;
        if known.is_none() && self.databases.len() >= limit {
            return Err(format!("Adding a new database would exceed limit of {limit} databases"));
        }
        let schema = known.cloned().unwrap_or_default();
        let tables_before = schema.tables.len();
        Ok(Transaction { database: database.to_owned(), schema, tables_before, edition })
    }

    /// Keeps what a write added: the database itself, tables and columns.
    pub(crate) fn commit(&mut self, transaction: Transaction) {
        self.databases.insert(transaction.database, transaction.schema);
    }
}

#[derive(Clone, Debug, Default)]
struct Schema {
    tables: BTreeMap<String, Table>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    columns: BTreeMap<String, Kind>,
    /// Whether a row with two values of one tag was stored.
    has_duplicate_tags: bool,
}

impl Table {
    /// A table whose first line was refused has no column for the time yet.
    fn is_unreadable(&self) -> bool {
        self.has_duplicate_tags || !self.columns.contains_key(TIME)
    }

    fn column(&mut self, name: &str, kind: Kind, limit: usize) -> Result<(), String> {
        match self.columns.get(name) {
            Some(known) if *known == kind => return Ok(()),
            Some(known) => {
                return Err(format!(
                    "invalid column type for column '{name}', expected {known}, got {kind}"
                ));
            }
            None => {}
        }
        if kind != Kind::Time {
            let part = if kind == Kind::Tag { "tag" } else { "field" };
            if name.chars().any(char::is_control) {
                return Err(format!(
                    "invalid configuration provided: {part} key cannot contain control characters"
                ));
            }
            if name == TIME {
                return Err(format!("'{TIME}' is a reserved column"));
            }
            if self.columns.len() >= limit {
                return Err(format!(
                    "Update to schema would exceed number of columns per table limit of {limit} \
                     columns"
                ));
            }
        }
        self.columns.insert(name.to_owned(), kind);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tag,
    Time,
    /// With the name of its type.
    Field(&'static str),
}

impl Kind {
    fn of(value: &Value) -> Self {
        Kind::Field(match value {
            Value::Unsigned(_) => "uinteger",
            other => other.type_name(),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Tag => f.write_str("iox::column_type::tag"),
            Kind::Time => f.write_str("iox::column_type::timestamp"),
            Kind::Field(name) => write!(f, "iox::column_type::field::{name}"),
        }
    }
}

/// The catalog of one database during one write.
pub(crate) struct Transaction {
    database: String,
    schema: Schema,
    /// Tables before the write. Those that the write adds do not count towards the limit.
    tables_before: usize,
    edition: Edition,
}

impl Transaction {
    /// Adds the line's columns. Those before the first that fails stay, although the line is
    /// refused.
    pub(crate) fn add(&mut self, line: &ParsedLine) -> Result<(), String> {
        self.check_tables(&line.measurement)?;
        let limit = self.edition.limits().columns;
        let table = self.schema.tables.entry(line.measurement.clone()).or_default();
        for (key, _) in &line.tags {
            table.column(key, Kind::Tag, limit)?;
        }
        let mut seen = BTreeSet::new();
        for (key, value) in &line.fields {
            table.column(key, Kind::of(value), limit)?;
            if !seen.insert(key) {
                return Err(format!(
                    "invalid line protocol - multiple instances of '{key}' field found"
                ));
            }
        }
        table.column(TIME, Kind::Time, limit)
    }

    /// Notes that a line's row is stored.
    pub(crate) fn stored(&mut self, line: &ParsedLine) {
        let keys: BTreeSet<_> = line.tags.iter().map(|(key, _)| key).collect();
        if keys.len() < line.tags.len() {
            if let Some(table) = self.schema.tables.get_mut(&line.measurement) {
                table.has_duplicate_tags = true;
            }
        }
    }

    fn check_tables(&self, name: &str) -> Result<(), String> {
        let is_new = !self.schema.tables.contains_key(name);
        if is_new && self.tables_before >= self.edition.limits().tables {
            return Err(self.edition.too_many_tables(self.tables_before));
        }
        Ok(())
    }
}

/// The row of a line, with the last value of a tag that is there twice. Values that read back as
/// null are left out.
pub(crate) fn row(line: ParsedLine, timestamp: i64) -> Point {
    let tags: BTreeMap<_, _> = line.tags.into_iter().collect();
    let mut fields = line.fields;
    fields.retain(|(_, value)| !matches!(value, Value::Float(value) if value.is_infinite()));
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    Point { measurement: line.measurement, tags: tags.into_iter().collect(), fields, timestamp }
}
