//! Faults after the servers and proxies that clients meet: see [`Stranger`] and [`Trouble`].

use std::time::Duration;

use super::{Action, Fault, Manner};
use crate::stranger::Stranger;
use crate::trouble::Trouble;

impl Fault {
    /// Answers as something that is no InfluxDB does. The reply has none of InfluxDB's headers.
    pub fn stranger(stranger: Stranger) -> Self {
        Self::new(Action::Stranger(stranger))
    }

    /// Answers as InfluxDB 3 does when it has trouble of its own, in the form of the API asked.
    pub fn trouble(trouble: Trouble) -> Self {
        Self::new(Action::Trouble(trouble))
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
