//! The products that are not InfluxDB 3.

use super::*;
use crate::{Fault, Product};

#[test]
fn each_product_has_its_own_apis() {
    for (product, statuses) in [
        (Product::Strict, [204, 204, 204, 405]),
        (Product::InfluxDb1_6, [204, 404, 404, 405]),
        (Product::InfluxDb2_7, [204, 204, 404, 405]),
        (Product::VictoriaMetrics, [204, 204, 400, 400]),
        (Product::InfluxDb3_6, [204, 204, 204, 404]),
        (Product::InfluxDb3_10, [204, 204, 204, 404]),
    ] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        let mut found = Vec::new();
        let targets = ["/write?db=d", "/api/v2/write?org=o&bucket=d", "/api/v3/write_lp?db=d"];
        for target in targets {
            found.push(client.post(target, "", "m f=1 1").status);
        }
        client.send("GET /write?db=d HTTP/1.1\r\n\r\n").unwrap();
        found.push(client.reply().unwrap().status);
        assert_eq!(found, statuses, "{product}");
    }
}

#[test]
fn each_product_is_told_by_its_headers() {
    for (product, write, ping, health) in [
        (Product::Strict, Some("1.8.10"), Some("1.8.10"), 200),
        (Product::InfluxDb1_6, Some("1.6.7~rc0"), Some("1.6.7~rc0"), 404),
        (Product::InfluxDb2_7, Some("v2.7.12"), Some("v2.7.12"), 200),
        (Product::VictoriaMetrics, Some("1.8.0"), None, 200),
        (Product::InfluxDb3_6, None, Some("3.6.0"), 200),
        (Product::InfluxDb3_10, None, Some("3.10.1"), 200),
    ] {
        let server = Server::start_as(product);
        let mut client = Client::new(&server);
        let reply = client.post("/write?db=d", "", "m f=1 1");
        assert_eq!(reply.header("x-influxdb-version").as_deref(), write, "{product}");
        client.send("GET /ping HTTP/1.1\r\n\r\n").unwrap();
        let reply = client.reply().unwrap();
        assert_eq!(reply.header("x-influxdb-version").as_deref(), ping, "{product}");
        client.send("GET /health HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(client.reply().unwrap().status, health, "{product}");
    }
}

#[test]
fn victoriametrics_stores_what_it_can_read_and_answers_204() {
    let server = Server::start_as(Product::VictoriaMetrics);
    let mut client = Client::new(&server);
    for target in ["/write?db=d", "/influx/write?db=d", "/influx/api/v2/write?org=o&bucket=d"] {
        assert_eq!(client.post(target, "", "m f=1 1\nbad\nm f=1i 2").status, 204, "{target}");
    }
    assert_eq!(server.count("d"), 2);
    server.inject(Fault::error(503, "overloaded"));
    let reply = client.post("/write?db=d&p=secret", "", "m f=1 1");
    let expected = "remoteAddr: \"127.0.0.1\"; requestURI: /write?db=d&p=secret; overloaded\n";
    assert_eq!((reply.status, reply.text().as_str()), (503, expected));
}

#[test]
fn a_server_can_change_its_product() {
    let server = Server::start();
    let mut client = Client::new(&server);
    assert_eq!(
        client.post("/write?db=d", "", "bad").json()["error"],
        "unable to parse 'bad': missing fields"
    );
    server.play(Product::InfluxDb3_6);
    assert_eq!(client.post("/write?db=d", "", "bad").json()["data"]["line_number"], 1);
    assert_eq!(server.connections(), 1);
}

#[test]
fn products_have_names() {
    for product in Product::ALL {
        assert_eq!(product.to_string().parse(), Ok(*product));
    }
    let error = "influxdb-9".parse::<Product>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown name \"influxdb-9\": expected one of strict, influxdb-1.6, influxdb-2.7, \
         victoriametrics, influxdb-3.6, influxdb-3.10"
    );
}
