//! Many bad lines in a batch, over every API of the servers that are played.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use sprockets_influxdb::testing::{Product, Server};
use sprockets_influxdb::{Api, Client, Measurement};

use test_support::{LONG, balanced, random};

use super::table::with_api;

const LINES: u64 = 5_000;
const BAD: usize = 300;

#[test]
fn exactly_the_bad_lines_are_rejected_by_influxdb_3_on_every_api() {
    let mut random = random();
    for product in [Product::InfluxDb3_6, Product::InfluxDb3_10] {
        for api in [Api::V1, Api::V2, Api::V3] {
            reject_bad_lines(product, api, &mut random);
        }
    }
}

fn reject_bad_lines(product: Product, api: Api, random: &mut fastrand::Rng) {
    let name = format!("{product} over {api}");
    let server = Server::start_as(product);
    let rejected = Arc::new(Mutex::new(HashSet::new()));
    let log = rejected.clone();
    let config = with_api(api, &server).on_rejected(move |rejected| {
        log.lock().unwrap().insert(rejected.line().to_owned());
    });
    let client = Client::new(config.trigger_size(LINES as usize + 10)).unwrap();
    // The field is a float on the server; an integer conflicts.
    client.add_measurement(&Measurement::new("db", "m").field("f", 1.0).timestamp(1)).unwrap();
    assert!(client.flush(LONG).is_complete(), "{name}");

    let mut bad = HashSet::new();
    while bad.len() < BAD {
        bad.insert(random.u64(0..LINES));
    }
    for n in 0..LINES {
        let measurement = Measurement::new("db", "m").timestamp(n as i64 + 2);
        let measurement =
            if bad.contains(&n) { measurement.field("f", 1) } else { measurement.field("f", 2.0) };
        client.add_measurement(&measurement).unwrap();
    }
    assert!(client.flush(LONG).is_complete(), "{name}");
    let stats = balanced(&client);
    assert_eq!(stats.rejected, BAD as u64, "{name}: {stats:?}");
    assert_eq!(stats.delivered, LINES + 1 - BAD as u64, "{name}: {stats:?}");
    assert_eq!(server.count("db") as u64, LINES + 1 - BAD as u64, "{name}");
    let expected: HashSet<String> = bad.iter().map(|n| format!("m f=1i {}", n + 2)).collect();
    assert_eq!(*rejected.lock().unwrap(), expected, "{name}");
    assert!(stats.batches < 10, "{name}: {stats:?}");
}
