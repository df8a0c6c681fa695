//! Faults of the network between the client and a real influxd, and of that influxd: whatever was taken is there once
//! when the fault is over, no flush waits for the fault's end, and the books balance at every look.

#[path = "../common/apart.rs"]
mod apart;
mod bounds;
mod cuts;
mod link;
mod namespace;
mod outages;
#[path = "../influxd/process.rs"]
mod process;
mod proxy;
mod random;
mod replies;
mod requests;
mod scene;
#[path = "../influxd/server.rs"]
mod server;

use std::time::Duration;

/// Longer than anything here takes where nothing is wrong.
const LONG: Duration = Duration::from_secs(60);
/// What a request may take in these tests.
const TIMEOUT: Duration = Duration::from_millis(300);
/// What a flush is given while it cannot succeed.
const SHORT: Duration = Duration::from_millis(20);
