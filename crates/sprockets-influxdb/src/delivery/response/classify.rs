//! The table of replies: what each means, by its status and its text. The one place that decides.
//!
//! Response bodies are untrusted and may echo our own lines: match only before the first quote,
//! which is what [`ErrorBody::head`] returns. A status that no InfluxDB gives keeps the batch.

use super::error_body::ErrorBody;
use super::rejected_lines::{self, UNABLE_TO_PARSE};
use super::reply::Reply;
use super::retry_after;
use crate::buffer::Batch;
use crate::config::Api;
use crate::delivery::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection, Scope};
use crate::delivery::sanitize::sanitize;

/// Errors about the request as a whole. No line is at fault, and none would be taken alone.
const WHOLE_REQUEST: [&str; 8] = [
    "retention policy not found",
    "database is required",
    "invalid character in database or rp name",
    "db name ",
    "invalid consistency level",
    "invalid precision",
    "incoming write was empty",
    "gzip",
];

/// What Go and nginx answer to plain HTTP on a port that speaks TLS.
const NOT_TLS: [&str; 2] =
    ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"];

const CREDENTIALS: &str = "the server refused the credentials: \
    check INFLUXDB_USER and INFLUXDB_PASSWORD, or INFLUXDB_TOKEN";

const NO_SUCH_API: &str = "the server does not have this API: check INFLUXDB_API and INFLUXDB_URL";

const NO_INFLUXDB: &str = "an answer that no InfluxDB gives: \
    check INFLUXDB_URL, and any proxy before the server";

/// What `reply` means for `batch`.
pub(in crate::delivery) fn classify(reply: &Reply<'_>, batch: &Batch) -> Disposition {
    let body = ErrorBody::of(reply);
    match reply.status {
        200..=299 => Disposition::Delivered,
        300..=399 => redirect(reply),
        401 => configuration(Scope::Server, CREDENTIALS, &body),
        403 => {
            let target = target(reply.api, batch);
            let advice =
                format!("no permission to write to {target}: grant it to the user or token");
            configuration(Scope::Database, &advice, &body)
        }
        404 => not_found(reply.api, &body, batch),
        413 => Disposition::TooLarge { reason: body.reason() },
        _ => by_text(reply, &body, batch).unwrap_or_else(|| by_status(reply, &body)),
    }
}

/// Replies whose text says more than their status.
fn by_text(reply: &Reply<'_>, body: &ErrorBody, batch: &Batch) -> Option<Disposition> {
    let head = body.head();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| head.contains(phrase));
    let rejected = |lines, rest_stored| rejected(lines, rest_stored, body);

    let disposition = if reply.status >= 500 && says(&["hinted handoff queue not empty"]) {
        // InfluxDB Enterprise: the points wait for another node. Resent points only lengthen its
        // queue.
        Disposition::Delivered
    } else if let Some(numbered) = body.numbered() {
        rejected(rejected_lines::numbered(numbered, batch), numbered.rest_stored)
    } else if says(&["partial write"]) {
        rejected(rejected_lines::of_partial_write(body, batch), true)
    } else if head.ends_with(UNABLE_TO_PARSE) {
        // influxd 1.x says this when it could parse no line, 2.x when there is one that it could
        // not.
        rejected(rejected_lines::unparsable(body.message(), body, batch), false)
    } else if says(&["metric parse error"]) && reply.api == Api::V1 && reply.error_header.is_some()
    {
        // Telegraf's influxdb_listener passed on the other lines. Its other listeners take all or
        // none.
        rejected(rejected_lines::counted_by_telegraf(body.message(), batch), true)
    } else if head.ends_with("field type conflict") {
        // Lines of this batch disagree about a new field. The first of them has given it its type
        // now.
        Disposition::ResendOnce { reason: body.reason() }
    } else if matches!(reply.status, 400 | 422 | 500)
        && (says(&WHOLE_REQUEST) || head == "unexpected EOF")
    {
        rejected(RejectedLines::All, false)
    } else if body.message().ends_with("invalid UTF-8") || says(&["not valid utf8"]) {
        rejected(RejectedLines::Unnamed { count: None }, false)
    } else if says(&["cache-max-memory-size exceeded"]) {
        retry(Cause::Busy, reply, body)
    } else if says(&NOT_TLS) {
        configuration(Scope::Server, "the server speaks TLS: set INFLUXDB_SCHEME=https", body)
    } else if says(&["unsupported path"]) {
        configuration(Scope::Server, NO_SUCH_API, body)
    } else {
        return None;
    };
    Some(disposition)
}

