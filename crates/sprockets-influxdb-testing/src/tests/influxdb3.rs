//! InfluxDB 3: what 3.6.0 answered when it was measured, and what 3.10.1 answers by its sources.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::{Fault, Product, Trouble};

const V1: &str = "/write?db=d";
const V2: &str = "/api/v2/write?bucket=d";
const V3: &str = "/api/v3/write_lp?db=d";
const BOTH: [Product; 2] = [Product::InfluxDb3_6, Product::InfluxDb3_10];

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn get(client: &mut Client, target: &str, headers: &str) -> RawReply {
    client.send(format!("GET {target} HTTP/1.1\r\n{headers}\r\n")).unwrap();
    client.reply().unwrap()
}

/// Values of the field `f` in the order of their times.
fn values(server: &Server) -> Vec<crate::Value> {
    server.points("d").iter().filter_map(|point| point.field("f").cloned()).collect()
}

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

#[test]
fn v3_names_every_bad_line_by_20_bytes_that_may_be_another_lines() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    let body =
        "m f=0.5 1\n\n# comment\nbad line number two, a long one\nm f=\"x\ny\",f= 2\nm f=2 3";
    let reply = client.post(V3, "", body);
    let errors = json!([
        // Blank lines and comments shift the text, not the number.
        {
            "error_message": "No fields were provided",
            "line_number": 2,
            "original_line": "",
        },
        {
            "error_message":
                "Could not parse entire line. Found trailing content: `f= 2`",
            "line_number": 3,
            "original_line": "# comment",
        },
    ]);
    let expected = json!({ "error": "partial write of line protocol occurred", "data": errors });
    assert_eq!((reply.status, reply.json()), (400, expected));
    assert!(reply.text().starts_with("{\"error\":\"partial write"), "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert_eq!(values(&server), [0.5.into(), 2.0.into()]);

    // A line that the catalog refuses is written anew, without quotes, and cut.
    let reply = client.post(V3, "", "m,t=a g=\"q\",f=1i 1700000000000000001");
    assert_eq!(reply.json()["data"][0]["original_line"], "m,t=a g=q,f=1i 17000");
}

#[test]
fn v1_names_one_line_and_v2_none_and_neither_stores_any() {
    let body = "m f=1 1\nbad\nm f=2 2\nworse\n";
    let line = json!({
        "error_message": "Expected at least one space character, got end of input",
        "line_number": 2,
        "original_line": "bad",
    });
    for (product, v3_message, v2_message) in [
        (
            Product::InfluxDb3_6,
            "parsing failed for write_lp endpoint",
            "write buffer error: parsing for line protocol failed",
        ),
        (
            Product::InfluxDb3_10,
            "line protocol parsing error",
            "write buffer error: line protocol parse failed: Expected at least one space \
             character, got end of input",
        ),
    ] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        let expected = json!({ "error": v3_message, "data": line });
        for target in [V1, "/api/v3/write_lp?db=d&accept_partial=false"] {
            let reply = client.post(target, "", body);
            assert_eq!((reply.status, reply.json()), (400, expected.clone()), "{target}");
        }
        let reply = client.post(V2, "", body);
        let expected = json!({ "code": "invalid", "message": v2_message });
        assert_eq!((reply.status, reply.json()), (400, expected));
        assert_eq!(reply.header("x-platform-error-code"), None);
        assert_eq!((server.count("d"), server.created_databases()), (0, vec![]));
    }
}

