//! What a server's reply means for the batch that it answers: the one place that decides, by status and text. Pure: no
//! I/O, no clock. A reply is a stranger's, and its text may repeat the batch's own lines, so only the body before its
//! first quote decide.

use std::time::{Duration, SystemTime};

use super::error_body::ErrorBody;
use super::rejected_lines::{self, TypeConflict, UNPARSABLE};
use super::reply::Reply;

use crate::buffer::Batch;
use crate::config::Api;
use crate::delivery::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection, Scope};
use crate::delivery::sanitize::sanitize;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Refusals of the request as a whole: no line in it is at fault, and none of them would be taken alone.
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

/// Go's and nginx's answers to plain HTTP on a port that speaks TLS.
const NOT_TLS: [&str; 2] =
    ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"];

const NO_SUCH_API: &str = "the server does not have this API: check INFLUXDB_API and INFLUXDB_URL";

/// What `reply` means for `batch`. A status that no InfluxDB gives keeps the batch: nothing is lost because a stranger
/// answered.
pub(crate) fn classify(reply: &Reply<'_>, batch: &Batch) -> Disposition {
    let body = ErrorBody::of(reply);
    match reply.status {
        200..=299 => Disposition::Delivered,
        300..=399 => redirect(reply),
        401 => {
            let todo = "the server refused the credentials: check INFLUXDB_USER and INFLUXDB_PASSWORD, or INFLUXDB_TOKEN";
            configuration(Scope::Server, todo, &body)
        }
        403 => {
            let todo = format!(
                "no permission to write to {}: grant it to the user or token",
                place(reply.api, batch)
            );
            configuration(Scope::Database, &todo, &body)
        }
        404 => not_found(reply.api, &body, batch),
        413 => Disposition::TooLarge { reason: body.reason() },
        _ => by_text(reply, &body, batch).unwrap_or_else(|| by_status(reply, &body)),
    }
}

