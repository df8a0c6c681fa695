//! TLS and HTTP proxies, in front of the scripted server.

mod proxy;
mod tls;
mod tls_server;

use sprockets_influxdb::{Client, Measurement};

fn add(client: &Client, lines: usize) {
    for n in 0..lines {
        client.add_measurement(&Measurement::new("db", "m").field("n", n)).unwrap();
    }
}
