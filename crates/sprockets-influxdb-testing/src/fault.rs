//! What a server can be told to do wrong. A fault says what is answered, how it gets there, and for which writes;
//! nothing here touches a socket.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::conditions::Conditions;
use crate::stranger::Stranger;
use crate::trouble::Trouble;

mod replies;

/// Something that goes wrong with a write request, for [`Server::inject`](super::Server::inject).
///
/// A constructor says what happens; modifiers say for how many requests, for which ones, and how the reply gets
/// there. Unless said otherwise nothing is stored, and one request is hit.
///
/// ```
/// use std::time::Duration;
/// use sprockets_influxdb_testing::{Fault, Server, Stage};
///
/// let server = Server::start();
/// // Overloaded, twice; and then one write that is stored, but whose reply is lost.
/// server.inject(Fault::error(503, "timeout").retry_after(1).times(2));
/// server.inject(Fault::reset(Stage::BeforeReply).and_store());
/// // Every batch with a line of this measurement is refused as a whole, and slowly.
/// server.inject_always(
///     Fault::error(400, "unable to parse").when_body_contains("poison").after(Duration::from_millis(20)),
/// );
/// ```
#[derive(Clone)]
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

/// How far a request gets before [`Fault::reset`] cuts it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The headers are read, of the body nothing.
    BeforeBody,
    /// Half of the body is read, or half of its first chunk.
    MidBody,
    /// The whole request is read, and stored if the fault says so.
    BeforeReply,
}

#[derive(Clone)]
pub(crate) enum Action {
    /// Handle the request as if nothing had been injected.
    Ordinary,
    Status(u16, Vec<u8>),
    /// An error in the words of the API asked.
    Error(u16, String),
    Stranger(Stranger),
    Trouble(Trouble),
    RejectLines(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    Raw(Vec<u8>),
    Close,
    HalfClose,
    Reset(Stage),
    BlackHole,
}

/// How a reply gets to the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    Whole,
    BeforeBody,
    Drip(Duration),
    Truncated,
}

impl Fault {
    /// Answers with this status and exactly this body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Action::Status(status, body.into()))
    }

    /// Answers with an error in the shape that the API asked gives its errors: `{"error":…}` and `X-Influxdb-Error`
    /// on v1, `{"code":…,"message":…}` on v2, `{"error":…}` or plain text on v3.
    pub fn error(status: u16, message: impl Into<String>) -> Self {
        Self::new(Action::Error(status, message.into()))
    }

    /// An [`error`](Self::error) whose message is this many bytes long.
    pub fn oversized(status: u16, bytes: usize) -> Self {
        Self::error(status, "x".repeat(bytes))
    }

    /// Answers as InfluxDB 1.x does when a refused line has control characters: they are in the `X-Influxdb-Error`
    /// header, and HTTP clients cannot read the reply.
    pub fn unparsable_header() -> Self {
        Self::status(400, "{\"error\":\"unable to parse 'a\\u0001b': missing fields\"}\n")
            .header("X-Influxdb-Error", "unable to parse 'a\u{1}b': missing fields")
    }

    /// Writes these bytes instead of a reply, and closes: something that is not HTTP.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Action::Raw(bytes.into()))
    }

    /// Refuses the lines for which the predicate holds without naming them: stores the others and answers
    /// `partial write: points beyond retention policy dropped=N`. A request with no such line is answered as ever.
    pub fn reject_lines_unnamed(predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { stores: true, ..Self::new(Action::RejectLines(Arc::new(predicate))) }
    }

    /// Handles the request, and answers this much later. The points are stored before the wait.
    pub fn delay(delay: Duration) -> Self {
        Self::ordinary().after(delay)
    }

    /// Handles the request, and answers one byte at a time with this interval between them.
    pub fn drip(interval: Duration) -> Self {
        Self::ordinary().dripping(interval)
    }

    /// Reads the whole request and closes the connection without a reply.
    pub fn close() -> Self {
        Self::new(Action::Close)
    }

    /// Closes the server's side of the connection for writing as soon as the headers are there, and goes on reading.
    pub fn half_close() -> Self {
        Self::new(Action::HalfClose)
    }

    /// Breaks the connection with a reset at this stage. On Linux the client sees `ConnectionReset`; elsewhere it may
    /// see the connection close.
    pub fn reset(stage: Stage) -> Self {
        Self::new(Action::Reset(stage))
    }

    /// Reads nothing more and answers nothing, until the faults are cleared or the server stops.
    pub fn black_hole() -> Self {
        Self::new(Action::BlackHole)
    }

    /// Adds a header to the reply. The value is sent as it is, control characters included.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `Retry-After`: seconds, or whatever else.
    #[must_use]
    pub fn retry_after(self, value: impl fmt::Display) -> Self {
        self.header("Retry-After", value.to_string())
    }

    /// Adds `Retry-After` as an HTTP date, which has a resolution of one second.
    #[must_use]
    pub fn retry_at(self, time: SystemTime) -> Self {
        self.retry_after(httpdate::fmt_http_date(time))
    }

    /// Stores the points all the same.
    #[must_use]
    pub fn and_store(mut self) -> Self {
        self.stores = true;
        self
    }

    /// Waits this long before it happens; the points, if any are stored, are stored before the wait.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Replies before the body is read, then closes. There is nothing to store.
    #[must_use]
    pub fn before_body(mut self) -> Self {
        self.manner = Manner::BeforeBody;
        self
    }

    /// Replies one byte at a time with this interval between them.
    #[must_use]
    pub fn dripping(mut self, interval: Duration) -> Self {
        self.manner = Manner::Drip(interval);
        self
    }

    /// Announces a longer body than it sends, then closes. For a reply that has a body: a 204 has none.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.manner = Manner::Truncated;
        self
    }

    /// Happens to this many requests instead of one. [`inject_always`](super::Server::inject_always) ignores it.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Happens only to writes to this database (or bucket).
    #[must_use]
    pub fn for_database(mut self, database: impl Into<String>) -> Self {
        self.conditions.database = Some(database.into());
        self
    }

    /// Happens only to writes whose uncompressed body contains this text. They are read to the end before anything
    /// happens to them, and refused without the fault's help if they are refused before that.
    #[must_use]
    pub fn when_body_contains(mut self, text: impl Into<String>) -> Self {
        self.conditions.text = Some(text.into());
        self
    }

    /// No fault at all.
    pub(crate) fn ordinary() -> Self {
        Self { stores: true, ..Self::new(Action::Ordinary) }
    }

    /// Whether the reply is the server's own, though perhaps late.
    pub(crate) fn is_ordinary(&self) -> bool {
        matches!(self.action, Action::Ordinary | Action::RejectLines(_))
    }

    pub(crate) fn as_stranger(&self) -> Option<Stranger> {
        match self.action {
            Action::Stranger(stranger) => Some(stranger),
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
            Action::Stranger(stranger) => write!(f, "Stranger({stranger})"),
            Action::Trouble(trouble) => write!(f, "Trouble({trouble:?})"),
            Action::RejectLines(_) => f.write_str("RejectLines"),
            Action::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
            Action::Close => f.write_str("Close"),
            Action::HalfClose => f.write_str("HalfClose"),
            Action::Reset(stage) => write!(f, "Reset({stage:?})"),
            Action::BlackHole => f.write_str("BlackHole"),
        }
    }
}
