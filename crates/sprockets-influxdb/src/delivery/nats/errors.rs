//! What the errors of the client library, and the texts of the server that it passes on, mean.

use std::error::Error;
use std::io;

use async_nats::{ClientError, ConnectError, ConnectErrorKind, Event, ServerError};

use super::settings::{Settings, failure};
use crate::delivery::disposition::{Cause, Failure, Scope};
use crate::delivery::tls;

/// In the server's text about a subject of replies.
const INBOX: &str = "_INBOX.";

/// Why there is no connection.
pub(super) enum NotConnected {
    /// The server refused the credentials.
    Unauthorized(Failure),
    Other(Failure),
}

impl NotConnected {
    /// An attempt to connect failed.
    pub(super) fn of(error: &ConnectError, settings: &Settings) -> Self {
        let cause = match error.kind() {
            ConnectErrorKind::AuthorizationViolation => return Self::unauthorized(settings),
            ConnectErrorKind::Authentication
            | ConnectErrorKind::ServerParse
            | ConnectErrorKind::Tls => Cause::Configuration,
            ConnectErrorKind::TimedOut => Cause::Timeout,
            _ => Cause::Unreachable,
        };
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(advice) = refused_handshake(inner, settings) {
                return Self::unreachable(settings, Cause::Configuration, &advice);
            }
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text = format!("{text}: {inner_text}");
            }
            source = inner.source();
        }
        Self::unreachable(settings, cause, &text)
    }

    pub(super) fn unauthorized(settings: &Settings) -> Self {
        let setting = match settings.nats.creds {
            Some(_) => "INFLUXDB_NATS_CREDS".to_owned(),
            None => settings.server.names.credentials(),
        };
        let url = &settings.server.url;
        let reason = format!("NATS at {url} refused the credentials: check {setting}");
        let reason = settings.shown(&reason);
        Self::Unauthorized(failure(Cause::Configuration, Scope::Server, reason))
    }

    pub(super) fn unreachable(settings: &Settings, cause: Cause, problem: &str) -> Self {
        let url = &settings.server.url;
        let reason = format!("no connection to NATS at {url}: {problem}");
        Self::Other(failure(cause, Scope::Server, settings.shown(&reason)))
    }

    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Unauthorized(failure) | Self::Other(failure) => failure,
        }
    }
}

impl From<Failure> for NotConnected {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

fn refused_handshake(error: &(dyn Error + 'static), settings: &Settings) -> Option<String> {
    let server = &settings.server;
    let error = error.downcast_ref::<io::Error>()?;
    tls::refusal(error, &server.url, "nats", &server.names, &settings.secrets)
}

/// Whether an attempt to reconnect failed since the server refused the credentials.
pub(super) fn is_unauthorized(event: &Event) -> bool {
    match event {
        Event::ServerError(ServerError::AuthorizationViolation) => true,
        // The library passes on the text of its error only, which begins with that of the kind.
        Event::ClientError(ClientError::Other(text)) => {
            text.starts_with(&ConnectErrorKind::AuthorizationViolation.to_string())
        }
        _ => false,
    }
}

/// The server's text, if it refuses a subject. The library has no type for it.
pub(super) fn forbidden(event: &Event) -> Option<&str> {
    match event {
        Event::ServerError(ServerError::Other(text))
            if text.to_ascii_lowercase().contains("permissions violation") =>
        {
            Some(text)
        }
        _ => None,
    }
}

/// Whether the server refuses the subscription to replies.
pub(super) fn is_about_inbox(text: &str) -> bool {
    text.contains(INBOX)
}

/// Whether the server refuses this subject.
pub(super) fn is_about(text: &str, subject: &str) -> bool {
    text.contains(&format!("\"{subject}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_refused_credentials_and_subjects_are_told_apart() {
        let kind = ConnectErrorKind::AuthorizationViolation;
        let refused = ConnectError::with_source(kind, ServerError::AuthorizationViolation);
        let reconnect = Event::ClientError(ClientError::Other(refused.to_string()));
        let server = Event::ServerError(ServerError::AuthorizationViolation);
        assert!(is_unauthorized(&reconnect) && is_unauthorized(&server));
        let text = "Permissions Violation for Publish to \"influxdb.a\"";
        let subject = Event::ServerError(ServerError::Other(text.to_owned()));
        assert!(!is_unauthorized(&subject));
        assert_eq!(forbidden(&subject), Some(text));
        assert!(is_about(text, "influxdb.a") && !is_about(text, "influxdb"));
        assert_eq!(forbidden(&server), None);
    }
}
