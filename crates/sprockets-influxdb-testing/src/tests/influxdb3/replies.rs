//! How bad lines and errors of the server itself are reported.

use serde_json::json;

use super::*;
use crate::{Fault, Product, ServerError};

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
fn errors_of_the_server_itself_are_400_on_v2_and_500_elsewhere() {
    let server = Server::start_as(Product::InfluxDb3_6);
    let mut client = Client::new(&server);
    for (error, v3, v2) in [
        (
            ServerError::FullDisk,
            "write buffer error: error from wal: error writing wal file: ",
            "write buffer error: error from wal: error writing wal file: ",
        ),
        (
            ServerError::Catalog,
            "object store error: ",
            "write buffer error: catalog update error: object store error: ",
        ),
        (
            ServerError::Shutdown,
            "write buffer error: error from wal: wal is shutdown and not accepting writes",
            "write buffer error: error from wal: wal is shutdown and not accepting writes",
        ),
    ] {
        server.inject(Fault::server_error(error).times(3));
        for target in [V1, V3] {
            let reply = client.post(target, "", "m f=1 1");
            assert_eq!(reply.status, 500, "{error:?}");
            assert!(reply.text().starts_with(v3), "{error:?}: {}", reply.text());
        }
        let reply = client.post(V2, "", "m f=1 1");
        assert_eq!((reply.status, &reply.json()["code"]), (400, &json!("invalid")));
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(v2), "{error:?}: {message}");
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
fn lines_that_a_fault_refuses_are_not_named() {
    let server = Server::start_as(Product::InfluxDb3_6);
    server.inject(Fault::reject_lines_unnamed(|line| line.starts_with("old")));
    let reply = Client::new(&server).post(V3, "", "old f=1 1\nm f=1 1");
    let message = "partial write: points beyond retention policy dropped=1";
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": message })));
    assert_eq!(server.count("d"), 1);
}
