//! Authentication, and the endpoints that are no writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::Product;

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
        let names_product = ping.text().contains("\"product_name\":\"InfluxDB 3 Core\"");
        assert_eq!(names_product, product == Product::InfluxDb3_10);
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
