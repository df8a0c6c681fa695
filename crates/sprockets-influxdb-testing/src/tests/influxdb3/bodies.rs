//! Sizes, encodings, times and lengths.

use serde_json::json;

use super::*;
use crate::Product;

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
