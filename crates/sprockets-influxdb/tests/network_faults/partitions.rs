//! Data that does not arrive, or arrives too late.

use test_support::LONG;

use super::proxy::Fault;
use super::setup::Setup;
use super::{SHORT, TIMEOUT};

const LATE: &str = "no reply from";

#[test]
fn a_partition_loses_no_point() {
    let Some(setup) = Setup::start(|config| config) else { return };
    setup.warm_up();
    // On open connections, and on new ones.
    setup.fail_and_recover(Fault::Partition, LATE);
    setup.fail_and_recover(Fault::Partition, LATE);
}

#[test]
fn a_delayed_request_that_arrives_after_its_retry_stores_no_point_twice() {
    let Some(setup) = Setup::start(|config| config.max_clients(1)) else { return };
    setup.warm_up();
    let before = setup.proxy.counts().requests;
    setup.proxy.inject(Fault::Partition);
    setup.add(100);
    for _ in 0..3 {
        setup.wait_for_failure(LATE);
    }
    setup.recover();
    // Three requests that timed out, and the last one.
    setup.proxy.wait_for(|counts| counts.requests >= before + 4);
    setup.warm_up();
    setup.recover();
}

#[test]
fn flush_returns_at_its_deadline_while_a_request_is_in_progress() {
    let patient = |config: sprockets_influxdb::Config| config.timeout(LONG);
    let Some(setup) = Setup::start(patient) else { return };
    setup.warm_up();
    setup.proxy.inject(Fault::Partition);
    setup.add(100);
    setup.flush_without_success();
    let report = setup.client.shutdown(SHORT);
    assert_eq!(report.pending, 100);
    // The same request continues, and is the only one.
    let stats = setup.recover();
    assert_eq!((stats.batches, stats.retries), (2, 0), "{stats:?}");
}

#[test]
fn a_closed_port_loses_no_point() {
    let Some(setup) = Setup::start(|config| config) else { return };
    setup.warm_up();
    for _ in 0..3 {
        setup.proxy.refuse();
        setup.add(100);
        setup.wait_for_failure("connection refused");
        setup.flush_without_success();
        setup.recover();
    }
}

#[test]
fn a_slow_network_loses_no_point() {
    let Some(setup) = Setup::start(|config| config) else { return };
    setup.proxy.inject(Fault::Delay(TIMEOUT / 20));
    setup.add(1_000);
    let stats = setup.flush_until(|stats| stats.pending == 0);
    assert_eq!(stats.delivered, 1_000, "{stats:?}");
    setup.recover();
    // Each request arrives, but each reply is too late.
    setup.fail_and_recover(Fault::Delay(TIMEOUT * 2), LATE);
}

#[test]
fn a_connection_that_loses_everything_is_replaced() {
    let Some(setup) = Setup::start(|config| config.max_clients(1)) else { return };
    // Before the first byte, in the head, in the body, and in a later request.
    for after in [0, 1, 100, 1_000, 20_000] {
        let connections = setup.proxy.counts().connections;
        setup.proxy.refuse();
        setup.proxy.clear();
        setup.proxy.inject_next([Fault::Forget(after)]);
        // The first request opens the connection, which fails in that request or in the second.
        setup.add(300);
        setup.flush_until(|stats| stats.pending == 0);
        setup.add(300);
        let stats = setup.flush_until(|stats| stats.pending == 0);
        assert!(stats.last_error.is_some_and(|error| error.contains(LATE)), "{after}");
        setup.proxy.wait_for(|counts| counts.connections > connections + 1);
        setup.recover();
    }
}

#[test]
fn many_connections_that_lose_everything_are_replaced() {
    let many = |config: sprockets_influxdb::Config| config.max_batch_size(20);
    let Some(setup) = Setup::start(many) else { return };
    setup.proxy.inject_next((0..20).map(|n| Fault::Forget(n * 200)));
    setup.add(2_000);
    setup.flush_until(|stats| stats.pending == 0);
    assert!(setup.proxy.counts().connections > 10, "{:?}", setup.proxy.counts());
    setup.recover();
}