#[test]
fn a_cut_inside_a_character_closes_the_connection_without_a_reply_in_3_6() {
    let body = "p,t=aéééééééé f=1i 2\np f=0.75 3";
    for (product, target, breaks, stored) in [
        (Product::InfluxDb3_6, V3, true, vec![0.5.into(), 0.75.into()]),
        (Product::InfluxDb3_6, V1, true, vec![0.5.into()]),
        (Product::InfluxDb3_6, V2, false, vec![0.5.into()]),
        (Product::InfluxDb3_10, V3, false, vec![0.5.into(), 0.75.into()]),
        (Product::InfluxDb3_10, V1, false, vec![0.5.into()]),
    ] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        assert_eq!(client.post(V3, "", "p f=0.5 1").status, 204);
        client.send(request(target, "", body)).unwrap();
        if breaks {
            assert!(client.is_closed(), "{product} {target}");
        } else {
            assert_eq!(client.reply().unwrap().status, 400, "{product} {target}");
        }
        assert_eq!(values(&server), stored, "{product} {target}");
        let status = server.writes()[1].status();
        assert_eq!(status, (!breaks).then_some(400), "{product} {target}");
    }
}

#[test]
fn a_body_over_the_limit_has_a_status_of_its_own_from_3_10_on() {
    let message = "max request size (1000 bytes) exceeded";
    let v2 = json!({ "code": "request too large", "message": message }).to_string();
    let lines: String = (0..200).map(|time| format!("m f=1 {time}\n")).collect();
    for (product, target, status, text) in [
        (Product::InfluxDb3_6, V3, 500, message),
        (Product::InfluxDb3_6, V1, 500, message),
        (Product::InfluxDb3_6, V2, 413, &v2),
        (Product::InfluxDb3_10, V3, 413, message),
        (Product::InfluxDb3_10, V1, 413, message),
        (Product::InfluxDb3_10, V2, 413, &v2),
    ] {
        let server = Server::start_as(product);
        server.max_body_size(1000);
        let mut client = Client::new(&server);
        let reply = client.post(target, "", &lines);
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{product} {target}");
        // The limit is that of the unpacked body too.
        let reply = client.post(target, "Content-Encoding: gzip\r\n", gzip(&lines));
        assert_eq!(reply.status, status, "{product} {target}");
        assert_eq!((server.count("d"), server.connections()), (0, 1));
    }
}

#[test]
fn unreadable_bodies_are_the_servers_fault_in_3_6_and_the_clients_in_3_10() {
    let utf8 = b"m f=\"\xff\" 1";
    let utf8_message = "body content is not valid utf8: invalid utf-8 sequence of 1 bytes from \
                        index 5";
    let broken = &gzip("m f=1 1")[..12];
    for (product, target, status) in [
        (Product::InfluxDb3_6, V3, 500),
        (Product::InfluxDb3_6, V1, 500),
        (Product::InfluxDb3_6, V2, 400),
        (Product::InfluxDb3_10, V3, 400),
        (Product::InfluxDb3_10, V1, 400),
        (Product::InfluxDb3_10, V2, 400),
    ] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        let reply = client.post(target, "", utf8);
        assert_eq!(reply.status, status, "{product} {target}");
        assert!(reply.text().contains(utf8_message), "{product} {target}: {}", reply.text());
        let reply = client.post(target, "Content-Encoding: gzip\r\n", broken);
        assert_eq!(reply.status, status, "{product} {target}");
        assert!(reply.text().contains("error decoding gzip stream: "), "{}", reply.text());
        let reply = client.post(target, "Content-Encoding: zstd\r\n", "m f=1 1");
        assert_eq!(reply.status, 400, "{product} {target}");
        assert!(reply.text().contains("unacceptable content-encoding: zstd"));
        assert_eq!(server.created_databases(), [""; 0]);
    }
}

#[test]
fn of_several_gzip_members_3_6_stores_the_first_alone() {
    let members = [gzip("m f=1 1\n"), gzip("m f=2 2\n")].concat();
    for (product, stored) in [(Product::InfluxDb3_6, 1), (Product::InfluxDb3_10, 2)] {
        let server = Server::start_as(product);
        let reply = Client::new(&server).post(V3, "Content-Encoding: gzip\r\n", &members);
        assert_eq!((reply.status, server.count("d")), (204, stored), "{product}");
    }
}

