//! The replies whose text says more than their status.

use super::advice;
use super::classifier::Classifier;
use crate::config::Api;
use crate::delivery::disposition::{Cause, Disposition, RejectedLines, Scope};
use crate::delivery::response::error_body::Numbered;
use crate::delivery::response::rejected_lines::{self, UNABLE_TO_PARSE};

/// Errors about the request as a whole. No line is at fault, and none would be taken alone.
const WHOLE_REQUEST: [&str; 8] = [
    "retention policy not found",
    "database is required",
    "invalid character in database or rp name",
    "db name ",
    "invalid consistency level",
    "invalid precision",
    "incoming write was empty",
    "gzip",
];

/// How InfluxDB 3 begins what it says of a name that no database can have. The name follows, in
/// quotes or not.
const NAMESPACE: &str = "namespace name ";

/// What Go and nginx answer to plain HTTP on a port that speaks TLS.
const NOT_TLS: [&str; 2] =
    ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"];

/// Errors of InfluxDB 3 itself: its disk is full, or it shuts down. The v2 API answers 400.
const SERVER_ERRORS: [&str; 7] = [
    "catalog update error",
    "error from wal",
    "error writing wal",
    "no space left on device",
    "object store error",
    "wal is shutdown",
    "write buffer is shut",
];

/// The limits of InfluxDB 3 on its databases, and on the tables of one.
const LIMITS: [&str; 2] =
    ["Adding a new database would exceed", "would exceed number of tables limit"];

impl Classifier<'_> {
    pub(super) fn by_text(&self) -> Option<Disposition> {
        if self.says(&NOT_TLS) {
            let advice = format!("the server speaks TLS: {}", self.reply.names.use_scheme("https"));
            return Some(self.configuration(Scope::Server, &advice));
        }
        if !self.server.is_influxdb() {
            return None;
        }
        if self.body.head().starts_with(NAMESPACE) && matches!(self.reply.status, 400 | 422) {
            return Some(self.rejected(RejectedLines::All, false));
        }
        self.of_server().or_else(|| self.of_data())
    }

    /// What an InfluxDB says of itself, or of our settings.
    fn of_server(&self) -> Option<Disposition> {
        let is_error = self.reply.status >= 500;
        if is_error && self.says(&["hinted handoff queue not empty"]) {
            // InfluxDB Enterprise: the points wait for another node. Resent points only lengthen
            // its queue.
            return Some(Disposition::Delivered);
        }
        if self.body.numbered().is_some() {
            return None;
        }
        let head = self.body.head();
        Some(if self.says(&LIMITS) {
            self.limit_reached()
        } else if head.starts_with("Authorization header was malformed") {
            self.configuration(Scope::Server, &self.malformed_credentials())
        } else if head.starts_with("max request size") && head.ends_with("exceeded") {
            // 500 before InfluxDB 3.10.
            self.too_large()
        } else if self.says(&["cache-max-memory-size exceeded"]) || self.is_server_error() {
            self.retry(Cause::Busy)
        } else if self.says(&["unsupported path"]) {
            self.configuration(Scope::Server, &self.no_such_api())
        } else {
            return None;
        })
    }

    /// What an InfluxDB says of the lines.
    fn of_data(&self) -> Option<Disposition> {
        let (body, batch) = (self.body, self.batch);
        let head = body.head();
        Some(if let Some(numbered) = body.numbered() {
            self.numbered(numbered)
        } else if self.says(&["partial write"]) {
            self.rejected(rejected_lines::of_partial_write(body, batch), true)
        } else if head.ends_with(UNABLE_TO_PARSE) {
            // influxd 1.x says this when it could parse no line, 2.x when there is one that it
            // could not.
            self.rejected(rejected_lines::unparsable(body.message(), body, batch), false)
        } else if self.says(&["metric parse error"])
            && self.reply.api == Api::V1
            && self.reply.error_header().is_some()
        {
            // Telegraf's influxdb_listener passed on the other lines. Its other listeners take all
            // or none.
            self.rejected(rejected_lines::counted_by_telegraf(body.message(), batch), true)
        } else if head.ends_with("field type conflict") {
            // Lines of this batch disagree about a new field. The first of them has given it its
            // type now.
            Disposition::ResendOnce { reason: body.reason() }
        } else if matches!(self.reply.status, 400 | 422 | 500)
            && (self.says(&WHOLE_REQUEST) || head == "unexpected EOF")
        {
            self.rejected(RejectedLines::All, false)
        } else if body.message().ends_with("invalid UTF-8") || self.says(&["not valid utf8"]) {
            self.rejected(RejectedLines::Unnamed { count: None }, false)
        } else {
            return None;
        })
    }

    /// Lines beyond a limit wait until it is raised; those with another fault are rejected.
    fn numbered(&self, numbered: &Numbered) -> Disposition {
        let is_limited = |reason: &str| LIMITS.iter().any(|limit| reason.contains(limit));
        let faulty: Vec<_> =
            numbered.lines.iter().filter(|(_, reason)| !is_limited(reason)).cloned().collect();
        if faulty.len() == numbered.lines.len() {
            let lines = rejected_lines::numbered(numbered, self.batch);
            return self.rejected(lines, numbered.rest_stored);
        }
        if faulty.is_empty() {
            return self.limit_reached();
        }
        let faulty = Numbered { lines: faulty, rest_stored: false };
        self.rejected(rejected_lines::numbered(&faulty, self.batch), false)
    }

    fn limit_reached(&self) -> Disposition {
        self.configuration(Scope::Database, advice::LIMIT_REACHED)
    }

    fn is_server_error(&self) -> bool {
        let head = self.body.head().to_ascii_lowercase();
        self.reply.status >= 400 && SERVER_ERRORS.iter().any(|phrase| head.contains(phrase))
    }

    fn says(&self, phrases: &[&str]) -> bool {
        let head = self.body.head();
        phrases.iter().any(|phrase| head.contains(phrase))
    }
}