/// The replies whose text says more than their status.
fn by_text(reply: &Reply<'_>, body: &ErrorBody, batch: &Batch) -> Option<Disposition> {
    let head = body.head();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| head.contains(phrase));
    let rejected = |lines, rest_stored| {
        Disposition::Rejected(Rejection { lines, rest_stored, reason: body.reason() })
    };

    let disposition = if reply.status >= 500 && says(&["hinted handoff queue not empty"]) {
        // InfluxDB Enterprise: the points wait for another node, and sent again they only make that queue longer.
        Disposition::Delivered
    } else if let Some(numbered) = &body.numbered {
        let count = Some(numbered.lines.len().min(batch.lines()));
        let lines = rejected_lines::by_number(numbered.lines.iter().cloned(), batch);
        rejected(
            lines.map_or(RejectedLines::Unnamed { count }, RejectedLines::Named),
            numbered.rest_stored,
        )
    } else if says(&["partial write"]) {
        rejected(dropped(body, batch), true)
    } else if head.ends_with(UNPARSABLE) {
        // influxd 1.x says this when it parsed no line, 2.x when there is one that it did not.
        rejected(unparsable(body.message(), body, batch), false)
    } else if says(&["metric parse error"]) && reply.api == Api::V1 && reply.error_header.is_some()
    {
        // Telegraf's influxdb_listener has passed on the other lines; its other listeners take all or none.
        rejected(
            RejectedLines::Unnamed {
                count: Some(telegraf_count(body.message()).min(batch.lines())),
            },
            true,
        )
    } else if head.ends_with("field type conflict") {
        // Lines of this batch disagree about a new field: the first of them has now given it its type.
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
    let rejected = |lines| {
        Disposition::Rejected(Rejection { lines, rest_stored: false, reason: body.reason() })
    };
    match reply.status {
        400 | 422 => rejected(RejectedLines::Unnamed { count: None }),
        405 | 501 => rejected(RejectedLines::All),
        408 | 425 | 429 | 502 | 503 | 504 => retry(Cause::Busy, reply, body),
        // nginx and influxd 2.x, about a client that went away.
        499 => retry(Cause::Unknown, reply, body),
        402 => configuration(Scope::Server, "the account's limit is reached", body),
        407 => {
            configuration(Scope::Server, "the proxy wants credentials: put them into its URL", body)
        }
        415 => configuration(
            Scope::Server,
            "the server does not take this encoding: set INFLUXDB_GZIP=false",
            body,
        ),
        406..=499 => {
            let todo = "an answer that no InfluxDB gives: check INFLUXDB_URL, and any proxy before the server";
            configuration(Scope::Database, todo, body)
        }
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
    let place = place(api, batch);
    if head.contains("no dbrp mapping found") {
        let todo = format!("no DBRP mapping for {place}: create one, or set INFLUXDB_API=v2");
        configuration(Scope::Database, &todo, body)
    } else if head.starts_with("organization") {
        configuration(Scope::Server, "the organization does not exist: check INFLUXDB_ORG", body)
    } else if head.starts_with("database") || head.starts_with("bucket") {
        let todo = format!("{place} does not exist: create it, or correct the name");
        configuration(Scope::Database, &todo, body)
    } else if head.is_empty() || head.contains("page not found") {
        configuration(Scope::Server, NO_SUCH_API, body)
    } else {
        let todo = format!(
            "the server does not know {place}, or not this API: check the name and INFLUXDB_API"
        );
        configuration(Scope::Database, &todo, body)
    }
}

/// The lines of a partial write that were not stored.
fn dropped(body: &ErrorBody, batch: &Batch) -> RejectedLines {
    let (text, count) = split_count(body.message());
    let count = count.map(|count| count.min(batch.lines()));
    if body.head().ends_with(UNPARSABLE) {
        return unparsable(text, body, batch);
    }
    // The count is one shard's: only when it is that of all such lines are they the ones.
    let conflict = TypeConflict::read(text).map(|conflict| conflict.lines(batch));
    match conflict {
        Some(lines) if !lines.is_empty() && count == Some(lines.len()) => {
            let reason = sanitize(text);
            RejectedLines::Named(lines.into_iter().map(|index| (index, reason.clone())).collect())
        }
        _ => RejectedLines::Unnamed { count },
    }
}

/// The lines of entries `unable to parse '<line>': <reason>`.
fn unparsable(text: &str, body: &ErrorBody, batch: &Batch) -> RejectedLines {
    let Some(entries) =
        text.find(UNPARSABLE).map(|start| &text[start..]).filter(|_| body.is_complete())
    else {
        return RejectedLines::Unnamed { count: None };
    };
    match rejected_lines::by_text(entries, batch) {
        Some(lines) => RejectedLines::Named(
            lines.into_iter().map(|(index, reason)| (index, sanitize(&reason))).collect(),
        ),
        None => RejectedLines::Unnamed {
            count: Some(rejected_lines::entries(entries).min(batch.lines())),
        },
    }
}

/// Takes the count off the end of `... dropped=2` or `... dropped=2 for database: d for retention policy: r`, or reads
/// it in `dropped 2 points ...`. influxd counts one shard only, and not what it could not parse.
fn split_count(message: &str) -> (&str, Option<usize>) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some((text, rest)) = message.rsplit_once(" dropped=") {
        let (count, rest) = rest.split_at(digits(rest));
        if rest.is_empty() || rest.starts_with(" for database: ") {
            return (text, count.parse().ok());
        }
    }
    let count = message
        .split_once("write: dropped ")
        .and_then(|(_, rest)| rest[..digits(rest)].parse().ok());
    (message, count)
}

/// Telegraf gives one error's text and the number of the others.
fn telegraf_count(message: &str) -> usize {
    let others =
        message.rsplit_once(" (and ").and_then(|(_, rest)| rest.split_once(" other parse error"));
    others.and_then(|(count, _)| count.parse().ok()).unwrap_or(0_usize).saturating_add(1)
}

fn configuration(scope: Scope, todo: &str, body: &ErrorBody) -> Disposition {
    let reason = format!("{todo} (server: {})", body.reason());
    Disposition::Retry(Failure { cause: Cause::Configuration, scope, after: None, reason })
}

fn retry(cause: Cause, reply: &Reply<'_>, body: &ErrorBody) -> Disposition {
    let after = reply.retry_after.and_then(|value| wait(value, reply.now));
    Disposition::Retry(Failure { cause, scope: Scope::Server, after, reason: body.reason() })
}

