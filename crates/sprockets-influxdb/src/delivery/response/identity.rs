//! Who answered: an InfluxDB, or something else that speaks HTTP.

use ureq::http::HeaderName;
use ureq::http::header::{SERVER, VIA};

use super::error_body::ErrorBody;
use super::reply::Reply;
use crate::config::Api;

/// Headers that only an InfluxDB, or a server compatible with it, adds to its replies.
/// `x-server-hostname` is VictoriaMetrics'.
const HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("x-influxdb-version"),
    HeaderName::from_static("x-influxdb-build"),
    HeaderName::from_static("x-influxdb-error"),
    HeaderName::from_static("x-platform-error-code"),
    HeaderName::from_static("cluster-uuid"),
    HeaderName::from_static("x-server-hostname"),
];

const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");

/// How the errors begin that say something of the data. Not every reply of InfluxDB has a header
/// of its own, and proxies remove them.
const MESSAGES: [&str; 33] = [
    // 1.x and 2.x
    "cache-max-memory-size exceeded",
    "database is required",
    "database not found",
    "engine: ",
    "failure writing points to database: ",
    "field type conflict",
    "gzip: invalid header",
    "hinted handoff queue not empty",
    "invalid consistency level",
    "invalid precision",
    "max key length exceeded",
    "partial write",
    "points beyond retention policy",
    "request throttled, ",
    "retention policy not found",
    "time outside range",
    "unable to parse '",
    "unexpected error writing points to database: ",
    "writing requires points",
    // 3.x
    "Adding a new database would exceed limit",
    "Authorization header was malformed",
    "Update to schema would exceed",
    "body content is not valid utf8",
    "db name ",
    "error decoding gzip stream",
    "incoming write was empty",
    "invalid character in database or rp name",
    "invalid configuration provided: ",
    "max request size (",
    "namespace name ",
    "serde error: ",
    "write buffer error: ",
    // Telegraf
    "metric parse error",
];

/// What a reply tells about the server.
#[derive(Debug)]
pub(in crate::delivery) struct ServerIdentity {
    is_influxdb: bool,
    version: Option<String>,
    software: String,
}

impl ServerIdentity {
    pub(super) fn of(reply: &Reply<'_>, body: &ErrorBody<'_>) -> Self {
        let header = |name: &HeaderName| {
            let value = reply.header(name)?;
            Some(reply.sanitize(&String::from_utf8_lossy(value)))
        };
        let named = [("Server", SERVER), ("Via", VIA)]
            .into_iter()
            .filter_map(|(label, name)| header(&name).map(|value| format!("{label}: {value}")));
        let has_header = HEADERS.iter().any(|name| reply.headers.contains_key(name));
        let speaks = reply.status >= 400 && !reply.is_page() && is_influxdbs(body);
        // Not every rejection by InfluxDB 3 has a text.
        let is_silent_v3 = reply.api == Api::V3
            && match reply.status {
                401 => !reply.is_page(),
                403 => reply.is_empty(),
                _ => false,
            };
        Self {
            is_influxdb: has_header || speaks || reply.status == 204 || is_silent_v3,
            version: header(&VERSION),
            software: named.collect::<Vec<_>>().join(", "),
        }
    }

    pub(in crate::delivery) fn is_influxdb(&self) -> bool {
        self.is_influxdb
    }

    pub(in crate::delivery) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Its headers `Server` and `Via`; empty without them.
    pub(in crate::delivery) fn software(&self) -> &str {
        &self.software
    }
}

/// Whether only an InfluxDB, or a server compatible with it, puts an error like this. What it
/// echoes comes later in the message.
fn is_influxdbs(body: &ErrorBody<'_>) -> bool {
    body.has_influxdb_form()
        || MESSAGES.iter().any(|beginning| body.message().starts_with(beginning))
}
