//! Plain requests: their handlers set nothing, and nothing failed. Most requests are. They become
//! records, which takes much less of a request's time than a measurement.

use std::cell::RefCell;
use std::time::Duration;

use super::attributes::{Attribute, Attributes, UNMATCHED};
use super::outcome::Outcome;
use super::sink::AttributeSink;
use crate::client::{AddedRecord, Client, InForce, PreparedRecord};
use crate::record::{RecordNames, RecordValues};
use crate::spare;

/// Number of prepared records that a thread remembers.
const MAX_PREPARED: usize = 256;

/// What is recorded of a plain request beside its outcome. Empty texts are left out.
#[derive(Clone, Copy, Debug)]
pub struct PlainRequest<'a> {
    /// The database; empty: the default one of the client.
    pub database: &'a str,
    /// The name of the measurement.
    pub name: &'a str,
    /// The handler.
    pub handler: &'a str,
    /// The template of the route.
    pub endpoint: &'a str,
    /// The method as it is recorded: see [`Attributes::method`].
    pub method: &'a str,
    /// The client's address.
    pub remote_ip: &'a str,
    /// The correlation id.
    pub correlation_id: &'a str,
    /// The timestamp in nanoseconds.
    pub nanoseconds: i64,
}

/// A prepared record, and the tags that it is for.
struct Prepared {
    attributes: u64,
    status_code: u16,
    /// Where database, name, handler, endpoint and method end in the text.
    ends: [usize; 5],
    text: Box<str>,
    record: PreparedRecord,
}

thread_local! {
    static PREPARED: RefCell<Vec<Option<Prepared>>> = const { RefCell::new(Vec::new()) };
}

/// Records a plain request. Returns false if it has to be recorded as a measurement.
///
/// # Arguments
///
/// * `in_force`: the client's configuration, if the caller knows it
/// * `now`: returns the time since the request began
#[inline]
pub fn record_plain(
    client: &Client,
    in_force: Option<&InForce>,
    attributes: &Attributes,
    request: &PlainRequest<'_>,
    outcome: &Outcome,
    now: impl FnOnce() -> Duration,
) -> bool {
    let Some((status_code, integers, durations)) = outcome.numbers(now) else { return false };
    let texts = [request.remote_ip, request.correlation_id];
    let values = RecordValues { integers, durations, texts };
    // Fails when the thread ends.
    let added = PREPARED.try_with(|prepared| {
        let mut prepared = prepared.try_borrow_mut().ok()?;
        if prepared.is_empty() {
            prepared.resize_with(MAX_PREPARED, || None);
        }
        let slot = &mut prepared[slot(request, status_code)];
        for _ in 0..2 {
            let known = slot.as_ref().filter(|known| known.is_of(attributes, request, status_code));
            let added = known.map(|known| {
                client.add_record(in_force, &known.record, request.nanoseconds, &values)
            });
            match added {
                None | Some(AddedRecord::Outdated) => {
                    *slot = Prepared::new(client, attributes, request, status_code);
                }
                Some(added) => return Some(added == AddedRecord::Added),
            }
        }
        None
    });
    added.ok().flatten().unwrap_or(false)
}

#[inline]
fn slot(request: &PlainRequest<'_>, status_code: u16) -> usize {
    let [endpoint, handler] = [request.endpoint, request.handler].map(tail);
    let hash = (endpoint ^ handler.rotate_left(7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    (hash as usize + request.method.len() + usize::from(status_code)) % MAX_PREPARED
}

/// The end of a text, and its length.
#[inline(always)]
fn tail(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let short = || bytes.iter().fold(0, |end, byte| end << 8 | u64::from(*byte));
    let end = bytes.last_chunk().map_or_else(short, |end| u64::from_le_bytes(*end));
    end.wrapping_add(text.len() as u64)
}

impl Prepared {
    fn new(
        client: &Client,
        attributes: &Attributes,
        request: &PlainRequest<'_>,
        status_code: u16,
    ) -> Option<Self> {
        let names = attributes.record_names();
        let name = names.integers[0].or(names.durations[0])?;
        let mut measurement = spare::take();
        measurement.restart_at(request.database, request.name, request.nanoseconds);
        measurement.set_field(name, 0);
        let mut sink = AttributeSink::new(attributes, &mut measurement);
        sink.text(Attribute::Handler, request.handler);
        let has_endpoint = !request.endpoint.is_empty();
        sink.text(Attribute::Endpoint, if has_endpoint { request.endpoint } else { UNMATCHED });
        sink.text(Attribute::Method, request.method);
        sink.text(Attribute::StatusCode, itoa::Buffer::new().format(status_code));
        let record = client.prepare_record(&measurement, names);
        spare::keep(measurement);
        let mut text = String::new();
        let ends = request.tags().map(|tag| {
            text.push_str(tag);
            text.len()
        });
        let attributes = attributes.id();
        Some(Self { attributes, status_code, ends, text: text.into(), record })
    }

    #[inline]
    fn is_of(&self, attributes: &Attributes, request: &PlainRequest<'_>, status_code: u16) -> bool {
        let mut start = 0;
        let has = |(end, tag): (usize, &str)| {
            let known = &self.text.as_bytes()[start..end];
            start = end;
            known == tag.as_bytes()
        };
        self.status_code == status_code
            && self.attributes == attributes.id()
            && self.ends.into_iter().zip(request.tags()).all(has)
    }
}

impl<'a> PlainRequest<'a> {
    fn tags(&self) -> [&'a str; 5] {
        [self.database, self.name, self.handler, self.endpoint, self.method]
    }
}

impl Attributes {
    fn record_names(&self) -> RecordNames {
        use Attribute::{
            ContentLength, CorrelationId, Duration, RemoteIp, RequestLength, TimeToFirstByte,
        };
        RecordNames {
            integers: [ContentLength, RequestLength].map(|attribute| self.name(attribute)),
            durations: [Duration, TimeToFirstByte].map(|attribute| self.name(attribute)),
            texts: [RemoteIp, CorrelationId]
                .map(|attribute| (self.name(attribute), self.is_tag(attribute))),
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
