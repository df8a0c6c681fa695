//! Nothing gets through, or too late.

use super::proxy::Fault;
use super::scene::Scene;
use super::{LONG, SHORT, TIMEOUT};

const LATE: &str = "no reply from";

#[test]
fn a_partition_costs_no_point() {
    let Some(scene) = Scene::start(|config| config) else { return };
    scene.warm_up();
    // On connections that are there, and on new ones.
    scene.suffers(Fault::Partition, LATE);
    scene.suffers(Fault::Partition, LATE);
}

#[test]
fn what_a_partition_held_up_is_there_once_though_it_comes_after_the_retry() {
    let Some(scene) = Scene::start(|config| config.max_clients(1)) else { return };
    scene.warm_up();
    let before = scene.proxy.seen().requests;
    scene.proxy.play(Fault::Partition);
    scene.add(100);
    for _ in 0..3 {
        scene.await_failure(LATE);
    }
    scene.recovers();
    // The three that were given up, and one that was not.
    scene.proxy.await_seen(|seen| seen.requests >= before + 4);
    scene.warm_up();
    scene.recovers();
}

#[test]
fn a_flush_does_not_wait_for_a_request_under_way() {
    let patient = |config: sprockets_influxdb::Config| config.timeout(LONG);
    let Some(scene) = Scene::start(patient) else { return };
    scene.warm_up();
    scene.proxy.play(Fault::Partition);
    scene.add(100);
    scene.flush_in_vain();
    let report = scene.client.shutdown(SHORT);
    assert_eq!(report.pending, 100);
    // The same request goes on, and is the only one.
    let stats = scene.recovers();
    assert_eq!((stats.batches, stats.retries), (2, 0), "{stats:?}");
}

#[test]
fn a_closed_port_costs_no_point() {
    let Some(scene) = Scene::start(|config| config) else { return };
    scene.warm_up();
    for _ in 0..3 {
        scene.proxy.refuse();
        scene.add(100);
        scene.await_failure("connection refused");
        scene.flush_in_vain();
        scene.recovers();
    }
}

#[test]
fn a_slow_network_costs_no_point() {
    let Some(scene) = Scene::start(|config| config) else { return };
    scene.proxy.play(Fault::Delay(TIMEOUT / 20));
    scene.add(1_000);
    let stats = scene.flush_until(|stats| stats.pending == 0);
    assert_eq!(stats.delivered, 1_000, "{stats:?}");
    scene.recovers();
    // Each request arrives, but each reply too late.
    scene.suffers(Fault::Delay(TIMEOUT * 2), LATE);
}

#[test]
fn a_connection_that_is_forgotten_is_replaced() {
    let Some(scene) = Scene::start(|config| config.max_clients(1)) else { return };
    // Before the first byte, in the head, in the body, and in a later request.
    for after in [0, 1, 100, 1_000, 20_000] {
        let connections = scene.proxy.seen().connections;
        scene.proxy.refuse();
        scene.proxy.lift();
        scene.proxy.play_next([Fault::Forget(after)]);
        // The connection is made by the first request, and is forgotten in it or in the second.
        scene.add(300);
        scene.flush_until(|stats| stats.pending == 0);
        scene.add(300);
        let stats = scene.flush_until(|stats| stats.pending == 0);
        assert!(stats.last_error.is_some_and(|error| error.contains(LATE)), "{after}");
        scene.proxy.await_seen(|seen| seen.connections > connections + 1);
        scene.recovers();
    }
}

#[test]
fn many_connections_forgotten_at_once_are_replaced() {
    let many = |config: sprockets_influxdb::Config| config.max_batch_size(20);
    let Some(scene) = Scene::start(many) else { return };
    scene.proxy.play_next((0..20).map(|n| Fault::Forget(n * 200)));
    scene.add(2_000);
    scene.flush_until(|stats| stats.pending == 0);
    assert!(scene.proxy.seen().connections > 10, "{:?}", scene.proxy.seen());
    scene.recovers();
}
