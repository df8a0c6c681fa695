//! The record of what a client sent, for a test to look at.

use std::borrow::Cow;
use std::sync::Arc;

use crate::http::{Head, find};

/// One request that reached the server, and what became of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Request {
    record: Arc<Record>,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) head: Head,
    pub(crate) database: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) wire_length: usize,
    pub(crate) lines: usize,
    pub(crate) status: Option<u16>,
}

impl From<Record> for Request {
    fn from(record: Record) -> Self {
        Self { record: Arc::new(record) }
    }
}

impl Request {
    /// `POST`, in capitals as it came.
    pub fn method(&self) -> &str {
        &self.record.head.method
    }

    /// The path without the query, percent-decoded: `/write`.
    pub fn path(&self) -> &str {
        &self.record.head.path
    }

    /// The query parameters, decoded, in the order in which they came.
    pub fn query(&self) -> &[(String, String)] {
        &self.record.head.query
    }

    /// The decoded value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.record.head.query, |key| key == name)
    }

    /// The headers in the order in which they came, names as they were written.
    pub fn headers(&self) -> &[(String, String)] {
        &self.record.head.headers
    }

    /// The value of a header; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.record.head.header(name)
    }

    /// For a write, the database it names (the bucket, on v2).
    pub fn database(&self) -> Option<&str> {
        self.record.database.as_deref()
    }

    /// The body after decompression. Empty if it was refused, or cut off, before it was read.
    pub fn body(&self) -> &[u8] {
        &self.record.body
    }

    /// The body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.record.body)
    }

    /// How many bytes of body came over the wire, before decompression.
    pub fn wire_length(&self) -> usize {
        self.record.wire_length
    }

    /// How many lines the body has, good or bad; blank lines and comments do not count.
    pub fn lines(&self) -> usize {
        self.record.lines
    }

    /// The status answered, or nothing if there was no HTTP reply.
    pub fn status(&self) -> Option<u16> {
        self.record.status
    }
}
