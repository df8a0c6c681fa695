//! The table of replies: what each means, by who gave it, its status and its text. The one place
//! that decides.
//!
//! A batch is delivered when a reply confirms the write, and lines are rejected when an InfluxDB
//! says something of the data. Every other reply keeps the batch.
//!
//! Response bodies are untrusted and may echo our own lines: match only before the first quote,
//! which is what [`ErrorBody::head`] returns.

mod advice;
mod by_text;
mod classifier;

use super::error_body::ErrorBody;
use super::identity::ServerIdentity;
use super::reply::Reply;
use crate::buffer::Batch;
use crate::delivery::disposition::{Cause, Disposition, Failure, RejectedLines, Scope};
pub(in crate::delivery) use advice::LIMIT_REACHED;
use classifier::Classifier;

/// What a reply means.
pub(in crate::delivery) struct Answer {
    pub(in crate::delivery) server: ServerIdentity,
    /// What it means for the batch that it answers.
    pub(in crate::delivery) disposition: Disposition,
}

/// What `reply` means for `batch`.
pub(in crate::delivery) fn classify(reply: &Reply<'_>, batch: &Batch) -> Answer {
    let body = ErrorBody::of(reply);
    let server = ServerIdentity::of(reply, &body);
    let disposition = Classifier { reply, body: &body, server: &server, batch }.look_up();
    Answer { server, disposition }
}

impl Classifier<'_> {
    fn look_up(&self) -> Disposition {
        let is_influxdb = self.server.is_influxdb();
        match self.reply.status {
            204 => Disposition::Delivered,
            200..=299 if is_influxdb && self.reply.is_empty() => Disposition::Delivered,
            200..=299 => self.configuration(Scope::Server, &self.unconfirmed()),
            300..=399 => self.redirect(),
            401 => self.configuration(Scope::Server, &self.rejected_credentials()),
            403 if is_influxdb => self.configuration(Scope::Database, &self.not_permitted()),
            403 if !self.reply.is_page() => self.unrecognized(&self.not_permitted()),
            404 => self.not_found(),
            413 => self.too_large(),
            _ => self.by_text().unwrap_or_else(|| self.by_status()),
        }
    }

    fn by_status(&self) -> Disposition {
        let configuration = |advice: &str| self.configuration(Scope::Server, advice);
        match self.reply.status {
            402 => configuration("the account's limit is reached"),
            407 => configuration("the proxy wants credentials: put them into its URL"),
            // The gateway had no reply in time, or not the whole request.
            408 | 504 => self.retry(Cause::Timeout),
            // A gateway's reply where the server closed the connection, as it does for poison.
            502 => self.retry(Cause::Unknown),
            503 if self.is_closed_behind_envoy() => self.retry(Cause::Unknown),
            425 | 429 | 503 => self.retry(Cause::Busy),
            415 => configuration(&format!(
                "the server does not take this encoding: {}",
                self.reply.names.gzip.set_to("false")
            )),
            // nginx and influxd 2.x, about a client that went away.
            499 => self.retry(Cause::Unknown),
            501 | 511 => configuration(&self.not_influxdb()),
            // A firewall for web applications refuses what it takes for an attack.
            400..=499 if !self.server.is_influxdb() => self.unrecognized(&self.not_influxdb()),
            400 | 422 => self.rejected(RejectedLines::Unnamed { count: None }, false),
            405 => configuration(&self.no_such_api()),
            406..=499 => self.configuration(Scope::Database, &self.not_influxdb()),
            _ => self.retry(Cause::Unknown),
        }
    }

    /// Whether Envoy, the proxy of service meshes, says that the server closed the connection.
    fn is_closed_behind_envoy(&self) -> bool {
        let message = self.body.message();
        message.starts_with("upstream connect error or disconnect/reset before headers")
            && ["connection termination", "remote reset"]
                .iter()
                .any(|reason| message.contains(reason))
    }

    fn too_large(&self) -> Disposition {
        let is_influxdb = self.server.is_influxdb();
        let reason = match is_influxdb {
            true => self.body.reason(),
            false => self.explain(advice::TOO_LARGE_FOR_A_PROXY),
        };
        Disposition::TooLarge { is_from_server: is_influxdb, reason }
    }

    fn redirect(&self) -> Disposition {
        let setting = self.reply.names.address();
        let reason = match self.reply.location() {
            Some(location) => format!(
                "the server redirects to {}, and redirects are not followed: correct {setting}",
                self.reply.sanitize(&advice::without_secrets(location))
            ),
            None => format!(
                "the server redirects ({}), but not where to: check {setting}",
                self.reply.status
            ),
        };
        Disposition::Retry(Failure::of_server(Cause::Configuration, reason))
    }

    fn not_found(&self) -> Disposition {
        let head = self.body.head();
        let (target, names) = (self.target(), self.reply.names);
        let (scope, advice) = if head.contains("no dbrp mapping found") {
            let advice =
                format!("no DBRP mapping for {target}: create one, or {}", names.api.set_to("v2"));
            (Scope::Database, advice)
        } else if head.starts_with("organization") {
            (Scope::Server, format!("the organization does not exist: check {}", names.org))
        } else if head.starts_with("database") || head.starts_with("bucket") {
            let advice = format!("{target} does not exist: create it, or correct the name");
            (Scope::Database, advice)
        } else if head.is_empty() || head.contains("page not found") || self.reply.is_page() {
            (Scope::Server, self.no_such_api())
        } else {
            let advice = format!(
                "the server does not know {target}, or not this API: \
                 check the name and {}",
                names.api
            );
            (Scope::Database, advice)
        };
        self.configuration(scope, &advice)
    }
}

#[cfg(test)]
mod tests;
