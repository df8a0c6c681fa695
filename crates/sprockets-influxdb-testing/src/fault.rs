//! Descriptions of faults: the reply, how it is sent, and for which writes. Nothing here touches a
//! socket.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::conditions::Conditions;
use crate::foreign_reply::ForeignReply;
use crate::server_error::ServerError;

mod replies;

/// A fault of a write request, for [`Server::inject`](super::Server::inject).
///
/// A constructor says what happens. Modifiers say to how many requests, to which ones, and how the
/// reply is sent. By default a fault happens to one request, and nothing is stored.
///
/// ```
/// use std::time::Duration;
/// use sprockets_influxdb_testing::{Fault, Server, Stage};
///
/// let server = Server::start();
/// // Two replies 503, and then a write that is stored but whose reply is lost.
/// server.inject(Fault::error(503, "timeout").retry_after(1).times(2));
/// server.inject(Fault::reset(Stage::BeforeReply).and_store());
/// // Every batch with this measurement is refused as a whole, after a delay.
/// server.inject_always(
///     Fault::error(400, "unable to parse")
///         .when_body_contains("poison")
///         .after(Duration::from_millis(20)),
/// );
/// ```
#[derive(Clone)]
#[must_use = "a fault happens only once it is injected"]
pub struct Fault {
    pub(crate) action: Action,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) manner: Manner,
    pub(crate) stores: bool,
    pub(crate) delay: Duration,
    /// Added to the delay for each line of the body.
    pub(crate) per_line: Duration,
    /// How long the connection stays open after a reply that came before the body.
    pub(crate) linger: Option<Duration>,
    pub(crate) announces_close: bool,
    pub(crate) times: usize,
    pub(crate) conditions: Conditions,
}

/// When [`Fault::reset`] resets the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// After the headers, before the body.
    BeforeBody,
    /// After half of the body, or half of its first chunk.
    MidBody,
    /// After the whole request, which is stored if the fault says so.
    BeforeReply,
}

#[derive(Clone)]
pub(crate) enum Action {
    /// Handle the request without a fault.
    Ordinary,
    Status(u16, Vec<u8>),
    /// An error in the format of the API.
    Error(u16, String),
    ForeignReply(ForeignReply),
    ServerError(ServerError),
    RejectLines(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    Raw(Vec<u8>),
    Close,
    HalfClose,
    Reset(Stage),
    BlackHole,
}

/// How a reply is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    Whole,
    BeforeBody,
    Drip(Duration),
    Truncated,
}

