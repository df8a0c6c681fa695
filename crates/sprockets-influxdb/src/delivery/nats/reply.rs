//! What the reply to a message means for its batch.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{self, ApiError, code};
use super::connection::{Broken, Link};
use super::settings::{Settings, failure};
use crate::delivery::disposition::{Cause, Disposition, Scope};

/// A message that was published.
pub(super) struct Publication<'a> {
    pub(super) settings: &'a Settings,
    pub(super) subject: &'a str,
}

/// How long the question may take whether there is a stream.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

impl Publication<'_> {
    /// There was a reply.
    pub(super) fn acknowledged(&self, payload: &[u8]) -> Disposition {
        let Ok(reply) = serde_json::from_slice::<Value>(payload) else {
            return self.not_an_acknowledgement();
        };
        if let Some((code, text)) = api::refusal(&reply) {
            return self.refused(&reply, code, &text);
        }
        let has_stream = reply["stream"].as_str().is_some_and(|stream| !stream.is_empty());
        match reply["seq"].as_u64().filter(|_| has_stream) {
            Some(1..) => Disposition::Delivered,
            // nats-server 2.10: the first one may still be refused.
            Some(0) if reply["duplicate"] == true => self.in_process(),
            _ => self.not_an_acknowledgement(),
        }
    }

    /// JetStream did not store it.
    fn refused(&self, reply: &Value, code: u64, text: &str) -> Disposition {
        let status = reply["error"]["code"].as_u64().unwrap_or_default();
        let (cause, scope, advice) = match code {
            code::MESSAGE_TOO_LARGE => {
                let reason = self.shown(&format!(
                    "the stream takes no message of this size: raise its max_msg_size ({text})"
                ));
                return Disposition::TooLarge { is_from_server: true, reason };
            }
            code::OTHER_STREAM => (
                Cause::Configuration,
                Scope::Database,
                "another stream has the subject: correct INFLUXDB_NATS_STREAM".to_owned(),
            ),
            code::NOT_ENABLED_FOR_ACCOUNT | code::NOT_ENABLED => (
                Cause::Configuration,
                Scope::Server,
                "enable JetStream for this account in the servers' configuration".to_owned(),
            ),
            code::REPEAT_IN_PROCESS => return self.in_process(),
            code::STORE_FAILED if text.contains("maximum") => (
                Cause::Busy,
                Scope::Database,
                "the stream is full: let forwarders catch up, or raise its limits".to_owned(),
            ),
            _ if code::NO_ROOM.contains(&code) => (
                Cause::Busy,
                Scope::Server,
                "JetStream has no room: raise the limits of its account or its server".to_owned(),
            ),
            _ if (400..500).contains(&status) => (
                Cause::Configuration,
                Scope::Database,
                "correct the stream, or INFLUXDB_NATS_SUBJECT".to_owned(),
            ),
            _ => (Cause::Busy, Scope::Server, "look into the servers' log".to_owned()),
        };
        let reason =
            format!("JetStream did not store a message to {}: {text}; {advice}", self.subject);
        self.retry(cause, scope, &reason)
    }

    /// Nobody listens on the subject: there is no stream for it, or one without a leader.
    pub(super) fn without_responders(&self, link: &Link, timeout: Duration) -> Disposition {
        let found = self.find_stream(link, timeout.min(LOOKUP_TIMEOUT));
        let (subject, url) = (self.subject, &self.settings.server.url);
        match found {
            Ok(Ok(stream)) => match stream {
                Some(stream) => self.retry(
                    Cause::Busy,
                    Scope::Database,
                    &format!("stream {stream} has no leader now: too few of its servers are up"),
                ),
                None => self.retry(Cause::Configuration, Scope::Database, &self.no_stream()),
            },
            Ok(Err(ApiError::NoResponders)) => self.retry(
                Cause::Busy,
                Scope::Server,
                &format!("no JetStream at {url}: {}", ApiError::NoResponders),
            ),
            Ok(Err(ApiError::Refused(
                code @ (code::NOT_ENABLED_FOR_ACCOUNT | code::NOT_ENABLED),
                text,
            ))) => self.retry(
                Cause::Configuration,
                Scope::Server,
                &format!("{text} (error {code}): enable JetStream for this account"),
            ),
            Ok(Err(ApiError::Refused(_, text))) => self.retry(
                Cause::Busy,
                Scope::Server,
                &format!("nothing stores messages to {subject} now: {text}"),
            ),
            Err(Broken::Disconnected) => self.disconnected(),
            // The names of streams need not be readable to publish.
            Ok(Err(_)) | Err(Broken::Forbidden(_)) => {
                let reason = format!("no stream stores messages to {subject}, or it has no leader");
                self.retry(Cause::Busy, Scope::Database, &reason)
            }
        }
    }

    /// The name of the stream that stores messages to the subject.
    pub(super) fn find_stream(
        &self,
        link: &Link,
        timeout: Duration,
    ) -> Result<Result<Option<String>, ApiError>, Broken> {
        link.run(self.subject, |client| {
            let body = json!({ "subject": self.subject });
            async move {
                let reply = api::request(&client, "STREAM.NAMES", &body, timeout).await?;
                Ok(reply["streams"][0].as_str().map(str::to_owned))
            }
        })
    }

    pub(super) fn no_stream(&self) -> String {
        let stream = self.settings.nats.stream.as_deref().unwrap_or("INFLUXDB");
        format!(
            "no stream stores messages to {}: create one, for instance with \
             `sprockets-influxdb forward --from {} --stream {stream} --create`",
            self.subject, self.settings.server.url
        )
    }

    /// There was no reply in time. The stream may have the message all the same; it knows the id
    /// when it comes again.
    pub(super) fn unacknowledged(&self, timeout: Duration) -> Disposition {
        let seconds = timeout.as_secs_f64();
        let reason = format!(
            "JetStream did not acknowledge a message to {} within {seconds:.1} s: its servers are \
             slow, or too few of them are up",
            self.subject
        );
        self.retry(Cause::Timeout, Scope::Server, &reason)
    }

    pub(super) fn disconnected(&self) -> Disposition {
        let url = &self.settings.server.url;
        let reason = format!("the connection to NATS at {url} was lost before it acknowledged");
        self.retry(Cause::Unreachable, Scope::Server, &reason)
    }

    pub(super) fn failed(&self, problem: &str) -> Disposition {
        let url = &self.settings.server.url;
        self.retry(Cause::Unreachable, Scope::Server, &format!("NATS at {url}: {problem}"))
    }

    /// The server refuses a subject.
    pub(super) fn forbidden(&self, text: &str) -> Disposition {
        let reason = format!(
            "NATS refuses: {text}; allow the user to publish to {} and to subscribe to _INBOX.>",
            self.subject
        );
        self.retry(Cause::Configuration, Scope::Server, &reason)
    }

    /// The stream has seen the message before, and does not know yet whether that one is stored.
    fn in_process(&self) -> Disposition {
        let reason =
            format!("JetStream has not yet stored a message to {} that came before", self.subject);
        self.retry(Cause::Busy, Scope::Database, &reason)
    }

    fn not_an_acknowledgement(&self) -> Disposition {
        let reason = format!(
            "something other than JetStream replied to a message to {}: correct \
             INFLUXDB_NATS_SUBJECT, as a service has it",
            self.subject
        );
        self.retry(Cause::Configuration, Scope::Database, &reason)
    }

    fn retry(&self, cause: Cause, scope: Scope, reason: &str) -> Disposition {
        Disposition::Retry(failure(cause, scope, self.shown(reason)))
    }

    fn shown(&self, text: &str) -> String {
        self.settings.shown(text)
    }
}
