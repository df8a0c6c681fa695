//! What InfluxDB 3 answers to a request that fails. The same failure has one form on
//! `/api/v3/write_lp` and `/write`, and another on `/api/v2/write`. None has a `Content-Type`.

use serde_json::Value;

use super::edition::Edition;
use super::json::object;
use crate::dialect::Dialect;
use crate::http::Reply;
use crate::server_error::ServerError;

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    status: u16,
    body: String,
    v2_status: u16,
    v2_message: String,
}

impl Failure {
    /// The client's mistake, as plain text.
    pub(crate) fn text(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status: 400, body: message.clone(), v2_status: 400, v2_message: message }
    }

    /// The client's mistake, as JSON.
    pub(crate) fn json(message: impl Into<String>) -> Self {
        let message = message.into();
        let body = object(&[("error", message.as_str().into())]);
        Self { body, ..Self::text(message) }
    }

    /// A body that cannot be read: the server's mistake in 3.6, the client's in 3.10.
    pub(crate) fn unreadable(edition: Edition, message: String) -> Self {
        Self { status: if edition.has_statuses() { 400 } else { 500 }, ..Self::text(message) }
    }

    pub(crate) fn too_large(edition: Edition, limit: usize) -> Self {
        let status = if edition.has_statuses() { 413 } else { 500 };
        let failure = Self::text(format!("max request size ({limit} bytes) exceeded"));
        Self { status, v2_status: 413, ..failure }
    }

    /// No line at all.
    pub(crate) fn empty() -> Self {
        Self::text("incoming write was empty").in_write_buffer()
    }

    pub(crate) fn too_many_databases(message: String) -> Self {
        let failure = Self::json(message.clone());
        let v2_message = format!("write buffer error: catalog update error: {message}");
        Self { status: 422, v2_message, ..failure }
    }

    /// The first bad line of a write that is all or nothing.
    pub(crate) fn line(edition: Edition, reason: &str, line: Value) -> Self {
        let (v3, v2) = if edition.has_statuses() {
            ("line protocol parsing error", format!("line protocol parse failed: {reason}"))
        } else {
            ("parsing failed for write_lp endpoint", "parsing for line protocol failed".to_owned())
        };
        let body = object(&[("error", v3.into()), ("data", line)]);
        Self { body, ..Self::text(v2).in_write_buffer() }
    }

    /// The bad lines of a write whose other lines are stored.
    pub(crate) fn partial(lines: Vec<Value>, hits_limit: bool) -> Self {
        let message = "partial write of line protocol occurred";
        let body = object(&[("error", message.into()), ("data", lines.into())]);
        Self { status: if hits_limit { 422 } else { 400 }, body, ..Self::text(message) }
    }

    /// The server's own error, which is not about the data. `/api/v2/write` answers it with 400 all
    /// the same.
    pub(crate) fn server_error(error: ServerError) -> Self {
        let message = error.message();
        let failure = match error {
            ServerError::Catalog => {
                let v2_message = format!("write buffer error: catalog update error: {message}");
                Self { v2_message, ..Self::text(message) }
            }
            _ => Self::text(format!("write buffer error: {message}")),
        };
        Self { status: 500, ..failure }
    }

    /// Any error in the form of the API.
    pub(crate) fn any(status: u16, message: &str) -> Self {
        Self { status, v2_status: status, ..Self::json(message) }
    }

    pub(crate) fn reply(&self, api: Dialect) -> Reply {
        match api {
            Dialect::V1 | Dialect::V3 => Reply::new(self.status).body(self.body.as_bytes()),
            Dialect::V2 => {
                let code = match self.v2_status {
                    401 => "unauthorized",
                    403 => "forbidden",
                    404 => "not found",
                    413 => "request too large",
                    400..500 => "invalid",
                    _ => "internal error",
                };
                let message = self.v2_message.as_str();
                let body = object(&[("code", code.into()), ("message", message.into())]);
                Reply::new(self.v2_status).body(body)
            }
        }
    }

    fn in_write_buffer(self) -> Self {
        Self { v2_message: format!("write buffer error: {}", self.v2_message), ..self }
    }
}