#[test]
fn an_empty_write_creates_the_database() {
    let text = "incoming write was empty".to_owned();
    let v2 = "{\"code\":\"invalid\",\"message\":\"write buffer error: incoming write was empty\"}";
    for (target, expected) in [(V1, text.clone()), (V2, v2.into()), (V3, text)] {
        let server = Server::start_as(Product::InfluxDb3_6);
        let reply = Client::new(&server).post(target, "", "# nothing\n\n");
        assert_eq!((reply.status, reply.text()), (400, expected), "{target}");
        assert_eq!(server.created_databases(), ["d"], "{target}");
        assert_eq!(server.databases(), [""; 0]);
    }
}

#[test]
fn bad_lines_create_the_database_where_partial_writes_are_accepted() {
    for (target, created) in [
        (V3, &["d"][..]),
        ("/api/v3/write_lp?db=d&accept_partial=false", &[]),
        (V1, &[]),
        (V2, &[]),
    ] {
        let server = Server::start_as(Product::InfluxDb3_6);
        assert_eq!(Client::new(&server).post(target, "", "bad").status, 400);
        assert_eq!(server.created_databases(), created, "{target}");
    }
}

#[test]
fn databases_have_a_limit() {
    let message = |limit| format!("Adding a new database would exceed limit of {limit} databases");
    for (product, limit) in [(Product::InfluxDb3_6, 5), (Product::InfluxDb3_10, 100)] {
        let server = Server::start_as(product);
        (0..limit).for_each(|number| server.create_database(&format!("db{number}")));
        let mut client = Client::new(&server);
        for target in [V1, V3] {
            let reply = client.post(target, "", "m f=1 1");
            let expected = json!({ "error": message(limit) });
            assert_eq!((reply.status, reply.json()), (422, expected), "{product} {target}");
        }
        let reply = client.post(V2, "", "m f=1 1");
        let message = format!("write buffer error: catalog update error: {}", message(limit));
        let expected = json!({ "code": "invalid", "message": message });
        assert_eq!((reply.status, reply.json()), (400, expected), "{product}");
        assert_eq!(client.post("/write?db=db0", "", "m f=1 1").status, 204);
    }
}

#[test]
fn tables_and_columns_have_a_limit() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    // Within one request nobody counts the tables.
    let tables: String = (0..2_001).map(|number| format!("m{number} f=1 1\n")).collect();
    assert_eq!(client.post(V3, "", tables).status, 204);
    let reply = client.post(V3, "", "other f=1 1\nm0 f=2 2");
    let message = "Update to schema would exceed number of tables limit of 2000 tables";
    assert_eq!((reply.status, &reply.json()["data"][0]["error_message"]), (422, &json!(message)));
    assert_eq!(server.count("d"), 2_002);

    let fields: Vec<_> = (0..501).map(|number| format!("f{number}=1")).collect();
    let reply = client.post(V3, "", format!("m0 {} 3", fields.join(",")));
    let message = "Update to schema would exceed number of columns per table limit of 500 columns";
    assert_eq!((reply.status, &reply.json()["data"][0]["error_message"]), (422, &json!(message)));
    // What one line of all or nothing hits is no limit, but a bad line.
    assert_eq!(client.post(V1, "", "other f=1 1").status, 400);
}

