//! The message of a batch: its subject, headers and payload. The forwarder reads them.

use std::sync::OnceLock;

use async_nats::HeaderMap;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::settings::Settings;
use crate::buffer::Batch;
use crate::config::DATABASE;
use crate::delivery::compression;

/// Names the stream that has to store the message.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// The id of the batch. A stream drops a message whose id it has seen within its duplicate window.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The same id, which streams do not look at.
const BATCH_HEADER: &str = "Influxdb-Batch";
/// The name of the database, percent-encoded as in the subject.
pub const DATABASE_HEADER: &str = "Influxdb-Database";
/// The precision of the timestamps: `ns`, `us`, `ms` or `s`.
pub const PRECISION_HEADER: &str = "Influxdb-Precision";
/// The number of lines.
const LINES_HEADER: &str = "Influxdb-Lines";
/// The host and the process that sent the message.
const SOURCE_HEADER: &str = "Influxdb-Source";
/// `gzip`, if the payload is compressed.
pub const ENCODING_HEADER: &str = "Content-Encoding";

/// What a token of a subject, and a header, cannot hold as it is, or may mean something else.
const TOKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// Of the two halves of an id.
const SECRETS: [RapidSecrets; 2] =
    [RapidSecrets::seed(0x7f4a_7c15_9e37_79b9), RapidSecrets::seed(0x1ce4_e5b9_bf58_476d)];

pub(super) struct Message {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: bytes::Bytes,
}

impl Message {
    /// `drops_repeats`: whether the stream may drop the message if it has the batch.
    pub(super) fn of(batch: &Batch, settings: &Settings, drops_repeats: bool) -> Self {
        let mut lines = Vec::with_capacity(batch.len());
        batch.chunks().for_each(|chunk| lines.extend_from_slice(chunk));
        let database = encoded(batch.database());
        let mut headers = HeaderMap::new();
        let id_header = if drops_repeats { MESSAGE_ID } else { BATCH_HEADER };
        headers.insert(id_header, id(batch, &lines));
        headers.insert(DATABASE_HEADER, database);
        headers.insert(PRECISION_HEADER, batch.precision().to_string());
        headers.insert(LINES_HEADER, batch.lines().to_string());
        headers.insert(SOURCE_HEADER, source());
        if let Some(stream) = &settings.nats.stream {
            headers.insert(EXPECTED_STREAM, stream.as_str());
        }
        let compressed = if settings.server.gzip { compression::gzip(batch) } else { None };
        if compressed.is_some() {
            headers.insert(ENCODING_HEADER, "gzip");
        }
        let payload = compressed.unwrap_or(lines).into();
        Self { subject: subject(&settings.nats.subject, batch.database()), headers, payload }
    }

    /// The bytes that count against the server's limit.
    pub(super) fn len(&self) -> usize {
        let line = |name: usize, value: usize| name + value + ": \r\n".len();
        let headers: usize = self
            .headers
            .iter()
            .flat_map(|(name, values)| {
                let name: &str = name.as_ref();
                values.iter().map(move |value| line(name.len(), value.as_str().len()))
            })
            .sum();
        "NATS/1.0\r\n\r\n".len() + headers + self.payload.len()
    }
}

/// The subject of a database's messages.
pub(super) fn subject(template: &str, database: &str) -> String {
    template.replace(DATABASE, &encoded(database))
}

/// The name of a database as a token of a subject.
pub(super) fn encoded(database: &str) -> String {
    utf8_percent_encode(database, TOKEN).to_string()
}

/// The name of a database from a token of a subject. `None` if it is not UTF-8.
pub fn decoded(token: &str) -> Option<String> {
    let name = percent_decode_str(token).decode_utf8().ok()?;
    Some(name.into_owned())
}

/// Follows from what is in the batch: the same when it is sent again, by this process or, from its
/// spool, by another. 128 bits, so that no two batches share it by chance.
fn id(batch: &Batch, lines: &[u8]) -> String {
    // The zero byte is in neither.
    let mut rest = format!("{}\0{}\0", batch.database(), batch.precision()).into_bytes();
    let place = rest.len();
    let halves = SECRETS.map(|secrets| {
        rest.truncate(place);
        rest.extend_from_slice(&rapidhash_v3_seeded(lines, &secrets).to_le_bytes());
        rapidhash_v3_seeded(&rest, &secrets).to_le_bytes()
    });
    BASE64_URL_SAFE_NO_PAD.encode(halves.concat())
}

/// The host and the process.
fn source() -> String {
    static HOST: OnceLock<String> = OnceLock::new();
    let host = HOST.get_or_init(|| encoded(&gethostname::gethostname().to_string_lossy()));
    format!("{host}/{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_name_survives_the_subject() {
        for name in ["example", "a.b", "a b", "*", ">", "db/year", "caf\u{e9}", "100%", "%41", "."]
        {
            let token = encoded(name);
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_~%".contains(&b)));
            assert_eq!(decoded(&token).as_deref(), Some(name));
        }
        assert_eq!(decoded("%ff"), None);
        assert_eq!(subject("influxdb.{database}", "a.b"), "influxdb.a%2Eb");
        assert_eq!(subject("metrics", "a.b"), "metrics");
    }

    #[test]
    fn the_id_follows_from_database_precision_and_lines() {
        let id = |database: &str, line: &str| {
            let batch = Batch::of(database, &[line]);
            let lines: Vec<u8> = batch.chunks().flatten().copied().collect();
            super::id(&batch, &lines)
        };
        assert_eq!(id("a", "m v=1 1"), id("a", "m v=1 1"));
        assert_ne!(id("a", "m v=1 1"), id("b", "m v=1 1"));
        assert_ne!(id("a", "m v=1 1"), id("a", "m v=1 2"));
        assert_eq!(id("a", "m v=1 1").len(), 22);
    }
}
