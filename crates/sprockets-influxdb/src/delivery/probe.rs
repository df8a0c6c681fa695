//! Finds out whether a server would take a write, and stores nothing.
//!
//! InfluxDB 1.x and 2.x are probed by a write of nothing: they judge the credentials and the
//! database before they see that there is nothing to write. On InfluxDB 3 such a write creates the
//! database, so it is asked for the names of its databases instead.

mod influxdb3;

use super::check::{Check, Finding};
use super::disposition::{Cause, Disposition, Failure, Scope};
use super::http::HttpTransport;
use super::response::ServerIdentity;
use crate::buffer::Batch;
use crate::config::{Api, Names, Precision, Server};

/// What InfluxDB 2.x and 3.x say to a write of nothing. 1.x says nothing.
const EMPTY_WRITE: [&str; 2] = ["writing requires points", "incoming write was empty"];

/// What InfluxDB 3 says to credentials that it cannot read, with status 400.
const MALFORMED_CREDENTIALS: &str = "Authorization header was malformed";

impl Check {
    pub(crate) fn make(server: &Server, precision: Precision, database: Option<&str>) -> Self {
        #[cfg(feature = "nats")]
        if server.nats.is_some() {
            return super::nats::check::check(server, database)
                .unwrap_or_else(|error| Self::unconnected(server.url.clone(), error.to_string()));
        }
        let transport = match HttpTransport::new(server) {
            Ok(transport) => transport,
            Err(error) => return Self::unconnected(server.url.clone(), error.to_string()),
        };
        match influxdb3::check(&transport, server, database) {
            Ok(Some(check)) => return check,
            Ok(None) => {}
            Err(failure) => {
                let advice = with_advice(failure.reason(), &server.names);
                return Self::unconnected(transport.description(), advice);
            }
        }
        let batch = Batch::new(database.unwrap_or_default().into(), precision);
        let mut identity = None;
        let attempt = transport.send_observed(&batch, server.timeout, &mut |status, server| {
            identity = Some((status, server));
        });
        let peer = transport.description();
        match identity {
            Some((status, identity)) => {
                Probe { server, database, peer: &peer, status, identity }.read(&attempt.disposition)
            }
            None => {
                let reason = attempt.disposition.reason();
                Self::unconnected(peer, with_advice(reason, &server.names))
            }
        }
    }
}

/// A write of nothing that was answered.
struct Probe<'a> {
    server: &'a Server,
    database: Option<&'a str>,
    peer: &'a str,
    status: u16,
    identity: ServerIdentity,
}

impl Probe<'_> {
    fn read(&self, disposition: &Disposition) -> Check {
        use Finding::{Failed, Passed, Unknown};
        let rejected = || Unknown("the server rejected the request before".to_owned());
        let check = |connection, authentication, database| Check {
            server: self.who(),
            connection,
            authentication,
            database,
        };
        let message = disposition.reason();
        let no_connection = |problem| check(Failed(problem), rejected(), rejected());
        let is_influxdb = self.identity.is_influxdb();
        match (self.status, disposition) {
            (401, _) => check(Passed, Failed(self.with_doubt(message)), rejected()),
            (400, _) if is_influxdb && message.contains(MALFORMED_CREDENTIALS) => {
                check(Passed, Failed(message.to_owned()), rejected())
            }
            (403, _) if self.database.is_none() => check(Passed, Passed, Finding::no_database()),
            (403, _) => check(Passed, Passed, Failed(self.with_doubt(message))),
            (
                _,
                Disposition::Retry(Failure {
                    cause: Cause::Configuration,
                    scope: Scope::Database,
                    ..
                }),
            ) if is_influxdb => {
                let failed = |_| Failed(message.to_owned());
                check(Passed, Passed, self.database.map_or_else(Finding::no_database, failed))
            }
            (200..=299 | 501 | 511, _) if !is_influxdb => no_connection(self.no_influxdb(message)),
            (_, Disposition::Retry(Failure { cause: Cause::Configuration, .. })) => {
                no_connection(self.with_doubt(message))
            }
            _ if !is_influxdb => no_connection(self.no_influxdb(message)),
            (_, Disposition::Delivered) => check(Passed, Passed, Passed),
            (_, Disposition::Rejected(_))
                if EMPTY_WRITE.iter().any(|text| message.contains(text)) =>
            {
                check(Passed, Passed, self.found())
            }
            (_, Disposition::Rejected(_)) if self.database.is_none() => {
                check(Passed, Passed, Finding::no_database())
            }
            (_, Disposition::Rejected(_)) => check(Passed, Passed, Failed(self.rejected(message))),
            _ => no_connection(format!(
                "the server does not take writes now; look into its log ({message})"
            )),
        }
    }

    fn who(&self) -> String {
        let peer = self.peer;
        match self.identity.version() {
            Some(version) => format!("InfluxDB {version} at {peer}"),
            None if self.identity.is_influxdb() => format!("an InfluxDB at {peer}"),
            None => peer.to_owned(),
        }
    }

    fn found(&self) -> Finding {
        match (self.database, self.server.api) {
            (None, _) => Finding::no_database(),
            (Some(_), Api::V3) => Finding::Unknown(
                "InfluxDB 3 tells only when something is written; \
                 it creates a database that is missing"
                    .to_owned(),
            ),
            (Some(_), _) => Finding::Passed,
        }
    }

    fn rejected(&self, message: &str) -> String {
        match &self.server.retention_policy {
            Some(policy) if message.contains("retention policy not found") => format!(
                "the database has no retention policy {policy:?}: \
                 create it, or correct {} ({message})",
                self.server.names.retention_policy
            ),
            _ => format!("the server rejected a write for it ({message})"),
        }
    }

    /// Adds to the message who may have said it instead of the server.
    fn with_doubt(&self, message: &str) -> String {
        if self.identity.is_influxdb() {
            return message.to_owned();
        }
        format!(
            "{message}; what answered does not say that it is an InfluxDB{}: \
             it may be a proxy before it",
            in_parentheses(self.identity.software())
        )
    }

    fn no_influxdb(&self, message: &str) -> String {
        format!(
            "what answers at {} is no InfluxDB, or a proxy that has none behind it{}: \
             it replied {} to a write; check {}{}",
            self.peer,
            in_parentheses(self.identity.software()),
            self.status,
            self.server.names.address(),
            in_parentheses(message)
        )
    }
}

/// Adds where to look to a reason that does not say so.
fn with_advice(reason: &str, names: &Names) -> String {
    if ["INFLUXDB_", "the argument ", "check ", "put "].iter().any(|advice| reason.contains(advice))
    {
        return reason.to_owned();
    }
    format!(
        "{reason}; look into the server's log, and check {} and any proxy or firewall between",
        names.address()
    )
}

fn in_parentheses(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
