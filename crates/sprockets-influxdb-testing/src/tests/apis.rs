//! What each API stores and answers.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::*;
use crate::parse;

const V1: &str = "/write?db=d";
const V2: &str = "/api/v2/write?org=o&bucket=d";
const V3: &str = "/api/v3/write_lp?db=d";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_api_stores_points_and_answers_204() {
    for (target, unit) in [
        ("/write?db=d", 1_i64),
        ("/write?db=d&precision=n", 1),
        ("/write?db=d&precision=ns", 1),
        ("/write?db=d&precision=u", 1_000),
        ("/write?db=d&precision=us", 1_000),
        ("/write?db=d&rp=autogen&precision=ms", 1_000_000),
        ("/write?db=d&precision=s", 1_000_000_000),
        ("/write?db=d&precision=h", 3_600_000_000_000),
        ("/api/v2/write?org=o&bucket=d", 1),
        ("/api/v2/write?org=o&bucket=d&precision=us", 1_000),
        ("/api/v3/write_lp?db=d&precision=ns", 1),
        ("/api/v3/write_lp?db=d&precision=nanosecond", 1),
        ("/api/v3/write_lp?db=d&precision=microsecond", 1_000),
        ("/api/v3/write_lp?db=d&precision=millisecond", 1_000_000),
        ("/api/v3/write_lp?db=d&precision=second", 1_000_000_000),
        ("/api/v3/write_lp?db=d", 1_000_000_000),
        ("/custom/path?db=d", 1),
    ] {
        let server = Server::start();
        server.write_path("/custom/path");
        let reply = Client::new(&server).post(target, "", "m,t=a f=1,g=\"x\ny\" 17\n");
        assert_eq!(reply.status, 204, "{target}: {}", reply.text());
        let expected = parse(&format!("m,t=a f=1,g=\"x\ny\" {}", 17 * unit)).unwrap();
        assert_eq!(server.points("d"), expected, "{target}");
    }
}

#[test]
fn requests_are_recorded_as_they_were_sent() {
    let server = Server::start();
    let mut client = Client::new(&server);
    client.post("/write?db=a+b%2Fc&precision=ns", "X-Test: yes\r\n", "m f=1 1\n\n# c\nm f= 2\n");
    client.post("/api/v2/write?org=o&bucket=b", "Content-Encoding: gzip\r\n", gzip("m f=1 1"));
    client.send("HEAD /ping HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 204);

    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(server.writes().len(), 2);
    let first = &requests[0];
    assert_eq!((first.method(), first.path()), ("POST", "/write"));
    assert_eq!(first.database(), Some("a b/c"));
    assert_eq!(first.query()[1], ("precision".to_owned(), "ns".to_owned()));
    assert_eq!(first.parameter("db"), Some("a b/c"));
    assert_eq!(first.header("x-TEST"), Some("yes"));
    assert!(first.headers().iter().any(|(name, _)| name == "X-Test"));
    assert_eq!((first.lines(), first.status()), (2, Some(400)));
    assert_eq!(first.text(), "m f=1 1\n\n# c\nm f= 2\n");
    assert_eq!(first.wire_length(), first.body().len());
    assert_eq!(requests[1].text(), "m f=1 1");
    assert_eq!(requests[1].wire_length(), gzip("m f=1 1").len());
    assert_eq!((requests[2].method(), requests[2].database()), ("HEAD", None));
    assert_eq!(server.databases(), ["a b/c", "b"]);
}

#[test]
fn one_connection_carries_many_requests() {
    let server = Server::start();
    let mut client = Client::new(&server);
    for time in 0..10 {
        assert_eq!(client.post(V1, "", format!("m f=1 {time}")).status, 204);
    }
    assert_eq!((server.connections(), server.requests().len(), server.count("d")), (1, 10, 10));
    let reply = client.post(V1, "Connection: close\r\n", "m f=1 10");
    assert_eq!((reply.status, reply.header("connection")), (204, Some("close".into())));
    assert!(client.is_closed());
}

#[test]
fn bodies_come_chunked_compressed_and_after_100_continue() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let chunked =
        "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nm f=\r\n3\r\n1 1\r\n0\r\nT: x\r\n\r\n";
    client.send(format!("POST {V1} HTTP/1.1\r\n{chunked}")).unwrap();
    assert_eq!(client.reply().unwrap().status, 204);

    let mut members = gzip("m f=1 2\n");
    members.extend(gzip("m f=1 3\n"));
    for target in [V1, V2, V3] {
        assert_eq!(client.post(target, "Content-Encoding: gzip\r\n", &members).status, 204);
    }

    let head = "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    client.send(format!("POST {V1} HTTP/1.1\r\n{head}")).unwrap();
    assert_eq!(client.reply().unwrap().status, 100);
    client.send("m f=1 4").unwrap();
    assert_eq!(client.reply().unwrap().status, 204);
    let times: Vec<_> = server.points("d").iter().map(|point| point.timestamp).collect();
    assert_eq!(times, [1, 2, 3, 4, 2_000_000_000, 3_000_000_000]);
}

