//! A request that does not get there.

use super::proxy::Fault;
use super::scene::Scene;
use super::{SHORT, TIMEOUT};

#[test]
fn a_reset_anywhere_in_a_request_costs_no_point() {
    let Some(scene) = Scene::start(|config| config) else { return };
    for after in [0, 1, 50] {
        scene.suffers(Fault::ResetRequest(after), "closed the connection before it replied");
    }
    // The client makes batches smaller, until they get there whole.
    for after in [300, 1_000, 4_000] {
        scene.proxy.play(Fault::ResetRequest(after));
        scene.add(100);
        scene.client.flush(SHORT);
        scene.recovers();
    }
}

#[test]
fn a_server_that_reads_no_further_costs_no_point() {
    // More than the sockets on the way take of what nobody reads.
    let large = |config: sprockets_influxdb::Config| {
        config.max_batch_bytes(32 << 20).unwrap().gzip(false).max_clients(1).unwrap()
    };
    let Some(scene) = Scene::start(large) else { return };
    for after in [0, 200, 100_000] {
        scene.proxy.play(Fault::Stall(after));
        scene.load().add_long(4_000, 4_000);
        scene.flush_in_vain();
        scene.await_failure(&format!("within {TIMEOUT:?}"));
        // So large a body may need longer, but none of it is to go where nobody reads.
        scene.proxy.lift();
        scene.client.reconfigure(|config| config.timeout(super::LONG)).unwrap();
        scene.recovers();
        scene.client.reconfigure(|config| config.timeout(TIMEOUT)).unwrap();
    }
}