#[test]
fn conflicts_and_reserved_names_are_errors_of_their_line() {
    let got = "iox::column_type::field";
    for (first, second, message) in [
        (
            "m f=1 1",
            "m f=1i 2",
            format!(
                "invalid column type for column 'f', expected {got}::float, got {got}::integer"
            ),
        ),
        (
            "m f=1u 1",
            "m f=\"a\" 2",
            format!(
                "invalid column type for column 'f', expected {got}::uinteger, got {got}::string"
            ),
        ),
        (
            "m f=t 1",
            "m,f=a g=1 2",
            format!(
                "invalid column type for column 'f', expected {got}::boolean, got iox::column_type::tag"
            ),
        ),
        (
            "m,f=a g=1 1",
            "m f=1 2",
            format!(
                "invalid column type for column 'f', expected iox::column_type::tag, got {got}::float"
            ),
        ),
        ("other f=1 1", "m time=1 2", "'time' is a reserved column".into()),
        ("other f=1 1", "m,time=a f=1 2", "'time' is a reserved column".into()),
        (
            "m f=1 1",
            "m time=1i,f=1 2",
            format!(
                "invalid column type for column 'time', expected iox::column_type::timestamp, got {got}::integer"
            ),
        ),
        (
            "m f=1 1",
            "m,t=a f\rx=1 2",
            "invalid configuration provided: field key cannot contain control characters".into(),
        ),
        (
            "m f=1 1",
            "m f=1,f=1 2",
            "invalid line protocol - multiple instances of 'f' field found".into(),
        ),
    ] {
        let server = Server::start_as(Product::InfluxDb3_6);
        let mut client = Client::new(&server);
        assert_eq!(client.post(V3, "", first).status, 204, "{first}");
        let reply = client.post(V3, "", format!("{second}\nnew f=1 3"));
        let data = json!({ "error_message": message, "line_number": 1 });
        let mut line = reply.json()["data"][0].clone();
        line.as_object_mut().unwrap().remove("original_line");
        assert_eq!((reply.status, line), (400, data), "{second}");
        assert_eq!(server.count("d"), 2, "{second}");
    }
}

#[test]
fn columns_of_a_refused_line_keep_their_types() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    assert_eq!(client.post(V3, "", "m g=1,f=1,f=2 1").status, 400);
    assert_eq!(server.unreadable_tables("d"), ["m"]);
    assert_eq!(client.post(V3, "", "m g=\"a\" 1").status, 400);
    assert_eq!(client.post(V3, "", "m g=2 1").status, 204);
    assert_eq!((server.count("d"), server.unreadable_tables("d")), (1, vec![]));
}

#[test]
fn one_name_as_tag_and_field_leaves_a_table_that_cannot_be_read() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let reply = Client::new(&server).post(V3, "", "m,a=x a=1 1");
    assert_eq!((reply.status, server.unreadable_tables("d")), (400, vec!["m".to_owned()]));
}

#[test]
fn duplicate_tags_are_taken_and_their_table_cannot_be_read_any_more() {
    for product in BOTH {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        assert_eq!(client.post(V3, "", "dd,a=1 f=1 1\nm f=1 1").status, 204);
        assert_eq!(server.count("d"), 2);
        assert_eq!(client.post(V3, "", "dd,a=1,a=2 f=1 1").status, 204);
        assert_eq!(server.unreadable_tables("d"), ["dd"]);
        assert_eq!((server.count("d"), server.lines_received("d")), (1, 3));
    }
}

#[test]
fn all_times_are_taken_and_infinite_values_read_back_as_null() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    let target = "/api/v3/write_lp?db=d&precision=ns";
    let body = format!("m f=1 {}\nm f=2 {}\nm f=1e400,g=1 0", i64::MIN, i64::MAX);
    assert_eq!(client.post(target, "", body).status, 204);
    let times: Vec<_> = server.points("d").iter().map(|point| point.timestamp).collect();
    assert_eq!(times, [i64::MIN, 0, i64::MAX]);
    assert_eq!(server.points("d")[1].field("f"), None);
    // Beyond 64 bits after the scaling there is no time.
    let reply = client.post("/api/v3/write_lp?db=d&precision=s", "", "m f=1 9223372036854775807");
    let message = "timestamp, 9223372036854775807, out of range for precision: Second";
    assert_eq!(reply.json()["data"][0]["error_message"], message);
}

#[test]
fn lengths_are_those_of_each_release() {
    let long = "x".repeat(65_537);
    for (product, status) in [(Product::InfluxDb3_6, 400), (Product::InfluxDb3_10, 204)] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        for line in [format!("m,t={long} f=1"), format!("{long} f=1"), format!("s f=\"{long}\"")] {
            assert_eq!(client.post(V3, "", line).status, status, "{product}");
        }
        assert_eq!(client.post(V3, "", format!("n f=\"{}\"", &long[1..])).status, 204);
    }
}