#[test]
fn broken_compression_is_refused_as_each_api_does() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let broken = &gzip("m f=1 1")[..12];
    let reply = client.post(V1, "Content-Encoding: gzip\r\n", broken);
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": "unexpected EOF" })));
    assert_eq!(client.post(V2, "Content-Encoding: gzip\r\n", broken).status, 500);
    assert_eq!(client.post(V3, "Content-Encoding: gzip\r\n", broken).status, 400);
    assert_eq!(client.post(V3, "Content-Encoding: zstd\r\n", "m f=1 1").status, 400);
    // InfluxDB 1.x takes an encoding that it does not know for none.
    assert_eq!(client.post(V1, "Content-Encoding: GZIP\r\n", "m f=1 1").status, 204);
}

#[test]
fn v1_stores_the_good_lines_and_names_the_bad_ones() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let reply = client.post(V1, "", "m f=1 1\nbad\nm f=zzz 2\nm f=2 2\n");
    let message = "partial write: unable to parse 'bad': missing fields\n\
                   unable to parse 'm f=zzz 2': invalid boolean dropped=0";
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": message })));
    assert_eq!(reply.header("x-influxdb-error"), Some(message.replace('\n', " ")));
    assert_eq!(reply.header("content-type"), Some("application/json".into()));
    assert_eq!(server.count("d"), 2);

    let reply = client.post(V1, "", "bad\nm f=1u\n");
    let message = "unable to parse 'bad': missing fields\n\
                   unable to parse 'm f=1u': invalid number: InfluxDB 1.x has no unsigned integers";
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": message })));
    assert_eq!(client.post(V1, "", "# nothing\n\n").status, 204);
}

#[test]
fn v1_repeats_bad_bytes_in_its_header_as_they_are() {
    let server = Server::start();
    let line = b"m\x01\x00\xff\r\\\nx f=1";
    let reply = Client::new(&server).post(V1, "", line);
    let expected = b"unable to parse 'm\x01\x00\xff \\ x f=1': invalid UTF-8";
    assert_eq!(reply.raw_header("x-influxdb-error"), Some(&expected[..]));

    let reply = Client::new(&server).post(V1, "", "x".repeat(5_000));
    assert_eq!(reply.raw_header("x-influxdb-error").map(<[u8]>::len), Some(1024));
    assert!(reply.body.len() > 5_000);
}

#[test]
fn v2_refuses_a_batch_with_a_bad_line_and_names_every_one() {
    let server = Server::start();
    let reply = Client::new(&server).post(V2, "", "m f=1u 1\nbad\nm f= 2\n");
    let message = "unable to parse 'bad': missing fields\n\
                   unable to parse 'm f= 2': missing field value";
    let expected = json!({ "code": "invalid", "message": message });
    assert_eq!((reply.status, reply.json()), (400, expected));
    assert_eq!(reply.header("x-platform-error-code"), Some("invalid".into()));
    assert_eq!(server.databases(), [""; 0]);
}

