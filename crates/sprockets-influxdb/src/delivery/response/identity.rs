//! Who answered: an InfluxDB, or something else that speaks HTTP.

use ureq::http::Response;
use ureq::http::header::{SERVER, VIA};

use crate::config::Api;
use crate::delivery::sanitize::sanitize;

/// Headers that only an InfluxDB, or a server compatible with it, adds to its replies.
const INFLUXDB_HEADERS: [&str; 5] = [
    "x-influxdb-version",
    "x-influxdb-build",
    "x-influxdb-error",
    "x-platform-error-code",
    "cluster-uuid",
];

/// What the head of a reply tells about the server.
#[derive(Debug)]
pub(in crate::delivery) struct ServerIdentity {
    is_influxdb: bool,
    version: Option<String>,
    software: String,
}

impl ServerIdentity {
    /// `api` is the API that the request used.
    pub(in crate::delivery) fn of<B>(reply: &Response<B>, api: Api) -> Self {
        let header = |name: &str| {
            let value = reply.headers().get(name)?;
            Some(sanitize(&String::from_utf8_lossy(value.as_bytes())))
        };
        let named = [("Server", SERVER), ("Via", VIA)].into_iter().filter_map(|(label, name)| {
            header(name.as_str()).map(|value| format!("{label}: {value}"))
        });
        let status = reply.status().as_u16();
        // Not every reply of InfluxDB 3 has a header of its own.
        let is_like_v3 =
            api == Api::V3 && header("content-type").is_none_or(|kind| !kind.contains("html"));
        Self {
            is_influxdb: INFLUXDB_HEADERS.iter().any(|name| header(name).is_some())
                || status == 204
                || is_like_v3 && matches!(status, 400 | 401 | 403),
            version: header("x-influxdb-version"),
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