impl Fault {
    /// Replies with this status and exactly this body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Action::Status(status, body.into()))
    }

    /// Replies with an error in the format of the API: `{"error":…}` and `X-Influxdb-Error` on v1,
    /// `{"code":…,"message":…}` on v2, `{"error":…}` or plain text on v3.
    pub fn error(status: u16, message: impl Into<String>) -> Self {
        Self::new(Action::Error(status, message.into()))
    }

    /// An [`error`](Self::error) whose message is this many bytes long.
    pub fn oversized(status: u16, bytes: usize) -> Self {
        Self::error(status, "x".repeat(bytes))
    }

    /// Replies like InfluxDB 1.x to a line with control characters: they are in the header
    /// `X-Influxdb-Error`, and HTTP clients cannot parse the reply.
    pub fn unparsable_header() -> Self {
        Self::status(400, "{\"error\":\"unable to parse 'a\\u0001b': missing fields\"}\n")
            .header("X-Influxdb-Error", "unable to parse 'a\u{1}b': missing fields")
    }

    /// Sends these bytes instead of a reply, which need not be HTTP, and closes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Action::Raw(bytes.into()))
    }

    /// Rejects the lines for which the predicate holds without naming them: stores the others and
    /// replies `partial write: points beyond retention policy dropped=N`. A request without such a
    /// line is handled as usual.
    pub fn reject_lines_unnamed(predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { stores: true, ..Self::new(Action::RejectLines(Arc::new(predicate))) }
    }

    /// Handles the request, and delays the reply. The points are stored before the delay.
    pub fn delay(delay: Duration) -> Self {
        Self::ordinary().after(delay)
    }

    /// Handles the request, and replies one byte at a time with this interval.
    pub fn drip(interval: Duration) -> Self {
        Self::ordinary().dripping(interval)
    }

    /// Reads the whole request and closes the connection without a reply.
    pub fn close() -> Self {
        Self::new(Action::Close)
    }

    /// Closes the connection for writing after the headers, and continues to read.
    pub fn half_close() -> Self {
        Self::new(Action::HalfClose)
    }

    /// Resets the connection at this stage. On Linux the client sees `ConnectionReset`; on other
    /// systems it may see the connection close.
    pub fn reset(stage: Stage) -> Self {
        Self::new(Action::Reset(stage))
    }

    /// Reads nothing more and does not reply, until the faults are cleared or the server stops.
    pub fn black_hole() -> Self {
        Self::new(Action::BlackHole)
    }

    /// Adds a header to the reply. The value is sent unchanged, including control characters.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `Retry-After`: seconds, or any other text.
    pub fn retry_after(self, value: impl fmt::Display) -> Self {
        self.header("Retry-After", value.to_string())
    }

    /// Adds `Retry-After` as an HTTP date, which has a resolution of one second.
    pub fn retry_at(self, time: SystemTime) -> Self {
        self.retry_after(httpdate::fmt_http_date(time))
    }

    /// Stores the points although the request fails.
    pub fn and_store(mut self) -> Self {
        self.stores = true;
        self
    }

    /// Delays the fault. Points that are stored are stored before the delay.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Replies before the body is read, then closes. Nothing is stored.
    pub fn before_body(mut self) -> Self {
        self.manner = Manner::BeforeBody;
        self
    }

    /// Replies one byte at a time with this interval between them.
    pub fn dripping(mut self, interval: Duration) -> Self {
        self.manner = Manner::Drip(interval);
        self
    }

    /// Announces a longer body than it sends, then closes. A 204 has no body.
    pub fn truncated(mut self) -> Self {
        self.manner = Manner::Truncated;
        self
    }

    /// Happens to this many requests instead of one.
    /// [`inject_always`](super::Server::inject_always) ignores it.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Happens only to writes to this database (or bucket).
    pub fn for_database(mut self, database: impl Into<String>) -> Self {
        self.conditions.database = Some(database.into());
        self
    }

    /// Happens only to writes whose uncompressed body contains this text. The fault happens after
    /// the body is read, so a request that is refused earlier does not count.
    pub fn when_body_contains(mut self, text: impl Into<String>) -> Self {
        self.conditions.text = Some(text.into());
        self
    }

    /// No fault.
    pub(crate) fn ordinary() -> Self {
        Self { stores: true, ..Self::new(Action::Ordinary) }
    }

    /// Whether the request is handled as usual, although perhaps late.
    pub(crate) fn is_ordinary(&self) -> bool {
        matches!(self.action, Action::Ordinary | Action::RejectLines(_))
    }

    pub(crate) fn as_foreign_reply(&self) -> Option<ForeignReply> {
        match self.action {
            Action::ForeignReply(reply) => Some(reply),
            _ => None,
        }
    }

    pub(crate) fn rejected_lines(&self) -> Option<&dyn Fn(&str) -> bool> {
        match &self.action {
            Action::RejectLines(predicate) => Some(&**predicate),
            _ => None,
        }
    }

    fn new(action: Action) -> Self {
        Self {
            action,
            headers: Vec::new(),
            manner: Manner::Whole,
            stores: false,
            delay: Duration::ZERO,
            per_line: Duration::ZERO,
            linger: None,
            announces_close: true,
            times: 1,
            conditions: Conditions::default(),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("action", &self.action)
            .field("manner", &self.manner)
            .field("headers", &self.headers)
            .field("stores", &self.stores)
            .field("delay", &self.delay)
            .field("per_line", &self.per_line)
            .field("linger", &self.linger)
            .field("announces_close", &self.announces_close)
            .field("times", &self.times)
            .field("conditions", &self.conditions)
            .finish()
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Ordinary => f.write_str("Ordinary"),
            Action::Status(status, body) => write!(f, "Status({status}, {} bytes)", body.len()),
            Action::Error(status, message) => write!(f, "Error({status}, {} bytes)", message.len()),
            Action::ForeignReply(reply) => write!(f, "ForeignReply({reply})"),
            Action::ServerError(error) => write!(f, "ServerError({error:?})"),
            Action::RejectLines(_) => f.write_str("RejectLines"),
            Action::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
            Action::Close => f.write_str("Close"),
            Action::HalfClose => f.write_str("HalfClose"),
            Action::Reset(stage) => write!(f, "Reset({stage:?})"),
            Action::BlackHole => f.write_str("BlackHole"),
        }
    }
}
