//! InfluxDB 3: what 3.6.0 answered when it was measured, and what 3.10.1 answers by its sources.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

pub(super) use super::*;
use crate::Product;

mod bodies;
mod catalog;
mod endpoints;
mod parameters;
mod replies;

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
