//! Replies of the InfluxDB versions.

use super::*;

#[test]
fn replies_of_influxd_1() {
    use self::{Cause::*, Scope::*};
    let conflict = |kind: &str, dropped: &str| {
        v1(&format!(
            "partial write: field type conflict: input field \"f\" on measurement \"m\" is type \
             {kind}, already exists as type float {dropped}"
        ))
    };
    let conflict_text = "partial write: field type conflict: input field \"f\" on measurement \
        \"m\" is type integer, already exists as type float";
    let bad = "unable to parse 'm f= 2': missing field value";
    let bad_too = "unable to parse 'n,t=\"q\" s=\"it's\nhere\",f=2 3': invalid number";
    let max_values = "partial write: max-values-per-tag limit exceeded (5/3): measurement=\"m\" \
        tag=\"t\" value=\"9\" dropped=1";
    let max_series = "partial write: max-series-per-database limit exceeded: (6) dropped=3";
    let table = [
        (204, String::new(), Disposition::Delivered),
        (200, String::new(), Disposition::Delivered),
        (200, v1("partial write"), later(Configuration, Server)),
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
            v1("partial write: dropped 2 points outside retention policy of duration 1h0m0s - \
                oldest m at 1970"),
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
        (413, v1("Request Entity Too Large"), too_large(true)),
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
        (405, String::new(), later(Configuration, Server)),
        (404, "404 page not found".to_owned(), later(Configuration, Server)),
    ];
    check_with(&version_header(), Api::V1, &table);
}

#[test]
fn replies_of_influxdb_2() {
    use self::{Cause::*, Scope::*};
    let partial = |text: &str| {
        v2("unprocessable entity", &format!("failure writing points to database: {text}"))
    };
    let conflict = "partial write: field type conflict: input field \"f\" on measurement \"m\" is \
        type integer, already exists as type float";
    let conflict_reason = format!("failure writing points to database: {conflict}");
    let outside = "partial write: dropped 4 points outside retention policy of duration 24h0m0s - \
        oldest point home,room=Living\\ Room at 1970-01-01T00:00:01.541Z dropped because it \
        violates a Retention Policy Lower Bound at 2025-05-20T19:06:17.612973Z dropped=4 for \
        database: 9f282d63c7d3a5c0 for retention policy: autogen";
    let early = "unexpected error writing points to database: partial write: points beyond \
        retention policy dropped=3";
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
        (404, v2("not found", "organization name \"o\" not found"), later(Configuration, Server)),
        (404, v2("not found", "no dbrp mapping found"), later(Configuration, Database)),
        (404, v2("not found", "something else"), later(Configuration, Database)),
        (408, v2("request timeout", "gone"), later(Timeout, Server)),
        (499, v2("invalid", "client closed"), later(Unknown, Server)),
        (413, v2("request too large", "too large"), too_large(true)),
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
                "unexpected error writing points to database: engine: cache-max-memory-size \
                 exceeded",
            ),
            later(Busy, Server),
        ),
        (429, v2("too many requests", "send less, or gzip it"), later(Busy, Server)),
        (503, v2("unavailable", "unavailable"), later(Busy, Server)),
    ];
    check_with(&headers([("x-platform-error-code", b"invalid")]), Api::V2, &table);
}

#[test]
fn replies_of_cloud_and_clustered() {
    let text = |message: &str| {
        serde_json::json!({ "code": "invalid", "line": 2, "message": message }).to_string()
    };
    let both = "failed to parse line protocol: errors encountered on line(s):\nerror parsing line \
        2 (1-based): Invalid measurement was provided\nerror parsing line 4 (1-based): Unable to \
        parse timestamp value '12'";
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
fn an_error_is_known_by_its_text_when_a_proxy_removes_the_headers() {
    let bad = "unable to parse 'm f= 2': missing field value";
    let one = || lines(&[(1, "missing field value")]);
    let table = [
        (400, v1(bad), rejected(one(), false)),
        (400, v1(&format!("partial write: {bad} dropped=0")), rejected(one(), true)),
        (400, v1("field type conflict"), Disposition::ResendOnce { reason: String::new() }),
        (500, v1("retention policy not found: x"), rejected(RejectedLines::All, false)),
        (400, v2("invalid", bad), rejected(one(), false)),
        (422, v2("unprocessable entity", "something else"), rejected(none(), false)),
    ];
    check(Api::V1, &table);
}
