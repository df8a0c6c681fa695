//! Finds out whether JetStream would store a batch, and stores nothing.

use std::sync::Arc;

use super::api::ApiError;
use super::connection::{Broken, Connection, Link};
use super::errors::NotConnected;
use super::message;
use super::reply::Publication;
use super::settings::Settings;
use crate::config::Server;
use crate::delivery::check::{Check, Finding};
use crate::delivery::disposition::Cause;
use crate::error::Result;

/// # Errors
///
/// Settings that cannot be used.
pub(in crate::delivery) fn check(server: &Server, database: Option<&str>) -> Result<Check> {
    let settings = Arc::new(Settings::new(server)?);
    let url = server.url.clone();
    let connection = Connection::new(settings.clone());
    let link = match connection.link(server.timeout) {
        Ok(link) => link,
        Err(NotConnected::Unauthorized(failure)) => {
            let refused = Finding::Unknown("the server refused the credentials".to_owned());
            return Ok(Check {
                server: format!("NATS at {url}"),
                connection: Finding::Passed,
                authentication: Finding::Failed(failure.reason),
                database: refused,
            });
        }
        Err(NotConnected::Other(failure)) => {
            let advice = match failure.cause {
                Cause::Configuration => failure.reason,
                _ => {
                    let address = server.names.address();
                    format!("{}; check {address} and any firewall between", failure.reason)
                }
            };
            return Ok(Check::unconnected(url, advice));
        }
    };
    let database = match database {
        Some(database) => stream(&settings, &link, database),
        None => Finding::no_database(),
    };
    Ok(Check {
        server: format!("NATS {} at {url}", link.version()),
        connection: Finding::Passed,
        authentication: Finding::Passed,
        database,
    })
}

/// Whether there is a stream for the database.
fn stream(settings: &Settings, link: &Link, database: &str) -> Finding {
    let subject = message::subject(&settings.nats.subject, database);
    let publication = Publication { settings, subject: &subject };
    let found = publication.find_stream(link, settings.server.timeout);
    let stream = match found {
        Ok(Ok(stream)) => stream,
        Ok(Err(error @ (ApiError::NoResponders | ApiError::Refused(..)))) => {
            return Finding::Failed(settings.shown(&error.to_string()));
        }
        Ok(Err(error)) => return Finding::Unknown(settings.shown(&error.to_string())),
        Err(Broken::Disconnected) => {
            return Finding::Unknown("the connection was lost".to_owned());
        }
        Err(Broken::Forbidden(text)) => return Finding::Unknown(settings.shown(&text)),
    };
    match (stream, &settings.nats.stream) {
        (None, _) => Finding::Failed(settings.shown(&publication.no_stream())),
        (Some(stream), Some(expected)) if stream != *expected => Finding::Failed(format!(
            "stream {stream} stores messages to {subject}, and INFLUXDB_NATS_STREAM is {expected}"
        )),
        (Some(_), _) => Finding::Passed,
    }
}
