//! The server has everything, but what it says does not arrive, or something else does.

use std::time::Duration;

use sprockets_influxdb::Config;

use super::TIMEOUT;
use super::proxy::Fault;
use super::scene::Scene;

const BROKEN: &str = "closed the connection before it replied";

/// Plays that on every reply. The server has what it was sent before the client knows.
fn spoil(scene: &Scene, fault: Fault, says: &str) {
    scene.warm_up();
    let stored = scene.stored().len();
    scene.proxy.play(fault);
    scene.add(100);
    scene.flush_in_vain();
    scene.await_failure(says);
    assert!(scene.client.stats().pending >= 100);
    assert_eq!(scene.stored().len(), stored + 100);
    scene.recovers();
}

#[test]
fn a_reset_in_place_of_a_reply_costs_no_point_and_doubles_none() {
    let Some(scene) = Scene::start(|config| config) else { return };
    spoil(&scene, Fault::ResetReply, BROKEN);
    spoil(&scene, Fault::ResetReply, BROKEN);
}

#[test]
fn a_reply_that_stops_anywhere_costs_no_point_and_doubles_none() {
    let Some(scene) = Scene::start(|config| config) else { return };
    for after in [0, 1, 8, 12, 15, 25, 60, 120, 180] {
        spoil(&scene, Fault::CutReply(after), BROKEN);
    }
}

#[test]
fn a_reply_that_drips_is_waited_for_as_long_as_a_request_may_take() {
    let Some(scene) = Scene::start(|config| config) else { return };
    spoil(&scene, Fault::DripReply(TIMEOUT / 10), "no reply from");
    scene.proxy.play(Fault::DripReply(Duration::from_micros(100)));
    scene.add(100);
    scene.flush_until(|stats| stats.pending == 0);
    scene.recovers();
}

#[test]
fn what_is_no_reply_costs_no_point_and_doubles_none() {
    let Some(scene) = Scene::start(|config| config) else { return };
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"HTTP/1.1 2\r\n\r\n",
    ] {
        spoil(&scene, Fault::Garble(garbage), "does not speak HTTP");
    }
    // HTTP, but for a byte: twice is no sign yet that a line of the batch is in it.
    let damaged = Fault::Garble(b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 1.\0\r\n\r\n");
    scene.proxy.refuse();
    scene.proxy.lift();
    scene.proxy.play_next([damaged.clone(), damaged]);
    scene.add(100);
    let stats = scene.flush_until(|stats| stats.pending == 0);
    assert!(stats.last_error.is_some_and(|error| error.contains("cannot be read")));
    scene.recovers();
}

#[test]
fn replies_that_are_always_damaged_have_nothing_rejected() {
    let Some(scene) = Scene::start(|config| config) else { return };
    scene.proxy.play(Fault::Garble(b"HTTP/1.1 204 No Content\r\nContent-Type: a\0b\r\n\r\n"));
    scene.add(100);
    // More than it takes to search the batch for a line that may have done that.
    while scene.client.stats().batches < 300 {
        scene.flush_in_vain();
    }
    assert_eq!(scene.client.stats().rejected, 0);
    scene.recovers();
}

#[test]
fn a_line_that_loses_every_second_request_has_nothing_rejected() {
    let each = |config: Config| {
        let config = config.trigger_size(1).max_batch_size(1);
        config.max_clients(4)
    };
    let Some(scene) = Scene::start(each) else { return };
    let mut random = fastrand::Rng::with_seed(7);
    let faults = std::iter::repeat_with(|| match random.bool() {
        true => Fault::ResetRequest(0),
        false => Fault::CutReply(100_000),
    });
    scene.proxy.play_next(faults.take(50_000));
    scene.add(200);
    let stats = scene.flush_until(|stats| stats.pending == 0);
    assert_eq!(stats.rejected, 0);
    scene.recovers();
}

#[test]
fn a_reply_that_comes_twice_answers_no_second_request() {
    let Some(scene) = Scene::start(|config| config.max_clients(1)) else { return };
    for _ in 0..5 {
        scene.proxy.play(Fault::RepeatReply);
        scene.warm_up();
        // Nothing gets there: whatever says that it did answers another request.
        scene.suffers(Fault::Partition, "no reply from");
    }
}