/// `Retry-After` in either form: seconds, or a date.
fn wait(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?,
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The batch's database, in the API's word for it.
fn place(api: Api, batch: &Batch) -> String {
    let word = if api == Api::V2 { "bucket" } else { "database" };
    sanitize(&format!("{word} {:?}", batch.database()))
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
mod tests {
    use super::*;

    /// Line 1 (from 0) has no value, 3 and 4 an integer where floats are stored.
    const LINES: [&str; 5] =
        ["m f=1 1", "m f= 2", "n,t=\"q\" s=\"it's\nhere\",f=2 3", "m f=3i 4", "m f=4i 5"];

    fn reply(api: Api, status: u16, body: &str) -> Reply<'_> {
        let (retry_after, location, error_header) = (None, None, None);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Reply {
            api,
            status,
            retry_after,
            location,
            error_header,
            body: body.as_bytes(),
            truncated: false,
            now,
        }
    }

    fn lines(lines: &[(usize, &str)]) -> RejectedLines {
        RejectedLines::Named(
            lines.iter().map(|(index, reason)| (*index, (*reason).to_owned())).collect(),
        )
    }

    fn rejected(lines: RejectedLines, rest_stored: bool) -> Disposition {
        Disposition::Rejected(Rejection { lines, rest_stored, reason: String::new() })
    }

    fn later(cause: Cause, scope: Scope) -> Disposition {
        Disposition::Retry(Failure { cause, scope, after: None, reason: String::new() })
    }

    fn without_reason(mut disposition: Disposition) -> Disposition {
        match &mut disposition {
            Disposition::Delivered => {}
            Disposition::Rejected(Rejection { reason, .. })
            | Disposition::ResendOnce { reason }
            | Disposition::TooLarge { reason }
            | Disposition::MalformedReply { reason }
            | Disposition::Retry(Failure { reason, .. }) => reason.clear(),
        }
        disposition
    }

    fn none() -> RejectedLines {
        RejectedLines::Unnamed { count: None }
    }

    fn some(count: usize) -> RejectedLines {
        RejectedLines::Unnamed { count: Some(count) }
    }

    /// The message in the JSON of influxd 1.x.
    fn v1(message: &str) -> String {
        format!("{}\n", serde_json::json!({ "error": message }))
    }

    /// The message in the JSON of InfluxDB 2.x and Cloud.
    fn v2(code: &str, message: &str) -> String {
        serde_json::json!({ "code": code, "message": message }).to_string()
    }

    #[test]
    fn influxd_1() {
        use self::{Cause::*, Scope::*};
        let conflict = |kind: &str, dropped: &str| {
            v1(&format!(
                "partial write: field type conflict: input field \"f\" on measurement \"m\" is type {kind}, already exists as \
                 type float {dropped}"
            ))
        };
        let conflict_text = "partial write: field type conflict: input field \"f\" on measurement \"m\" is type integer, \
                             already exists as type float";
        let bad = "unable to parse 'm f= 2': missing field value";
        let bad_too = "unable to parse 'n,t=\"q\" s=\"it's\nhere\",f=2 3': invalid number";
        let max_values = "partial write: max-values-per-tag limit exceeded (5/3): measurement=\"m\" tag=\"t\" value=\"9\" \
                          dropped=1";
        let max_series = "partial write: max-series-per-database limit exceeded: (6) dropped=3";
        let table = [
            (204, String::new(), Disposition::Delivered),
            (200, v1("partial write"), Disposition::Delivered),
            (400, v1(bad), rejected(lines(&[(1, "missing field value")]), false)),
            (
                400,
                v1(&format!("{bad}\n{bad_too}")),
                rejected(lines(&[(1, "missing field value"), (2, "invalid number")]), false),
            ),
            (400, v1("unable to parse 'm f=9 9': invalid"), rejected(some(1), false)),
            (
                400,
                v1(&format!("partial write: {bad} dropped=0")),
                rejected(lines(&[(1, "missing field value")]), true),
            ),
            (
                400,
                v1("partial write: unable to parse 'm f=9 9': invalid dropped=0"),
                rejected(some(1), true),
            ),
            (
                400,
                conflict("integer", "dropped=2"),
                rejected(lines(&[(3, conflict_text), (4, conflict_text)]), true),
            ),
            (400, conflict("integer", "dropped=1"), rejected(some(1), true)),
            (400, conflict("boolean", "dropped=2"), rejected(some(2), true)),
            (400, conflict("boolean", "dropped=0"), rejected(some(0), true)),
            (
                400,
                conflict("integer", "dropped=2 for database: d for retention policy: r"),
                rejected(lines(&[(3, conflict_text), (4, conflict_text)]), true),
            ),
            (400, v1("field type conflict"), Disposition::ResendOnce { reason: String::new() }),
            (
                400,
                v1("partial write: points beyond retention policy dropped=2"),
                rejected(some(2), true),
            ),
            (
                400,
                v1("partial write: points beyond retention policy dropped=99"),
                rejected(some(5), true),
            ),
            (
                400,
                v1(
                    "partial write: dropped 2 points outside retention policy of duration 1h0m0s - oldest m at 1970",
                ),
                rejected(some(2), true),
            ),
            (400, v1("partial write: dropped"), rejected(none(), true)),
            (400, v1(max_values), rejected(some(1), true)),
            (400, v1(max_series), rejected(some(3), true)),
            (
                400,
                v1("partial write: invalid tag key: input tag \"time\" on m dropped=1"),
                rejected(some(1), true),
            ),
            (400, v1("database is required"), rejected(RejectedLines::All, false)),
            (404, v1("database not found: \"nope\""), later(Configuration, Database)),
            (500, v1("retention policy not found: nope"), rejected(RejectedLines::All, false)),
            (401, v1("unable to parse authentication credentials"), later(Configuration, Server)),
            (401, v1("authorization failed"), later(Configuration, Server)),
            (
                403,
                v1("\"ro\" user is not authorized to write to database \"a1\""),
                later(Configuration, Database),
            ),
            (413, v1("Request Entity Too Large"), Disposition::TooLarge { reason: String::new() }),
            (400, v1("unexpected EOF"), rejected(RejectedLines::All, false)),
            (400, v1("gzip: invalid header"), rejected(RejectedLines::All, false)),
            (400, v1("invalid consistency level"), rejected(RejectedLines::All, false)),
            (
                400,
                v1("invalid precision \"us\" (use n, u, ms, s, m or h)"),
                rejected(RejectedLines::All, false),
            ),
            (500, v1("timeout"), later(Unknown, Server)),
            (500, v1("engine: cache-max-memory-size exceeded: (4998/3000)"), later(Busy, Server)),
            (503, "request throttled, queue full".to_owned(), later(Busy, Server)),
            (500, v1("write failed"), later(Unknown, Server)),
            (500, v1("hinted handoff queue not empty"), Disposition::Delivered),
            (500, v1("partial write"), rejected(none(), true)),
            (
                500,
                v1("proto: field \"tsdb.Field.Name\" contains invalid UTF-8"),
                rejected(none(), false),
            ),
            (400, v1("max key length exceeded: 65536 > 65535"), rejected(none(), false)),
            (405, String::new(), rejected(RejectedLines::All, false)),
            (404, "404 page not found".to_owned(), later(Configuration, Server)),
        ];
        check(Api::V1, &table);
    }

    #[test]
    fn influxdb_2() {
        use self::{Cause::*, Scope::*};
        let partial = |text: &str| {
            v2("unprocessable entity", &format!("failure writing points to database: {text}"))
        };
        let conflict = "partial write: field type conflict: input field \"f\" on measurement \"m\" is type integer, already \
                        exists as type float";
        let conflict_reason = format!("failure writing points to database: {conflict}");
        let outside = "partial write: dropped 4 points outside retention policy of duration 24h0m0s - oldest point \
                       home,room=Living\\ Room at 1970-01-01T00:00:01.541Z dropped because it violates a Retention Policy \
                       Lower Bound at 2025-05-20T19:06:17.612973Z dropped=4 for database: 9f282d63c7d3a5c0 for retention \
                       policy: autogen";
        let early = "unexpected error writing points to database: partial write: points beyond retention policy dropped=3";
        let table = [
            (204, String::new(), Disposition::Delivered),
            (
                400,
                v2("invalid", "unable to parse 'm f= 2': missing field value"),
                rejected(lines(&[(1, "missing field value")]), false),
            ),
            (
                400,
                v2("invalid", "unable to parse 'm f=9': missing field value"),
                rejected(some(1), false),
            ),
            (
                422,
                partial(&format!("{conflict} dropped=2")),
                rejected(lines(&[(3, &conflict_reason), (4, &conflict_reason)]), true),
            ),
            (422, partial(outside), rejected(some(4), true)),
            (500, v2("internal error", early), rejected(some(3), true)),
            (
                500,
                v2(
                    "internal error",
                    "unexpected error writing points to database: [shard 5] field type conflict",
                ),
                Disposition::ResendOnce { reason: String::new() },
            ),
            (422, v2("unprocessable entity", "the value is too long"), rejected(none(), false)),
            (
                500,
                v2("internal error", "gzipped HTTP body contains an invalid header"),
                rejected(RejectedLines::All, false),
            ),
            (
                400,
                v2("invalid", "invalid precision; valid precision units are ns, us, ms, and s"),
                rejected(RejectedLines::All, false),
            ),
            (401, v2("unauthorized", "unauthorized access"), later(Configuration, Server)),
            (
                403,
                v2("forbidden", "insufficient permissions for write"),
                later(Configuration, Database),
            ),
            (404, v2("not found", "bucket \"nope\" not found"), later(Configuration, Database)),
            (
                404,
                v2("not found", "organization name \"o\" not found"),
                later(Configuration, Server),
            ),
            (404, v2("not found", "no dbrp mapping found"), later(Configuration, Database)),
            (404, v2("not found", "something else"), later(Configuration, Database)),
            (408, v2("request timeout", "gone"), later(Busy, Server)),
            (499, v2("invalid", "client closed"), later(Unknown, Server)),
            (
                413,
                v2("request too large", "too large"),
                Disposition::TooLarge { reason: String::new() },
            ),
            (
                429,
                v2("too many requests", "org 1 has exceeded limited_write plan limit"),
                later(Busy, Server),
            ),
            (
                500,
                v2("internal error", "unexpected error writing points to database: timeout"),
                later(Unknown, Server),
            ),
            (
                500,
                v2(
                    "internal error",
                    "unexpected error writing points to database: engine: cache-max-memory-size exceeded",
                ),
                later(Busy, Server),
            ),
            (429, v2("too many requests", "send less, or gzip it"), later(Busy, Server)),
            (503, v2("unavailable", "unavailable"), later(Busy, Server)),
        ];
        check(Api::V2, &table);
    }

    #[test]
    fn influxdb_3() {
        use self::{Cause::*, Scope::*};
        let bad = |number: usize| serde_json::json!({ "error_message": "No fields were provided", "line_number": number, "original_line": "m f= 2" });
        let data = |data: serde_json::Value| {
            format!(r#"{{"error":"partial write of line protocol occurred","data":{data}}}"#)
        };
        let whole = serde_json::json!({ "error": "line protocol parsing error", "data": bad(2) })
            .to_string();
        let (one, four) = ((1, "No fields were provided"), (4, "No fields were provided"));
        let table = [
            (204, String::new(), Disposition::Delivered),
            (400, data(vec![bad(2)].into()), rejected(lines(&[one]), true)),
            (422, data(vec![bad(5), bad(2), bad(2)].into()), rejected(lines(&[one, four]), true)),
            (400, data(vec![bad(2), bad(6)].into()), rejected(some(2), true)),
            (400, data(vec![bad(0)].into()), rejected(some(1), true)),
            (400, data(serde_json::json!(["what", 7])), rejected(some(2), true)),
            (400, data(serde_json::json!([])), rejected(none(), true)),
            (400, data(vec![bad(2)].into()).replace("]}", ""), rejected(none(), true)),
            (400, whole, rejected(lines(&[one]), false)),
            (
                400,
                v2("invalid", "write buffer error: line protocol parse failed: a line"),
                rejected(none(), false),
            ),
            (
                400,
                "body content is not valid utf8: invalid utf-8 sequence".to_owned(),
                rejected(none(), false),
            ),
            (
                400,
                "error decoding gzip stream: invalid gzip header".to_owned(),
                rejected(RejectedLines::All, false),
            ),
            (400, "incoming write was empty".to_owned(), rejected(RejectedLines::All, false)),
            (
                400,
                v1("invalid character in database or rp name: must be ASCII"),
                rejected(RejectedLines::All, false),
            ),
            (401, v1("the request was not authenticated"), later(Configuration, Server)),
            (403, String::new(), later(Configuration, Database)),
            (404, String::new(), later(Configuration, Server)),
            (
                413,
                "max request size (10485760 bytes) exceeded".to_owned(),
                Disposition::TooLarge { reason: String::new() },
            ),
            (
                429,
                "this service is overloaded, please try again later".to_owned(),
                later(Busy, Server),
            ),
            (500, v1("some fault"), later(Unknown, Server)),
        ];
        check(Api::V3, &table);
    }

    #[test]
    fn cloud_and_clustered() {
        let text = |message: &str| {
            serde_json::json!({ "code": "invalid", "line": 2, "message": message }).to_string()
        };
        let both = "failed to parse line protocol: errors encountered on line(s):\nerror parsing line 2 (1-based): Invalid \
                    measurement was provided\nerror parsing line 4 (1-based): Unable to parse timestamp value '12'";
        let both_lines =
            [(1, "Invalid measurement was provided"), (3, "Unable to parse timestamp value '12'")];
        let one = "failed to parse line protocol: No fields were provided";
        let table = [
            (400, text(both), rejected(lines(&both_lines), false)),
            (400, text(one), rejected(lines(&[(1, one)]), false)),
            (400, text(&format!("partial write: {both}")), rejected(lines(&both_lines), true)),
            (400, text(one).replace(":2,", ":6,"), rejected(some(1), false)),
        ];
        check(Api::V2, &table);
    }

    #[test]
    fn victoria_metrics() {
        use self::{Cause::*, Scope::*};
        let text = |reason: &str| {
            format!("remoteAddr: \"127.0.0.1:1\"; requestURI: /write?db=nope&p=secret; {reason}\n")
        };
        let table = [
            (204, String::new(), Disposition::Delivered),
            (
                400,
                text("cannot unmarshal InfluxDB line \"m f=\": missing field value"),
                rejected(none(), false),
            ),
            (
                400,
                text("cannot read gzip-compressed data: unexpected EOF"),
                rejected(RejectedLines::All, false),
            ),
            (
                400,
                text("unsupported path requested: \"/api/v3/write_lp\""),
                later(Configuration, Server),
            ),
            (401, String::new(), later(Configuration, Server)),
            (503, text("couldn't start executing the request in 60 seconds"), later(Busy, Server)),
        ];
        check(Api::V1, &table);
        let reply = reply(Api::V1, 400, &table[1].1);
        assert_eq!(
            classify(&reply, &Batch::of("nope", &LINES)).reason(),
            "400: cannot unmarshal InfluxDB line \"m f=\": missing field value"
        );
    }

    #[test]
    fn telegraf() {
        let text = r#"{"error":"metric parse error: expected field at 2:4: \"m f=\x00 2\" (and 2 other parse errors)"}"#;
        let one = r#"{"error":"metric parse error: expected field at 2:4"}"#;
        let batch = Batch::of("nope", &LINES);
        let with_header =
            |body| Reply { error_header: Some(b"metric parse error"), ..reply(Api::V1, 400, body) };
        let classify = |reply: &Reply<'_>| without_reason(super::classify(reply, &batch));
        assert_eq!(classify(&with_header(text)), rejected(some(3), true));
        assert_eq!(classify(&with_header(one)), rejected(some(1), true));
        assert_eq!(
            classify(&with_header(r#"{"error":"gzip: invalid header"}"#)),
            rejected(RejectedLines::All, false)
        );
        // influxdb_v2_listener takes all or none.
        let all_or_none = v2("invalid", "metric parse error: expected field at 2:4: \"m f= 2\"");
        assert_eq!(classify(&reply(Api::V2, 400, &all_or_none)), rejected(none(), false));
        assert_eq!(
            classify(&reply(Api::V2, 413, "")),
            Disposition::TooLarge { reason: String::new() }
        );
        assert_eq!(classify(&reply(Api::V2, 429, "")), later(Cause::Busy, Scope::Server));
    }

    #[test]
    fn every_other_status_keeps_the_batch() {
        let batch = Batch::of("nope", &LINES);
        for status in (0..1000).filter(|status| !(200..300).contains(status)) {
            let found = without_reason(classify(&reply(Api::V1, status, "something"), &batch));
            let known = match status {
                400 | 422 => rejected(none(), false),
                405 | 501 => rejected(RejectedLines::All, false),
                413 => Disposition::TooLarge { reason: String::new() },
                408 | 425 | 429 | 502..=504 => later(Cause::Busy, Scope::Server),
                300..=399 | 401 | 402 | 407 | 415 => later(Cause::Configuration, Scope::Server),
                499 => later(Cause::Unknown, Scope::Server),
                403..=498 => later(Cause::Configuration, Scope::Database),
                _ => later(Cause::Unknown, Scope::Server),
            };
            assert_eq!(found, known, "{status}");
        }
    }

    #[test]
    fn the_lines_own_words_decide_nothing() {
        let bad =
            "m,t=partial\\ write s=\"hinted handoff queue not empty, database is required\",f=";
        let batch = Batch::of("nope", &[bad, "m f=1"]);
        let body = v1(&format!("unable to parse '{bad}': missing field value"));
        let found = without_reason(classify(&reply(Api::V1, 400, &body), &batch));
        assert_eq!(found, rejected(lines(&[(0, "missing field value")]), false));
        assert_eq!(without_reason(classify(&reply(Api::V1, 500, &body), &batch)), found);
    }

    #[test]
    fn a_text_cut_short_names_no_lines() {
        let batch = Batch::of("nope", &LINES);
        let classify = |reply: &Reply<'_>| without_reason(super::classify(reply, &batch));
        let whole = v1(
            "partial write: unable to parse 'm f= 2': missing field value\nunable to parse 'm f=3i 4': odd",
        );
        assert_eq!(
            classify(&reply(Api::V1, 400, &whole)),
            rejected(lines(&[(1, "missing field value"), (3, "odd")]), true)
        );
        for end in 30..whole.len() - 1 {
            let cut = Reply { truncated: true, ..reply(Api::V1, 400, &whole[..end]) };
            assert_eq!(classify(&cut), rejected(none(), true), "{end}");
            // The end of the connection may be all that tells.
            let closed = Reply { truncated: false, ..cut };
            assert!(matches!(
                classify(&closed),
                Disposition::Rejected(Rejection { rest_stored: true, .. })
            ));
        }
        let header = Some(
            b"partial write: unable to parse 'm f= 2': missing field value dropped=0".as_slice(),
        );
        let only_header = Reply { error_header: header, ..reply(Api::V1, 400, "") };
        assert_eq!(classify(&only_header), rejected(none(), true));
    }

    #[test]
    fn retry_after_is_a_floor_for_the_wait() {
        let wait = |value| {
            let reply = Reply { retry_after: Some(value), ..reply(Api::V2, 429, "") };
            match classify(&reply, &Batch::of("nope", &LINES)) {
                Disposition::Retry(Failure { after, .. }) => after.map(|after| after.as_secs()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("86400"), Some(3600));
        assert_eq!(wait("18446744073709551616"), None);
        assert_eq!(wait("-1"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait(""), None);
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30));
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:10 GMT"), None);
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3600));
    }

    #[test]
    fn reasons_say_what_to_do_and_no_secrets() {
        let said =
            |reply: &Reply<'_>| classify(reply, &Batch::of("nope", &LINES)).reason().to_owned();
        assert_eq!(
            said(&reply(Api::V1, 404, &v1("database not found: \"nope\""))),
            "database \"nope\" does not exist: create it, or correct the name (server: 404: database not found: \"nope\")"
        );
        assert_eq!(
            said(&reply(Api::V2, 404, "404 page not found\n")),
            "the server does not have this API: check INFLUXDB_API and INFLUXDB_URL (server: 404: 404 page not found)"
        );
        assert!(
            said(&reply(Api::V2, 404, &v2("not found", "bucket \"nope\" not found")))
                .starts_with("bucket \"nope\" does")
        );
        assert!(
            said(&reply(Api::V1, 401, ""))
                .contains("INFLUXDB_PASSWORD, or INFLUXDB_TOKEN (server: 401 without a text)")
        );
        let tls = "Client sent an HTTP request to an HTTPS server.\n";
        assert!(
            said(&reply(Api::V1, 400, tls))
                .starts_with("the server speaks TLS: set INFLUXDB_SCHEME=https")
        );
        let location = Some("https://u:secret@influx.example/write?u=a&p=secret#secret");
        assert_eq!(
            said(&Reply { location, ..reply(Api::V1, 308, "") }),
            "the server redirects to https://influx.example/write, and redirects are not followed: set INFLUXDB_URL"
        );
        assert_eq!(
            said(&reply(Api::V1, 500, &format!("a\u{1}b\nc{}", "é".repeat(1000)))),
            format!("500: a b c{}…", "é".repeat(495))
        );
        assert_eq!(said(&reply(Api::V1, 500, "")), "500 without a text");
    }

    #[test]
    fn hostile_replies_are_only_replies() {
        let batch = Batch::of("nope", &LINES);
        let pieces: [&[u8]; 24] = [
            b"{\"error\":\"",
            b"{\"message\":",
            b"\"data\":[",
            b"\"data\":{\"line_number\":",
            b"\"line\":",
            b"\"line_number\":18446744073709551615",
            b"partial write: ",
            b"unable to parse '",
            b"m f= 2",
            b"': ",
            b"\n",
            b"\\n",
            b"\\u12",
            b"\\xzz",
            b" dropped=",
            b"99999999999999999999999",
            b"field type conflict: input field \"",
            b"\" on measurement \"",
            b"\" is type ",
            b", already exists as type ",
            b"\xff\xfe\x00",
            b"requestURI: ",
            b"(and ",
            b" other parse error",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut body = Vec::new();
            for _ in 0..random.usize(..12) {
                match random.u8(..4) {
                    0 => body.extend(std::iter::repeat_with(|| random.u8(..)).take(5)),
                    _ => body.extend_from_slice(pieces[random.usize(..pieces.len())]),
                }
            }
            let header = random.bool().then_some(body.as_slice());
            let text = String::from_utf8_lossy(&body).into_owned();
            let api = [Api::V1, Api::V2, Api::V3][random.usize(..3)];
            let reply = Reply {
                body: if random.bool() { &body } else { b"" },
                error_header: header,
                retry_after: Some(&text),
                location: Some(&text),
                truncated: random.bool(),
                ..reply(api, random.u16(..700), "")
            };
            assert!(classify(&reply, &batch).reason().chars().count() < 800);
        }
        let bombs = [
            b"[".repeat(1 << 20),
            b"{\"error\":".repeat(1 << 17),
            [b"{\"error\":\"", "unable to parse 'm f= 2': ".repeat(1 << 15).as_bytes(), b"\"}"]
                .concat(),
            [b"{\"error\":\"unable to parse '", "': ".repeat(1 << 18).as_bytes(), b"\"}"].concat(),
            [b"{\"error\":\"", "unable to parse '\\n".repeat(1 << 15).as_bytes(), b"\"}"].concat(),
            b"\"'".repeat(1 << 20),
        ];
        for bomb in &bombs {
            classify(&Reply { body: bomb, ..reply(Api::V1, 400, "") }, &batch);
        }
    }

    #[track_caller]
    fn check(api: Api, table: &[(u16, String, Disposition)]) {
        let batch = Batch::of("nope", &LINES);
        for (status, body, expected) in table {
            let found = classify(&reply(api, *status, body), &batch);
            assert_eq!(&without_reason(found), expected, "{status} {body}");
        }
    }
}
