//! The attributes of a request: which there are, their names, and which of them are tags.

use std::sync::atomic::{AtomicU64, Ordering};

/// The value of [`Attribute::Endpoint`] for requests that no route matched.
///
/// All of them share this value. If the path were recorded, each path that a scanner tries would
/// become a series of its own.
pub const UNMATCHED: &str = "(unmatched)";

/// The status code of requests whose client disconnected before the response began, as in nginx.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Maximum length of a recorded text, in characters. Headers and exceptions are untrusted.
const MAX_TEXT_LENGTH: usize = 256;

/// The methods of RFC 9110, and PATCH of RFC 5789. All others share one value.
const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];

/// Something that is recorded of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attribute {
    /// Tag: the handler, if the framework knows one.
    Handler,
    /// Tag: the template of the matched route, never the path itself. [`UNMATCHED`] without a
    /// route.
    Endpoint,
    /// Tag: `GET` and the like. Methods that no RFC defines share one value.
    Method,
    /// Tag: the status code of the response. Without a response: 500 if the handler failed, else
    /// [`CLIENT_CLOSED_REQUEST`].
    StatusCode,
    /// Tag: the gRPC status as a number, from the trailers or the headers.
    GrpcStatus,
    /// Field, integer: bytes of the response's body that were sent.
    ContentLength,
    /// Field, integer: bytes of the request's body.
    RequestLength,
    /// Field, seconds: time until the last byte of the response's body.
    Duration,
    /// Field, seconds: time until the response began.
    TimeToFirstByte,
    /// Field, string: the client's address. Optionally a tag, which has another name.
    RemoteIp,
    /// Field, string: the value of a request header. Optionally a tag, which has another name.
    CorrelationId,
    /// Field, string: the error, if there was one.
    Exception,
}

/// Each attribute with its two names: ours, and the one of OpenTelemetry's semantic conventions for
/// HTTP servers 1.40. Those have no name for a request's id, and none for the time to the first
/// byte.
const NAMES: [(Attribute, &str, &str); 12] = [
    (Attribute::Handler, "handler", "code.function.name"),
    (Attribute::Endpoint, "endpoint", "http.route"),
    (Attribute::Method, "method", "http.request.method"),
    (Attribute::StatusCode, "status_code", "http.response.status_code"),
    (Attribute::GrpcStatus, "grpc_status", "rpc.grpc.status_code"),
    (Attribute::ContentLength, "content_length", "http.server.response.body.size"),
    (Attribute::RequestLength, "request_length", "http.server.request.body.size"),
    (Attribute::Duration, "duration", "http.server.request.duration"),
    (Attribute::TimeToFirstByte, "time_to_first_byte", "time_to_first_byte"),
    (Attribute::RemoteIp, "client_ip", "client.address"),
    (Attribute::CorrelationId, "request_id", "request.id"),
    (Attribute::Exception, "exception", "error.type"),
];

/// The names of fields that became tags, those of release 2.2.1. They differ from the names of the
/// fields: InfluxDB 3 rejects a name that is a tag in one point and a field in another.
const TAG_NAMES: [(Attribute, &str); 2] =
    [(Attribute::RemoteIp, "remote_ip"), (Attribute::CorrelationId, "correlation_id")];

/// The names that attributes are recorded by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// The names of the Tornado mixin: `endpoint`, `method`, `duration`. The default.
    #[default]
    Sprockets,
    /// The names of OpenTelemetry for HTTP servers: `http.route`, `http.request.method`,
    /// `http.server.request.duration`.
    OpenTelemetry,
}

/// The attributes that are recorded, with their names.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Equal for clones only.
    id: u64,
    /// By attribute; `None` for one that is not recorded.
    names: [Option<&'static str>; NAMES.len()],
    tags: [bool; NAMES.len()],
    unknown_method: &'static str,
}

impl Attributes {
    /// All attributes.
    pub(super) fn new(names: Names) -> Self {
        let name = |(_, ours, theirs): (Attribute, &'static str, &'static str)| match names {
            Names::Sprockets => Some(ours),
            Names::OpenTelemetry => Some(theirs),
        };
        let unknown_method = match names {
            Names::Sprockets => "(unknown)",
            Names::OpenTelemetry => "_OTHER",
        };
        let tags = NAMES.map(|(attribute, ..)| {
            matches!(
                attribute,
                Attribute::Handler
                    | Attribute::Endpoint
                    | Attribute::Method
                    | Attribute::StatusCode
                    | Attribute::GrpcStatus
            )
        });
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, names: NAMES.map(name), tags, unknown_method }
    }

    /// A number that only clones of these attributes have.
    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Stops recording an attribute.
    pub(super) fn leave_out(&mut self, attribute: Attribute) {
        self.names[attribute as usize] = None;
    }

    /// Records the client's address or the correlation id as a tag. Other fields stay fields.
    pub(super) fn make_tag(&mut self, attribute: Attribute) {
        let index = attribute as usize;
        if let Some((_, name)) = TAG_NAMES.iter().find(|(of, _)| *of == attribute) {
            self.names[index] = self.names[index].and(Some(name));
            self.tags[index] = true;
        }
    }

    /// The attribute with that name, which may be any of its names.
    pub fn find(name: &str) -> Option<Attribute> {
        let fields = NAMES.into_iter().flat_map(|(of, ours, theirs)| [(of, ours), (of, theirs)]);
        fields.chain(TAG_NAMES).find(|(_, known)| *known == name).map(|(of, _)| of)
    }

    /// Our names of all attributes, for error messages.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name, _)| *name)
    }

    /// The name of an attribute, if it is recorded.
    #[inline]
    pub fn name(&self, attribute: Attribute) -> Option<&'static str> {
        self.names[attribute as usize]
    }

    /// Whether a recorded attribute has this name.
    pub fn has_name(&self, name: &str) -> bool {
        Self::find(name).and_then(|attribute| self.name(attribute)) == Some(name)
    }

    /// Whether an attribute is a tag.
    #[inline]
    pub fn is_tag(&self, attribute: Attribute) -> bool {
        self.tags[attribute as usize]
    }

    /// The value to record for a method: itself, or [`unknown_method`](Self::unknown_method) if no
    /// RFC defines it.
    #[inline]
    pub fn method(&self, method: &str) -> &'static str {
        METHODS.iter().find(|known| **known == method).unwrap_or(&self.unknown_method)
    }

    /// The value to record for methods that are not known.
    pub fn unknown_method(&self) -> &'static str {
        self.unknown_method
    }
}

/// The first [`MAX_TEXT_LENGTH`] characters of a text.
pub(super) fn truncate(text: &str) -> &str {
    if text.len() <= MAX_TEXT_LENGTH {
        return text;
    }
    match text.char_indices().nth(MAX_TEXT_LENGTH) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests;
