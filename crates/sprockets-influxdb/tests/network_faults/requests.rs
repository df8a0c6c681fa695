//! Requests that do not arrive.

use test_support::LONG;

use super::proxy::Fault;
use super::setup::Setup;
use super::{SHORT, TIMEOUT};

#[test]
fn a_reset_in_a_request_loses_no_point() {
    let Some(setup) = Setup::start(|config| config) else { return };
    for after in [0, 1, 50] {
        setup.fail_and_recover(
            Fault::ResetRequest(after),
            "closed the connection before it replied",
        );
    }
    // The client makes batches smaller, until they get there whole.
    for after in [300, 1_000, 4_000] {
        setup.proxy.inject(Fault::ResetRequest(after));
        setup.add(100);
        setup.client.flush(SHORT);
        setup.recover();
    }
}

#[test]
fn a_server_that_stops_reading_loses_no_point() {
    // More than the sockets buffer while nobody reads.
    let large = |config: sprockets_influxdb::Config| {
        config.max_batch_bytes(32 << 20).gzip(false).max_clients(1)
    };
    let Some(setup) = Setup::start(large) else { return };
    for after in [0, 200, 100_000] {
        setup.proxy.inject(Fault::Stall(after));
        setup.load().add_long(4_000, 4_000);
        setup.flush_without_success();
        // Within a time that grows from one failure to the next.
        setup.wait_for_failure("no reply from");
        // A body of this size may need longer than the timeout.
        setup.proxy.clear();
        setup.client.reconfigure(|config| config.timeout(LONG)).unwrap();
        setup.recover();
        setup.client.reconfigure(|config| config.timeout(TIMEOUT)).unwrap();
    }
}