#[test]
fn only_a_token_in_one_of_three_forms_is_let_in() {
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let malformed = "{\"error\": \"Authorization header was malformed, the request was not in the \
                     form of 'Authorization: <auth-scheme> <token>', supported auth-schemes are \
                     Bearer, Token and Basic\"}";
    let unauthenticated = "{\"error\": \"the request was not authenticated\"}";
    for product in BOTH {
        let server = Server::start_as(product);
        server.require_token("secret");
        let mut client = Client::new(&server);
        let is_old = product == Product::InfluxDb3_6;
        let (refused, not_ascii) = match is_old {
            true => ("", ""),
            false => (
                unauthenticated,
                "{\"error\": \"to str error: failed to convert header to a str\"}",
            ),
        };
        for (authorization, status, body) in [
            ("Bearer secret", 204, ""),
            ("Token secret", 204, ""),
            (&basic("any:secret"), 204, ""),
            (&basic(":secret"), 204, ""),
            ("Bearer other", 401, refused),
            (&basic("secret:other"), 401, refused),
            ("bearer secret", 400, malformed),
            ("token secret", 400, malformed),
            ("Bearer sec ret", 400, malformed),
            ("Bearer", 400, malformed),
            (&basic("ann:sec:ret"), 400, malformed),
            (&basic("secret"), 400, malformed),
            ("Basic secret", 400, malformed),
            ("Bearer s\u{e9}cret", 500, not_ascii),
        ] {
            for target in [V1, V2, V3] {
                let header = format!("Authorization: {authorization}\r\n");
                let reply = client.post(target, &header, "m f=1 1");
                let context = format!("{product} {target} {authorization}");
                assert_eq!((reply.status, reply.text().as_str()), (status, body), "{context}");
                assert_eq!(reply.header("www-authenticate"), None);
            }
        }
        let reply = client.post(V1, "", "m f=1 1");
        assert_eq!((reply.status, reply.text().as_str()), (401, refused));
        // The parameter wins over the header, on the endpoint of 1.x alone.
        let wrong = "Authorization: malformed\r\n";
        assert_eq!(client.post("/write?db=d&u=any&p=secret", wrong, "m f=1 1").status, 204);
        assert_eq!(client.post("/api/v3/write_lp?db=d&p=secret", "", "m f=1 1").status, 401);
    }
}

#[test]
fn a_malformed_header_is_refused_where_no_token_is_needed() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    assert_eq!(client.post(V3, "Authorization: Bearer a b\r\n", "m f=1 1").status, 400);
    assert_eq!(client.post(V3, "Authorization: Bearer any\r\n", "m f=1 1").status, 204);
}

#[test]
fn every_path_needs_the_token_unless_it_is_opened() {
    let server = Server::start_as(Product::InfluxDb3_6);
    server.require_token("secret");
    let mut client = Client::new(&server);
    for path in ["/ping", "/health", "/unknown", "/api/v3/configure/database?format=json"] {
        assert_eq!(get(&mut client, path, "").status, 401, "{path}");
    }
    let with = "Authorization: Bearer secret\r\n";
    assert_eq!(get(&mut client, "/unknown", with).status, 404);
    server.open_paths(["/ping", "/health"]);
    assert_eq!(get(&mut client, "/ping", "").status, 200);
    assert_eq!(get(&mut client, "/health", "").status, 200);
    assert_eq!(get(&mut client, "/unknown", "").status, 401);
}

