//! Faults after the servers and proxies that clients meet: see [`ForeignReply`] and
//! [`ServerError`].

use std::time::Duration;

use super::{Action, Fault, Manner};
use crate::foreign_reply::ForeignReply;
use crate::server_error::ServerError;

impl Fault {
    /// Answers as something that is no InfluxDB does. The reply has none of InfluxDB's headers.
    pub fn foreign_reply(reply: ForeignReply) -> Self {
        Self::new(Action::ForeignReply(reply))
    }

    /// Answers as InfluxDB 3 does for an error of its own, in the form of the API used.
    pub fn server_error(error: ServerError) -> Self {
        Self::new(Action::ServerError(error))
    }

    /// Handles the request, and answers later the more lines it has: `base` plus `per_line` for
    /// each. The points are stored before the wait.
    pub fn slow(base: Duration, per_line: Duration) -> Self {
        Self { per_line, ..Self::delay(base) }
    }

    /// Replies before the body is read, and keeps the connection open for this long without reading
    /// it. The reply says `Connection: close`; see [`unannounced`](Self::unannounced).
    ///
    /// nginx answers 413 like this, and closes 5 s later.
    pub fn lingering(mut self, time: Duration) -> Self {
        self.manner = Manner::BeforeBody;
        self.linger = Some(time);
        self
    }

    /// With [`lingering`](Self::lingering) or [`before_body`](Self::before_body) the reply does not
    /// say that the connection closes.
    pub fn unannounced(mut self) -> Self {
        self.announces_close = false;
        self
    }

    /// Happens only to requests whose body has more bytes than this on the wire.
    pub fn when_body_exceeds(mut self, bytes: usize) -> Self {
        self.conditions.exceeds = Some(bytes);
        self
    }

    /// Happens to requests of every method and path, `/ping` included, not to writes alone.
    pub fn for_every_request(mut self) -> Self {
        self.conditions.every_request = true;
        self
    }
}
