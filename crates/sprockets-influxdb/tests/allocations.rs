//! Adding a measurement allocates nothing once warm.

use std::time::Duration;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{Client, Config, Measurement, Overflow};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn recording_and_adding_allocates_nothing_once_warm() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).unwrap().overflow(Overflow::Block);
    let client = Client::new(config.block_timeout(LONG)).unwrap();
    let mut measurement = Measurement::new("db", "m");
    let mut record = |count: usize| {
        for n in 0..count {
            measurement.restart("db", "requests");
            measurement.set_tag("endpoint", "/api/v1/users").set_tag("method", "GET");
            measurement.set_field("bytes", n).set_field("duration", 0.25);
            client.add_measurement(&measurement).unwrap();
        }
    };
    // Through several triggers, so that everything that is used again has been used.
    record(30_000);
    assert!(client.flush(LONG).is_complete());
    let counted = allocation_counter::measure(|| record(4_000));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(client.shutdown(LONG).is_complete());
    assert_eq!(server.count("db"), 34_000);
}
