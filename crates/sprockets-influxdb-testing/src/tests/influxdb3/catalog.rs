//! What a write leaves behind, and the limits of it.

use serde_json::json;

use super::*;
use crate::Product;

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
    let start = "Update to schema would exceed number of tables limit";
    for (product, tables, message) in [
        (Product::InfluxDb3_6, 2_001, format!("{start} of 2000 tables")),
        (
            Product::InfluxDb3_10,
            4_001,
            format!(
                "{start}: attempted to create table but already have 4001 table(s) (limit: 4000)"
            ),
        ),
    ] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        // Within one request nobody counts the tables.
        let lines: String = (0..tables).map(|number| format!("m{number} f=1 1\n")).collect();
        assert_eq!(client.post(V3, "", lines).status, 204);
        let reply = client.post(V3, "", "other f=1 1\nm0 f=2 2");
        let found = reply.json()["data"][0]["error_message"].clone();
        assert_eq!((reply.status, found), (422, json!(message)));
        assert_eq!(server.count("d"), tables + 1);
        // Where one bad line refuses all, the status does not tell a limit.
        assert_eq!(client.post(V1, "", "other f=1 1").status, 400);

        let fields: Vec<_> = (0..501).map(|number| format!("f{number}=1")).collect();
        let reply = client.post(V3, "", format!("m0 {} 3", fields.join(",")));
        let found = reply.json()["data"][0]["error_message"].clone();
        let message =
            "Update to schema would exceed number of columns per table limit of 500 columns";
        assert_eq!((reply.status, found), (422, json!(message)));
    }
}

#[test]
fn conflicts_and_reserved_names_are_errors_of_their_line() {
    let got = "iox::column_type::field";
    let tag = "iox::column_type::tag";
    let time = "iox::column_type::timestamp";
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
            format!("invalid column type for column 'f', expected {got}::boolean, got {tag}"),
        ),
        (
            "m,f=a g=1 1",
            "m f=1 2",
            format!("invalid column type for column 'f', expected {tag}, got {got}::float"),
        ),
        ("other f=1 1", "m time=1 2", "'time' is a reserved column".into()),
        ("other f=1 1", "m,time=a f=1 2", "'time' is a reserved column".into()),
        (
            "m f=1 1",
            "m time=1i,f=1 2",
            format!("invalid column type for column 'time', expected {time}, got {got}::integer"),
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
