//! Network faults between the client and a real influxd, and faults of that influxd. Every accepted
//! measurement is stored once when the fault is over, no flush waits for the end of the fault, and
//! the counters balance all the time.

mod connection;
mod full_buffer;
mod interface;
mod partitions;
mod proxy;
mod random;
mod replies;
mod requests;
mod server_outages;
mod setup;

use std::time::Duration;

/// The request timeout of these tests.
const TIMEOUT: Duration = Duration::from_millis(300);
/// The timeout of a flush that cannot succeed.
const SHORT: Duration = Duration::from_millis(20);