#[test]
fn v3_numbers_the_bad_lines_and_stores_the_rest_if_it_may() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let body = "m f=1u 1\n\nbad s=\"x\n\" y\n# c\nm f= 2\nm f=2u 2\n";
    let errors = json!([
        { "error_message": "bad timestamp", "line_number": 2, "original_line": "bad s=x\n y" },
        { "error_message": "missing field value", "line_number": 3, "original_line": "m f= 2" },
    ]);

    let reply = client.post("/api/v3/write_lp?db=d&accept_partial=false", "", body);
    let expected = json!({ "error": "line protocol parsing error", "data": errors[0] });
    assert_eq!((reply.status, reply.json()), (400, expected));
    assert_eq!(server.count("d"), 0);

    let reply = client.post(V3, "", body);
    let expected = json!({ "error": "partial write of line protocol occurred", "data": errors });
    assert_eq!((reply.status, reply.json()), (400, expected));
    assert_eq!(server.count("d"), 2);

    assert_eq!(client.post(V3, "", "").text(), "incoming write was empty");
    let reply = client.post(V3, "", b"m f=1 1\nm f=\"\xff\" 2\n");
    assert_eq!(reply.status, 400);
    assert!(reply.text().starts_with("body content is not valid utf8"));
    assert_eq!(server.count("d"), 2);
}

#[test]
fn a_field_of_another_type_is_refused_as_each_api_does() {
    let server = Server::start();
    let mut client = Client::new(&server);
    client.post(V1, "", "m f=1 1");
    let conflict = "partial write: field type conflict: input field \"f\" on measurement \"m\" \
                    is type integer, already exists as type float dropped=2";

    let reply = client.post(V1, "", "m f=2i 2\nbad\nm f=3i,g=1 3\nm f=4 4");
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": conflict })));
    let reply = client.post(V2, "", "m f=2i 2\nm f=3i,g=1 3\nm f=5 5");
    let message = format!("failure writing points to database: {conflict}");
    let expected = json!({ "code": "unprocessable entity", "message": message });
    assert_eq!((reply.status, reply.json()), (422, expected));
    let reply = client.post(V3, "", "m f=6 6\nm f=true 7");
    assert_eq!((reply.status, &reply.json()["data"][0]["line_number"]), (400, &json!(2)));

    let fields = server.points("d").into_iter().map(|point| (point.timestamp, point.fields.len()));
    assert_eq!(fields.collect::<Vec<_>>(), [(1, 1), (4, 1), (5, 1), (6_000_000_000, 1)]);
}

#[test]
fn v1_refuses_a_batch_that_disagrees_with_itself_and_takes_the_most_of_it_the_second_time() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let batch = "m f=1 1\nm f=2i 2\nm f=3 3";
    let reply = client.post(V1, "", batch);
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": "field type conflict" })));
    assert_eq!(server.count("d"), 0);
    let reply = client.post(V1, "", batch);
    assert!(reply.text().contains("partial write: field type conflict"));
    assert_eq!(server.count("d"), 2);
}

#[test]
fn what_is_sent_twice_is_stored_once_and_counted_twice() {
    let server = Server::start();
    let mut client = Client::new(&server);
    for _ in 0..2 {
        client.post(V1, "", "m f=1 1\nm f=2 2\nbad");
    }
    assert_eq!((server.count("d"), server.lines_received("d")), (2, 4));
    assert_eq!((server.count("other"), server.lines_received("other")), (0, 0));
    assert_eq!(server.points("other"), []);
}