fn by_status(reply: &Reply<'_>, body: &ErrorBody) -> Disposition {
    let server = |advice| configuration(Scope::Server, advice, body);
    match reply.status {
        400 | 422 => rejected(RejectedLines::Unnamed { count: None }, false, body),
        405 | 501 => rejected(RejectedLines::All, false, body),
        408 | 425 | 429 | 502 | 503 | 504 => retry(Cause::Busy, reply, body),
        // nginx and influxd 2.x, about a client that went away.
        499 => retry(Cause::Unknown, reply, body),
        402 => server("the account's limit is reached"),
        407 => server("the proxy wants credentials: put them into its URL"),
        415 => server("the server does not take this encoding: set INFLUXDB_GZIP=false"),
        406..=499 => configuration(Scope::Database, NO_INFLUXDB, body),
        _ => retry(Cause::Unknown, reply, body),
    }
}

fn redirect(reply: &Reply<'_>) -> Disposition {
    let reason = match reply.location {
        Some(location) => format!(
            "the server redirects to {}, and redirects are not followed: set INFLUXDB_URL",
            sanitize(&without_secrets(location))
        ),
        None => {
            format!("the server redirects ({}), but not where to: check INFLUXDB_URL", reply.status)
        }
    };
    Disposition::Retry(Failure::of_server(Cause::Configuration, reason))
}

fn not_found(api: Api, body: &ErrorBody, batch: &Batch) -> Disposition {
    let head = body.head();
    let target = target(api, batch);
    if head.contains("no dbrp mapping found") {
        let advice = format!("no DBRP mapping for {target}: create one, or set INFLUXDB_API=v2");
        configuration(Scope::Database, &advice, body)
    } else if head.starts_with("organization") {
        configuration(Scope::Server, "the organization does not exist: check INFLUXDB_ORG", body)
    } else if head.starts_with("database") || head.starts_with("bucket") {
        let advice = format!("{target} does not exist: create it, or correct the name");
        configuration(Scope::Database, &advice, body)
    } else if head.is_empty() || head.contains("page not found") {
        configuration(Scope::Server, NO_SUCH_API, body)
    } else {
        let advice = format!(
            "the server does not know {target}, or not this API: check the name and INFLUXDB_API"
        );
        configuration(Scope::Database, &advice, body)
    }
}

fn rejected(lines: RejectedLines, rest_stored: bool, body: &ErrorBody) -> Disposition {
    Disposition::Rejected(Rejection { lines, rest_stored, reason: body.reason() })
}

fn configuration(scope: Scope, advice: &str, body: &ErrorBody) -> Disposition {
    let reason = format!("{advice} (server: {})", body.reason());
    Disposition::Retry(Failure { cause: Cause::Configuration, scope, after: None, reason })
}

fn retry(cause: Cause, reply: &Reply<'_>, body: &ErrorBody) -> Disposition {
    let after = reply.retry_after.and_then(|value| retry_after::parse(value, reply.now));
    Disposition::Retry(Failure { cause, scope: Scope::Server, after, reason: body.reason() })
}

/// The batch's database, by the API's name for it.
fn target(api: Api, batch: &Batch) -> String {
    let kind = if api == Api::V2 { "bucket" } else { "database" };
    sanitize(&format!("{kind} {:?}", batch.database()))
}

/// A URL without its user, its query and its fragment.
fn without_secrets(url: &str) -> String {
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    match url.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}//{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