#[test]
fn the_other_endpoints_answer_as_influxdb_3_does() {
    for (product, version) in [(Product::InfluxDb3_6, "3.6.0"), (Product::InfluxDb3_10, "3.10.1")] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        let ping = get(&mut client, "/ping", "");
        assert_eq!((ping.status, &ping.json()["version"]), (200, &json!(version)));
        assert_eq!(ping.header("x-influxdb-version").as_deref(), Some(version));
        assert_eq!(ping.header("x-influxdb-build").as_deref(), Some("Core"));
        assert_eq!(get(&mut client, "/health", "").text(), "OK");
        for target in ["/write?db=d", "/api/v3/write_lp?db=d", "/api/v2/write", "/unknown"] {
            let reply = get(&mut client, target, "");
            assert_eq!((reply.status, reply.text().as_str()), (404, "not found"), "{target}");
        }
        client.send("HEAD /ping HTTP/1.1\r\n\r\n").unwrap();
        let head = client.rest_of_head();
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    }
}

#[test]
fn databases_are_listed_without_being_created() {
    let server = Server::start_as(Product::InfluxDb3_6);
    server.create_database("d");
    let mut client = Client::new(&server);
    let list = get(&mut client, "/api/v3/configure/database?format=json", "");
    let expected = r#"[{"iox::database":"_internal"},{"iox::database":"d"}]"#;
    assert_eq!((list.status, list.text().as_str()), (200, expected));
    let missing = get(&mut client, "/api/v3/configure/database", "");
    assert_eq!(
        (missing.status, missing.text().as_str()),
        (400, "serde error: missing field `format`")
    );
    let shown = get(&mut client, "/api/v3/query_influxql?q=SHOW%20DATABASES&format=json", "");
    let expected = json!([
        { "iox::database": "_internal", "deleted": false },
        { "iox::database": "d", "deleted": false },
    ]);
    assert_eq!((shown.status, shown.json()), (200, expected));
    let shown = get(&mut client, "/query?q=show+databases", "");
    let rows: &Value = &shown.json()["results"][0]["series"][0]["values"];
    assert_eq!(rows, &json!([["_internal", false], ["d", false]]));
    assert_eq!(server.created_databases(), ["d"]);
}

#[test]
fn trouble_of_the_server_is_400_on_v2_and_500_elsewhere() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    for (trouble, v3, v2) in [
        (
            Trouble::FullDisk,
            "write buffer error: error from wal: error writing wal file: ",
            "write buffer error: error from wal: error writing wal file: ",
        ),
        (
            Trouble::Catalog,
            "object store error: ",
            "write buffer error: catalog update error: object store error: ",
        ),
        (
            Trouble::Shutdown,
            "write buffer error: error from wal: wal is shutdown and not accepting writes",
            "write buffer error: error from wal: wal is shutdown and not accepting writes",
        ),
    ] {
        server.inject(Fault::trouble(trouble).times(3));
        for target in [V1, V3] {
            let reply = client.post(target, "", "m f=1 1");
            assert_eq!(reply.status, 500, "{trouble:?}");
            assert!(reply.text().starts_with(v3), "{trouble:?}: {}", reply.text());
        }
        let reply = client.post(V2, "", "m f=1 1");
        assert_eq!((reply.status, &reply.json()["code"]), (400, &json!("invalid")));
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(v2), "{trouble:?}: {message}");
    }
    assert_eq!(server.count("d"), 0);
}

#[test]
fn errors_of_a_fault_have_the_form_of_influxdb_3() {
    let server = Server::start_as(Product::InfluxDb3_6);
    server.inject_always(Fault::error(429, "slow down"));
    let mut client = Client::new(&server);
    for target in [V1, V3] {
        let reply = client.post(target, "", "m f=1 1");
        assert_eq!((reply.status, reply.json()), (429, json!({ "error": "slow down" })));
        assert_eq!(reply.header("x-influxdb-error"), None);
    }
    assert_eq!(client.post(V2, "", "m f=1 1").json()["message"], "slow down");
}

#[test]
fn products_have_names() {
    for product in Product::ALL {
        assert_eq!(product.to_string().parse(), Ok(*product));
    }
    let error = "influxdb-9".parse::<Product>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown name \"influxdb-9\": expected one of strict, influxdb-3.6, influxdb-3.10"
    );
}