#[test]
fn parameters_that_are_missing_or_make_no_sense_are_refused() {
    let server = Server::start();
    let mut client = Client::new(&server);
    for (target, status, text) in [
        ("/write", 400, "database is required"),
        ("/write?db=", 400, "database is required"),
        ("/write?db=d&precision=min", 400, "invalid precision"),
        ("/api/v2/write?org=o", 400, "bucket is required"),
        ("/api/v2/write?bucket=d", 400, "org or orgID is required"),
        ("/api/v2/write?org=o&bucket=d&precision=n", 400, "invalid precision"),
        ("/api/v2/write?org=o&bucket=d&precision=h", 400, "invalid precision"),
        ("/api/v3/write_lp", 400, "missing field `db`"),
        ("/api/v3/write_lp?db=d&precision=m", 400, "invalid precision"),
        ("/api/v3/write_lp?db=d&accept_partial=yes", 400, "accept_partial"),
        ("/api/v4/write", 404, "404 page not found"),
    ] {
        let reply = client.post(target, "", "m f=1 1");
        assert_eq!(reply.status, status, "{target}");
        assert!(reply.text().contains(text), "{target}: {}", reply.text());
    }
    client.send("GET /write?db=d HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 405);
    client.send("GET /health HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().json()["status"], "pass");
    assert_eq!(server.connections(), 1);
}

#[test]
fn unknown_databases_are_refused_when_they_are_listed() {
    let server = Server::start();
    server.only_databases(["d"]);
    let mut client = Client::new(&server);
    let reply = client.post("/write?db=x", "", "m f=1 1");
    let expected = json!({ "error": "database not found: \"x\"" });
    assert_eq!((reply.status, reply.json()), (404, expected));
    let reply = client.post("/api/v2/write?org=o&bucket=x", "", "m f=1 1");
    assert_eq!((reply.status, &reply.json()["code"]), (404, &json!("not found")));
    assert_eq!(client.post("/api/v3/write_lp?db=x", "", "m f=1 1").status, 404);
    assert_eq!(client.post(V1, "", "m f=1 1").status, 204);
    server.any_database();
    assert_eq!(client.post("/write?db=x", "", "m f=1 1").status, 204);
    assert_eq!(server.databases(), ["d", "x"]);
}

#[test]
fn a_user_is_admitted_by_name_and_password() {
    let server = Server::start();
    server.require_basic("ann", "s:t");
    let mut client = Client::new(&server);
    let basic = |pair: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(pair));

    let reply = client.post(V1, "", "m f=1 1");
    let expected = json!({ "error": "unable to parse authentication credentials" });
    assert_eq!((reply.status, reply.json()), (401, expected));
    assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"InfluxDB\"".into()));
    assert_eq!(reply.header("x-influxdb-error"), None);
    let reply = client.post(V1, &basic("ann:wrong"), "m f=1 1");
    assert_eq!((reply.status, reply.json()), (401, json!({ "error": "authorization failed" })));

    for target in [V1, V2, V3] {
        assert_eq!(client.post(target, &basic("ann:s:t"), "m f=1 1").status, 204, "{target}");
        assert_eq!(client.post(target, "Authorization: Token other\r\n", "").status, 401);
    }
    assert_eq!(client.post("/write?db=d&u=ann&p=s%3At", "", "m f=1 1").status, 204);
    assert_eq!(client.post("/write?db=d&u=ann&p=no", &basic("ann:s:t"), "").status, 401);
    assert_eq!(client.post(V2, "Authorization: Token ann:s:t\r\n", "m f=1 1").status, 204);
    client.send("GET /ping HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 204);
    server.require_nothing();
    assert_eq!(client.post(V1, "", "m f=1 1").status, 204);
}

