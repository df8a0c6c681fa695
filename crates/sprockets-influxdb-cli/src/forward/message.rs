//! Reads a message: whose lines it has, and where to acknowledge it.

use std::io::Read;

use async_nats::{HeaderMap, Message, Subject};
use flate2::read::MultiGzDecoder;
use sprockets_influxdb::Precision;
use sprockets_influxdb::internal::nats::{
    DATABASE_HEADER, ENCODING_HEADER, PRECISION_HEADER, decoded,
};

/// Bytes of lines in one message, at most. More is not set apart line by line.
const MAX_BYTES: u64 = 64 << 20;

/// A message that has to be acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) reply: Subject,
    pub(super) sequence: u64,
    /// How often it was delivered, this time included.
    pub(super) deliveries: u64,
    /// When it was stored, in nanoseconds.
    pub(super) stored_at: i64,
    /// Whether it has to be delivered again, as a part of it could not be set aside.
    pub(super) comes_again: bool,
}

/// The lines of a message.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) database: String,
    pub(super) precision: Precision,
    pub(super) bytes: Vec<u8>,
}

impl Receipt {
    /// From the subject of the acknowledgement, which says where the message is from:
    /// `$JS.ACK.stream.consumer.deliveries.sequence.consumer_sequence.time.pending`, or with a
    /// domain and an account after `ACK`, and more at its end.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let reply = message.reply.clone()?;
        let tokens: Vec<&str> = reply.as_str().split('.').collect();
        let start = match tokens.len() {
            9 => 4,
            11.. => 6,
            _ => return None,
        };
        let number = |index: usize| tokens[start + index].parse::<u64>().ok();
        if tokens[..2] != ["$JS", "ACK"] {
            return None;
        }
        let (deliveries, sequence) = (number(0)?, number(1)?);
        let stored_at = tokens[start + 3].parse().ok()?;
        Some(Self { reply, sequence, deliveries, stored_at, comes_again: false })
    }
}

/// The lines of a message. `Err` says why they cannot be read.
pub(super) fn read(message: &Message) -> Result<Lines, String> {
    let none = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&none);
    let header = |name: &str| headers.get(name).map(|value| value.as_str());
    let named = header(DATABASE_HEADER).or_else(|| message.subject.as_str().rsplit('.').next());
    let database = named.and_then(decoded).filter(|name| !name.is_empty());
    let database = database.ok_or("the name of its database is not UTF-8")?;
    let precision = match header(PRECISION_HEADER) {
        None => Precision::default(),
        Some(name) => name.parse().map_err(|error| format!("{PRECISION_HEADER}: {error}"))?,
    };
    let bytes = match header(ENCODING_HEADER) {
        None | Some("" | "identity") => message.payload.to_vec(),
        Some("gzip") => decompress(&message.payload, MAX_BYTES)?,
        Some(other) => return Err(format!("{ENCODING_HEADER} is {other:?}: expected gzip")),
    };
    Ok(Lines { database, precision, bytes })
}

fn decompress(payload: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = MultiGzDecoder::new(payload).take(limit + 1);
    reader.read_to_end(&mut bytes).map_err(|error| format!("it is not gzip: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!("it has more than {limit} bytes of lines"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn message(reply: &str, headers: &[(&str, &str)], payload: &[u8]) -> Message {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        Message {
            subject: "influxdb.a%2Eb".into(),
            reply: Some(reply.into()),
            payload: payload.to_vec().into(),
            headers: Some(map),
            status: None,
            description: None,
            length: payload.len(),
        }
    }

    #[test]
    fn the_acknowledgement_says_where_a_message_is_from() {
        let receipt = |reply: &str| Receipt::of(&message(reply, &[], b""));
        let plain = receipt("$JS.ACK.S.c.2.17.9.1700000000000000000.5").unwrap();
        assert_eq!(
            (plain.deliveries, plain.sequence, plain.stored_at),
            (2, 17, 1_700_000_000_000_000_000)
        );
        let domain = receipt("$JS.ACK.hub.hash.S.c.1.17.9.1700000000000000000.5.token").unwrap();
        assert_eq!((domain.deliveries, domain.sequence), (1, 17));
        for other in ["_INBOX.a.b", "$JS.ACK.S.c.x.17.9.1.5", "$JS.ACK", "a.b.c.d.1.2.3.4.5"] {
            assert!(receipt(other).is_none(), "{other}");
        }
    }

    #[test]
    fn headers_say_whose_lines_they_are() {
        let lines = read(&message("r", &[], b"m v=1 1")).unwrap();
        assert_eq!((lines.database.as_str(), lines.precision), ("a.b", Precision::Nanoseconds));
        let headers = [(DATABASE_HEADER, "my%20db"), (PRECISION_HEADER, "ms")];
        let lines = read(&message("r", &headers, b"m v=1 1")).unwrap();
        assert_eq!((lines.database.as_str(), lines.precision), ("my db", Precision::Milliseconds));
    }

    #[test]
    fn lines_are_decompressed_up_to_a_limit() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[b' '; 1_000]).unwrap();
        let payload = encoder.finish().unwrap();
        assert!(payload.len() < 100);
        assert_eq!(decompress(&payload, 1_000).unwrap().len(), 1_000);
        // Several members, as cat makes them.
        assert_eq!(decompress(&payload.repeat(2), 2_000).unwrap().len(), 2_000);
        for payload in [payload.clone(), payload.repeat(9)] {
            let reason = decompress(&payload, 999).unwrap_err();
            assert!(reason.contains("more than 999 bytes"), "{reason}");
        }
    }

    #[test]
    fn wrong_headers_are_a_reason() {
        for (headers, payload, expected) in [
            ([(PRECISION_HEADER, "m")], &b""[..], "expected ns, us, ms or s"),
            ([(ENCODING_HEADER, "br")], b"", "expected gzip"),
            ([(ENCODING_HEADER, "gzip")], b"m v=1 1", "it is not gzip"),
            ([(DATABASE_HEADER, "%ff")], b"", "is not UTF-8"),
            ([(DATABASE_HEADER, "")], b"", "is not UTF-8"),
        ] {
            let reason = read(&message("r", &headers, payload)).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
