//! Queries and the names of databases.

use serde_json::json;

use super::*;
use crate::Product;

#[test]
fn a_write_is_stored_in_every_unit_and_the_reply_does_not_say_what_server_it_is() {
    for (target, unit) in [
        ("/write?db=d", 1_i64),
        ("/write?db=d&precision=ms", 1_000_000),
        ("/write?db=d&precision=microsecond", 1_000),
        ("/api/v2/write?org=o&bucket=d", 1),
        ("/api/v2/write?bucket=d&precision=s", 1_000_000_000),
        ("/api/v3/write_lp?db=d", 1_000_000_000),
        ("/api/v3/write_lp?db=d&precision=auto&no_sync=true", 1_000_000_000),
        ("/api/v3/write_lp?db=d&precision=ns&accept_partial=false", 1),
        ("/api/v3/write_lp?db=d&precision=n", 1),
        ("/api/v3/write_lp?db=d&precision=u", 1_000),
        ("/api/v3/write_lp?db=d&precision=us", 1_000),
        ("/api/v3/write_lp?db=d&precision=nanosecond", 1),
    ] {
        for product in BOTH {
            let server = Server::start_as(product);
            let reply = Client::new(&server).post(target, "", "m f=1 17");
            assert_eq!(reply.status, 204, "{target}: {}", reply.text());
            let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["access-control-allow-origin", "date"], "{target}");
            assert_eq!(server.points("d")[0].timestamp, 17 * unit, "{target}");
        }
    }
}

#[test]
fn parameters_are_refused_in_the_words_of_each_endpoint() {
    let units = "`s`, `second`, `millisecond`, `ms`, `microsecond`, `u`, `us`, `n`, `nanosecond`, \
                 `ns`";
    let v3 = |message: &str| format!("serde error: {message}");
    let v1 = |message: &str| json!({ "error": message }).to_string();
    let v2 = |message: &str| format!("{{\"code\":\"invalid\",\"message\":{}}}", json!(message));
    let failed = "failed to deserialize db/rp/precision in request:";
    for (target, expected) in [
        ("/api/v3/write_lp", "missing query parameter 'db'".to_owned()),
        ("/api/v3/write_lp?precision=ns", v3("missing field `db`")),
        (
            "/api/v3/write_lp?db=d&precision=m",
            v3(&format!("unknown variant `m`, expected one of `auto`, {units}")),
        ),
        (
            "/api/v3/write_lp?db=d&precision=",
            v3(&format!("unknown variant ``, expected one of `auto`, {units}")),
        ),
        (
            "/api/v3/write_lp?db=d&accept_partial=yes",
            v3("provided string was not `true` or `false`"),
        ),
        ("/write", v1("no db destination provided")),
        ("/write?precision=ns", v1(&format!("{failed} missing field `db`"))),
        (
            "/write?db=d&precision=NS",
            v1(&format!("{failed} unknown variant `NS`, expected one of {units}")),
        ),
        ("/api/v2/write", v2("no org/bucket destination provided")),
        ("/api/v2/write?org=o", v2("missing bucket value")),
        (
            "/api/v2/write?bucket=d&precision=h",
            v2(&format!(
                "failed to deserialize org/bucket/precision in request: unknown variant `h`, \
                 expected one of {units}"
            )),
        ),
    ] {
        let server = Server::start_as(Product::InfluxDb3_6);
        let reply = Client::new(&server).post(target, "", "m f=1 1");
        assert_eq!((reply.status, reply.text()), (400, expected), "{target}");
        assert_eq!(reply.header("content-type"), None, "{target}");
        assert_eq!(server.created_databases(), [""; 0], "{target}");
    }
}

#[test]
fn database_names_follow_the_rules_of_influxdb_3() {
    let long = "d".repeat(65);
    for (name, expected) in [
        ("a-b_c9/autogen", None),
        ("9d", None),
        ("_d", Some("db name did not start with a number or letter")),
        (
            "a.b",
            Some(
                "invalid character in database or rp name: must be ASCII, containing only \
                      letters, numbers, underscores, or hyphens",
            ),
        ),
        (
            "a/b/c",
            Some(
                "db name with invalid retention policy, if providing a retention policy \
                        name, must be of form '<db_name>/<rp_name>'",
            ),
        ),
        (
            "a/",
            Some(
                "db name with invalid retention policy, if providing a retention policy \
                     name, must be of form '<db_name>/<rp_name>'",
            ),
        ),
        ("", Some("db name cannot be empty")),
        (&long, Some("db name too long: max 64")),
    ] {
        let server = Server::start_as(Product::InfluxDb3_6);
        let target = format!("/api/v3/write_lp?db={name}");
        let reply = Client::new(&server).post(&target, "", "m f=1 1");
        match expected {
            None => assert_eq!((reply.status, server.count(name)), (204, 1), "{name}"),
            Some(message) => {
                assert_eq!((reply.status, reply.json()), (400, json!({ "error": message })));
            }
        }
    }
    // The compatible endpoints have a rule of their own before that.
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    let message =
        "namespace name 'a.b' contains invalid character, character number 1 is not allowed";
    assert_eq!(client.post("/write?db=a.b", "", "").json(), json!({ "error": message }));
    let expected = json!({ "code": "invalid", "message": message });
    assert_eq!(client.post("/api/v2/write?bucket=a.b", "", "").json(), expected);
    assert_eq!(client.post("/write?db=a&rp=Weekly", "", "m f=1 1").status, 204);
    assert_eq!(client.post("/write?db=a&rp=autogen", "", "m f=1 1").status, 204);
    assert_eq!(server.databases(), ["a", "a/weekly"]);
}
