//! What is recorded of a request, and what it is called.

/// The `endpoint` of requests that no route matched: one value for all of them, or each path that a scanner tries would
/// be a series of its own.
pub const UNMATCHED: &str = "(unmatched)";

/// The `status_code` of requests whose client was gone before there was a response, as nginx has it.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// As much of a header, or of an exception's text, as is recorded: 256 characters. It comes from anybody.
pub fn cut(text: &str) -> &str {
    if text.len() <= 256 {
        return text;
    }
    match text.char_indices().nth(256) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The methods of RFC 9110 and RFC 5789 (PATCH): all others share one value.
const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];

/// What is recorded of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Property {
    /// Tag: the handler, where the framework knows one.
    Handler,
    /// Tag: the template of the route that matched, never the path itself; else [`UNMATCHED`].
    Endpoint,
    /// Tag: `GET` and the like; one value for methods that no RFC knows.
    Method,
    /// Tag: the response's; [`CLIENT_CLOSED_REQUEST`] if there was none, 500 if the handler failed.
    StatusCode,
    /// Tag: of gRPC, a number, from the trailers (or the headers, where it comes there).
    GrpcStatus,
    /// Field, integer: bytes of the response's body, as far as they were sent.
    ContentLength,
    /// Field, integer: bytes of the request's body.
    RequestLength,
    /// Field, seconds: until the last byte of the response's body.
    Duration,
    /// Field, seconds: until the response began.
    TimeToFirstByte,
    /// Field, or a tag if so asked: the client's address.
    RemoteIp,
    /// Field, or a tag if so asked: what a header of the request says.
    CorrelationId,
    /// Field, string: what went wrong, if something did.
    Exception,
}

impl Property {
    /// The property of that name, which may be either of its two.
    pub fn named(name: &str) -> Option<Self> {
        let is_it = |(_, ours, theirs): &&(Self, &str, &str)| *ours == name || *theirs == name;
        NAMES.iter().find(is_it).map(|(property, ..)| *property)
    }

    /// The names of all, to choose from.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name, _)| *name)
    }
}

/// Each property with its names: our own, and OpenTelemetry's (semantic conventions for HTTP servers, 1.40; what they have
/// no word for keeps ours).
const NAMES: [(Property, &str, &str); 12] = [
    (Property::Handler, "handler", "code.function.name"),
    (Property::Endpoint, "endpoint", "http.route"),
    (Property::Method, "method", "http.request.method"),
    (Property::StatusCode, "status_code", "http.response.status_code"),
    (Property::GrpcStatus, "grpc_status", "rpc.grpc.status_code"),
    (Property::ContentLength, "content_length", "http.server.response.body.size"),
    (Property::RequestLength, "request_length", "http.server.request.body.size"),
    (Property::Duration, "duration", "http.server.request.duration"),
    (Property::TimeToFirstByte, "time_to_first_byte", "time_to_first_byte"),
    (Property::RemoteIp, "remote_ip", "client.address"),
    (Property::CorrelationId, "correlation_id", "correlation_id"),
    (Property::Exception, "exception", "error.type"),
];

/// By which names properties are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// Those of the Tornado mixin: `endpoint`, `method`, `duration`.
    #[default]
    Sprockets,
    /// OpenTelemetry's for HTTP servers: `http.route`, `http.request.method`, `http.server.request.duration`.
    OpenTelemetry,
}

/// The name of each property, of those that are recorded.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    names: [Option<&'static str>; NAMES.len()],
    /// Those that are tags although they have many values.
    tags: [bool; NAMES.len()],
    unknown_method: &'static str,
}

impl Vocabulary {
    /// All properties.
    pub fn new(names: Names) -> Self {
        let name = |(_, ours, theirs): (Property, &'static str, &'static str)| match names {
            Names::Sprockets => Some(ours),
            Names::OpenTelemetry => Some(theirs),
        };
        let unknown_method = match names {
            Names::Sprockets => "(unknown)",
            Names::OpenTelemetry => "_OTHER",
        };
        let tags = NAMES.map(|(property, ..)| {
            matches!(
                property,
                Property::Handler
                    | Property::Endpoint
                    | Property::Method
                    | Property::StatusCode
                    | Property::GrpcStatus
            )
        });
        Self { names: NAMES.map(name), tags, unknown_method }
    }

    /// Records that property no more.
    pub fn leave_out(&mut self, property: Property) {
        self.names[property as usize] = None;
    }

    /// Records the client's address, or the correlation id, as a tag. Worth it only where there are few of them: each is a
    /// series of its own. What else is a field stays one.
    pub fn make_tag(&mut self, property: Property) {
        if matches!(property, Property::RemoteIp | Property::CorrelationId) {
            self.tags[property as usize] = true;
        }
    }

    /// The name of a property, if it is recorded.
    #[inline]
    pub fn name(&self, property: Property) -> Option<&'static str> {
        self.names[property as usize]
    }

    /// Whether a property is a tag.
    #[inline]
    pub fn is_tag(&self, property: Property) -> bool {
        self.tags[property as usize]
    }

    /// What to record of a method: itself, or the one value for methods that no RFC knows.
    pub fn method(&self, method: &str) -> &'static str {
        METHODS.into_iter().find(|known| *known == method).unwrap_or(self.unknown_method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_properties() {
        for (index, (property, ..)) in NAMES.into_iter().enumerate() {
            assert_eq!(property as usize, index);
        }
    }

    #[test]
    fn what_is_left_out_has_no_name() {
        let mut vocabulary = Vocabulary::new(Names::Sprockets);
        vocabulary.leave_out(Property::named("remote_ip").unwrap());
        vocabulary.leave_out(Property::named("http.route").unwrap());
        assert_eq!(vocabulary.name(Property::RemoteIp), None);
        assert_eq!(vocabulary.name(Property::Endpoint), None);
        assert_eq!(vocabulary.name(Property::Duration), Some("duration"));
        assert_eq!(Property::named("ip"), None);
    }

    #[test]
    fn only_what_says_who_asked_is_made_a_tag_on_demand() {
        let mut vocabulary = Vocabulary::new(Names::Sprockets);
        assert!(!vocabulary.is_tag(Property::RemoteIp));
        vocabulary.make_tag(Property::RemoteIp);
        vocabulary.make_tag(Property::Duration);
        assert!(vocabulary.is_tag(Property::RemoteIp));
        assert!(!vocabulary.is_tag(Property::Duration));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ü".repeat(300)), "ü".repeat(256));
    }

    #[test]
    fn a_method_is_one_of_a_few() {
        let ours = Vocabulary::new(Names::Sprockets);
        assert_eq!(ours.method("PATCH"), "PATCH");
        assert_eq!(ours.method("patch"), "(unknown)");
        assert_eq!(Vocabulary::new(Names::OpenTelemetry).method("PROPFIND"), "_OTHER");
    }
}
