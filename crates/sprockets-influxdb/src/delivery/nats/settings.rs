//! Where messages go, and how to get there.

use std::fmt;

use crate::config::{Nats, Server};
use crate::delivery::disposition::{Cause, Failure, Scope};
use crate::delivery::sanitize::{Secrets, sanitize};
use crate::error::{Error, Result};

/// The settings of a transport. They never change.
pub(crate) struct Settings {
    pub(crate) nats: Nats,
    pub(crate) server: Server,
    pub(crate) secrets: Secrets,
}

impl Settings {
    /// # Errors
    ///
    /// A server that is none of NATS.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let nats = server.nats.clone().ok_or_else(|| {
            Error::configuration("expected a URL of NATS, such as nats://nats.example.com:4222")
        })?;
        Ok(Self { nats, secrets: Secrets::of(server), server: server.clone() })
    }

    /// Text from outside, fit for a log.
    pub(super) fn shown(&self, text: &str) -> String {
        sanitize(text, &self.secrets)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A failure without a `Retry-After`.
pub(super) fn failure(cause: Cause, scope: Scope, reason: String) -> Failure {
    Failure { cause, scope, after: None, reason }
}
