//! Replies of InfluxDB 3, which have no header of InfluxDB's. Those of 3.6.0 are measured.

use super::*;

#[test]
fn replies_of_influxdb_3_over_its_own_api() {
    use self::{Cause::*, Scope::*};
    let bad = |number: usize| {
        serde_json::json!({
            "error_message": "No fields were provided",
            "line_number": number,
            "original_line": "m f= 2",
        })
    };
    let data = |data: serde_json::Value| {
        format!(r#"{{"error":"partial write of line protocol occurred","data":{data}}}"#)
    };
    let whole =
        serde_json::json!({ "error": "line protocol parsing error", "data": bad(2) }).to_string();
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
        (413, "max request size (10485760 bytes) exceeded".to_owned(), too_large(true)),
        (429, "this service is overloaded, please try again later".to_owned(), later(Busy, Server)),
        (500, v1("some fault"), later(Unknown, Server)),
    ];
    check(Api::V3, &table);
}

#[test]
fn an_array_of_errors_confirms_no_line_without_the_words_of_a_partial_write() {
    let data = serde_json::json!([{ "error_message": "bad", "line_number": 2 }]);
    let body = serde_json::json!({ "error": "validation failed", "data": data }).to_string();
    check(Api::V3, &[(400, body, rejected(lines(&[(1, "bad")]), false))]);
}

/// The JSON of one bad line, after which nothing is stored, over v1.
fn whole(message: &str, number: usize, reason: &str) -> String {
    let line = serde_json::json!({
        "error_message": reason,
        "line_number": number,
        "original_line": "m f= 2",
    });
    serde_json::json!({ "error": message, "data": line }).to_string()
}

#[test]
fn replies_of_influxdb_3_over_v1() {
    use self::{Cause::*, Scope::*};
    let two = || rejected(lines(&[(1, "No fields")]), false);
    let table = [
        (400, whole("parsing failed for write_lp endpoint", 2, "No fields"), two()),
        (400, whole("line protocol parsing error", 2, "No fields"), two()),
        (500, "max request size (100000 bytes) exceeded".to_owned(), too_large(true)),
        (413, "max request size (100000 bytes) exceeded".to_owned(), too_large(true)),
        (
            500,
            "body content is not valid utf8: invalid utf-8 sequence".to_owned(),
            rejected(none(), false),
        ),
        (
            500,
            "error decoding gzip stream: invalid gzip header".to_owned(),
            rejected(RejectedLines::All, false),
        ),
        (401, String::new(), later(Configuration, Server)),
        (400, "incoming write was empty".to_owned(), rejected(RejectedLines::All, false)),
        (400, "serde error: unknown variant `h`".to_owned(), rejected(none(), false)),
        (
            400,
            "namespace name 'a b' contains invalid character".to_owned(),
            rejected(RejectedLines::All, false),
        ),
        (
            400,
            v1("namespace name error from wal partial write length must be between 1 and 64"),
            rejected(RejectedLines::All, false),
        ),
    ];
    check(Api::V1, &table);
}

#[test]
fn replies_of_influxdb_3_over_v2() {
    use self::{Cause::*, Scope::*};
    let error = |text: &str| v2("invalid", &format!("write buffer error: {text}"));
    let table = [
        (400, error("parsing for line protocol failed"), rejected(none(), false)),
        (400, error("line protocol parse failed: No fields"), rejected(none(), false)),
        (400, error("incoming write was empty"), rejected(RejectedLines::All, false)),
        (413, v2("request too large", "max request size (100 bytes) exceeded"), too_large(true)),
        (
            401,
            v2("unauthorized", "the request was not authenticated"),
            later(Configuration, Server),
        ),
    ];
    check(Api::V2, &table);
}

#[test]
fn errors_of_influxdb_3_itself_keep_the_data_whatever_its_status() {
    let full = "error from wal: error writing wal file: Generic LocalFileSystem error: Unable to \
        copy data to file: No space left on device (os error 28)";
    let catalog = "catalog update error: object store error: ObjectStore(Generic { store: \
        \"LocalFileSystem\" })";
    let shutdown = "error from wal: wal is shutdown and not accepting writes";
    let busy = || later(Cause::Busy, Scope::Server);
    for text in [full, catalog, shutdown] {
        let text = format!("write buffer error: {text}");
        check(Api::V2, &[(400, v2("invalid", &text), busy())]);
        check(Api::V1, &[(500, text.clone(), busy()), (400, text.clone(), busy())]);
        check(Api::V3, &[(500, text, busy())]);
    }
    // Not when a line echoes it.
    let echo = v2("invalid", "line protocol parse failed: field 'error from wal' is bad");
    check(Api::V2, &[(400, echo, rejected(none(), false))]);
}

#[test]
fn credentials_that_cannot_be_read_are_a_matter_of_configuration() {
    let malformed = v1("Authorization header was malformed, the request was not in the form of \
        'Authorization: <auth-scheme> <token>'");
    for api in [Api::V1, Api::V2, Api::V3] {
        let reply = reply(api, 400, &malformed);
        assert_eq!(disposition(&reply), later(Cause::Configuration, Scope::Server));
        assert!(reason(&reply).contains("a token with a space: check INFLUXDB_USER"));
    }
}

#[test]
fn limits_of_databases_and_tables_keep_the_data() {
    let limit = "Adding a new database would exceed limit of 5 databases";
    let tables = "Update to schema would exceed number of tables limit of 2000 tables";
    let columns = "Update to schema would exceed number of columns per table limit of 500 columns";
    let limited = || later(Cause::Configuration, Scope::Database);
    let partial = |reasons: &[(usize, &str)]| {
        let data: Vec<_> = reasons
            .iter()
            .map(|(number, reason)| {
                serde_json::json!({ "error_message": reason, "line_number": number })
            })
            .collect();
        let error = "partial write of line protocol occurred";
        serde_json::json!({ "error": error, "data": data }).to_string()
    };
    check(
        Api::V3,
        &[
            (422, v1(limit), limited()),
            (422, partial(&[(1, tables), (3, tables)]), limited()),
            // The faulty line first; then the others are sent again, and wait.
            (422, partial(&[(1, tables), (2, "bad")]), rejected(lines(&[(1, "bad")]), false)),
            (422, partial(&[(1, columns)]), rejected(lines(&[(0, columns)]), true)),
        ],
    );
    check(
        Api::V1,
        &[
            (422, v1(limit), limited()),
            (400, whole("line protocol parsing error", 2, tables), limited()),
        ],
    );
    let v2_limit = format!("write buffer error: catalog update error: {limit}");
    check(Api::V2, &[(400, v2("invalid", &v2_limit), limited())]);
    assert!(reason(&reply(Api::V3, 422, &v1(limit))).contains("raise the limit"));
}