#[test]
fn a_token_is_admitted_in_the_forms_that_an_api_knows() {
    let server = Server::start();
    server.require_token("secret");
    let mut client = Client::new(&server);
    let basic = format!("Basic {}", STANDARD.encode("any:secret"));
    for (target, authorization, status) in [
        (V1, "Token secret", 204),
        (V1, "Bearer secret", 401),
        (V1, &basic, 204),
        (V2, "Token secret", 204),
        (V2, "bearer secret", 204),
        (V2, &basic, 401),
        (V3, "Token secret", 204),
        (V3, "Bearer secret", 204),
        (V3, "bearer secret", 401),
        (V3, &basic, 204),
        (V3, "Bearer other", 401),
    ] {
        let header = format!("Authorization: {authorization}\r\n");
        assert_eq!(
            client.post(target, &header, "m f=1 1").status,
            status,
            "{target} {authorization}"
        );
    }
    assert_eq!(client.post("/write?db=d&p=secret", "", "m f=1 1").status, 204);
    let expected = json!({ "code": "unauthorized", "message": "unauthorized access" });
    assert_eq!(client.post(V2, "", "").json(), expected);
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length_on_the_wire() {
    let server = Server::start();
    server.max_body_size(1000);
    let mut client = Client::new(&server);
    let lines: String = (0..200).map(|time| format!("m f=1 {time}\n")).collect();
    assert!(lines.len() > 1000 && gzip(&lines).len() <= 1000);
    assert_eq!(client.post(V1, "Content-Encoding: gzip\r\n", gzip(&lines)).status, 204);
    let exact = format!("#{}", "x".repeat(999));
    assert_eq!(client.post(V1, "", &exact).status, 204);

    let reply = client.post(V1, "", format!("{exact}x"));
    let expected = json!({ "error": "Request Entity Too Large" });
    assert_eq!((reply.status, reply.json()), (413, expected));
    assert_eq!(client.post(V2, "", &lines).json()["code"], "request too large");
    assert_eq!(client.post(V3, "", &lines).text(), "max request size (1000 bytes) exceeded");
    assert_eq!(server.connections(), 1);
    assert_eq!((server.count("d"), server.writes()[2].lines()), (200, 0));

    let chunk = format!("Transfer-Encoding: chunked\r\n\r\n3e9\r\n{exact}x\r\n0\r\n\r\n");
    client.send(format!("POST {V1} HTTP/1.1\r\n{chunk}")).unwrap();
    assert_eq!(client.reply().unwrap().status, 413);

    server.max_body_size(None);
    assert_eq!(Client::new(&server).post(V1, "", &lines).status, 204);
}

#[test]
fn a_large_body_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::start();
    server.max_body_size(1000);
    let mut client = Client::new(&server);
    client.send(format!("POST {V1} HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n")).unwrap();
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close".into())));
    assert!(client.is_closed());

    let mut client = Client::new(&server);
    let head = "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n";
    client.send(format!("POST {V1} HTTP/1.1\r\n{head}")).unwrap();
    assert_eq!(client.reply().unwrap().status, 413);
    assert!(client.is_closed());

    // A client that goes on sending meets a broken connection, and finds the reply if it looks.
    let mut client = Client::new(&server);
    let sent = client.send(request(V1, "", vec![b'#'; 50_000_000]));
    assert!(sent.is_err());
    assert_eq!(client.reply().unwrap().status, 413);
}

#[test]
fn what_is_not_http_is_refused_and_does_no_harm() {
    let server = Server::start();
    for bytes in [
        &b"\x16\x03\x01\x02\0\x01\0"[..],
        b"GET\r\n\r\n",
        b"POST /write?db=d HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /write?db=d HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /write?db=d HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n",
        b"POST /write?db=d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        let mut client = Client::new(&server);
        client.send(bytes).unwrap();
        assert_eq!(client.reply().unwrap().status, 400, "{}", String::from_utf8_lossy(bytes));
    }
    let mut client = Client::new(&server);
    let endless = vec![b'x'; 100_000];
    let _ = client.send(&endless);
    assert!(client.reply().is_ok_and(|reply| reply.status == 400));
    assert_eq!(Client::new(&server).post(V1, "", "m f=1 1").status, 204);
}
