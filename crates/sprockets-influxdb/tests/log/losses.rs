//! The last line of a client counts what was lost in all, by reason.

use std::time::Duration;

use sprockets_influxdb::{Client, Config, Measurement};
use test_support::{NO_SERVER, wait_until};
use tracing::Level;

use super::log;

#[test]
fn a_dropped_client_says_what_was_lost_and_what_prevents_it() {
    let log = log();
    let config = Config::new().url(NO_SERVER).max_buffer_size(17).shutdown_timeout(Duration::ZERO);
    let client = Client::new(config).unwrap();
    for n in 0..1_234 {
        client.add_measurement(&Measurement::new("db", "m").field("n", n)).unwrap();
    }
    wait_until(|| client.stats().last_error.is_some());
    drop(client);
    let order = log.entries_with("1,2").into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert!(order.len() == 2 && order[0].contains("were dropped (newest)"), "{order:?}");
    let lost = "1,234 measurements are lost: 1,217 dropped (newest), 17 not delivered when the \
                client ended. Against a full buffer, set INFLUXDB_OVERFLOW=block to wait for room, \
                or set INFLUXDB_SPOOL to keep them on disk. Against losses at the end, set \
                INFLUXDB_SPOOL to keep them on disk. The last error: no server at 127.0.0.1:1";
    let entries = log.entries_with("1,234 measurements");
    assert!(matches!(&*entries, [(Level::ERROR, text)] if text.starts_with(lost)), "{entries:?}");
}
