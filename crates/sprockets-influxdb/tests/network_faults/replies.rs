//! The server stores everything, but its reply does not arrive, or something else does.

use std::time::Duration;

use sprockets_influxdb::Config;

use super::TIMEOUT;
use super::proxy::Fault;
use super::setup::Setup;

const BROKEN: &str = "closed the connection before it replied";

/// Injects a fault into every reply. The server has stored the request before the client knows.
fn fail_each_reply(setup: &Setup, fault: Fault, says: &str) {
    setup.warm_up();
    let stored = setup.stored().len();
    setup.proxy.inject(fault);
    setup.add(100);
    setup.flush_without_success();
    setup.wait_for_failure(says);
    assert!(setup.client.stats().pending >= 100);
    assert_eq!(setup.stored().len(), stored + 100);
    setup.recover();
}

#[test]
fn a_reset_instead_of_a_reply_neither_loses_nor_duplicates_points() {
    let Some(setup) = Setup::start(|config| config) else { return };
    fail_each_reply(&setup, Fault::ResetReply, BROKEN);
    fail_each_reply(&setup, Fault::ResetReply, BROKEN);
}

#[test]
fn a_truncated_reply_neither_loses_nor_duplicates_points() {
    let Some(setup) = Setup::start(|config| config) else { return };
    for after in [0, 1, 8, 12, 15, 25, 60, 120, 180] {
        fail_each_reply(&setup, Fault::CutReply(after), BROKEN);
    }
}

#[test]
fn a_slow_reply_is_awaited_until_the_request_timeout() {
    let Some(setup) = Setup::start(|config| config) else { return };
    fail_each_reply(&setup, Fault::DripReply(TIMEOUT / 10), "no reply from");
    setup.proxy.inject(Fault::DripReply(Duration::from_micros(100)));
    setup.add(100);
    setup.flush_until(|stats| stats.pending == 0);
    setup.recover();
}

#[test]
fn bytes_that_are_not_http_neither_lose_nor_duplicate_points() {
    let Some(setup) = Setup::start(|config| config) else { return };
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"HTTP/1.1 2\r\n\r\n",
    ] {
        fail_each_reply(&setup, Fault::Garble(garbage), "does not speak HTTP");
    }
    // HTTP except for one byte. Two such replies do not yet make the client suspect a line.
    let damaged = Fault::Garble(b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 1.\0\r\n\r\n");
    setup.proxy.refuse();
    setup.proxy.clear();
    setup.proxy.inject_next([damaged.clone(), damaged]);
    setup.add(100);
    let stats = setup.flush_until(|stats| stats.pending == 0);
    assert!(stats.last_error.is_some_and(|error| error.contains("cannot be read")));
    setup.recover();
}

#[test]
fn damaged_replies_reject_nothing() {
    let Some(setup) = Setup::start(|config| config) else { return };
    setup.proxy.inject(Fault::Garble(b"HTTP/1.1 204 No Content\r\nContent-Type: a\0b\r\n\r\n"));
    setup.add(100);
    // More requests than a search for the line that could have caused it.
    let stats = setup.flush_until(|stats| {
        assert!(stats.pending > 0, "{stats:?}");
        stats.batches >= 300
    });
    assert_eq!(stats.rejected, 0);
    setup.recover();
}

#[test]
fn a_network_that_loses_every_second_request_rejects_nothing() {
    let each = |config: Config| {
        let config = config.trigger_size(1).max_batch_size(1);
        config.max_clients(4)
    };
    let Some(setup) = Setup::start(each) else { return };
    let mut random = fastrand::Rng::with_seed(7);
    let faults = std::iter::repeat_with(|| match random.bool() {
        true => Fault::ResetRequest(0),
        false => Fault::CutReply(100_000),
    });
    setup.proxy.inject_next(faults.take(50_000));
    setup.add(200);
    let stats = setup.flush_until(|stats| stats.pending == 0);
    assert_eq!(stats.rejected, 0);
    setup.recover();
}

#[test]
fn a_repeated_reply_does_not_answer_the_next_request() {
    let Some(setup) = Setup::start(|config| config.max_clients(1)) else { return };
    for _ in 0..5 {
        setup.proxy.inject(Fault::RepeatReply);
        setup.warm_up();
        // Nothing arrives: a success would be the reply to another request.
        setup.fail_and_recover(Fault::Partition, "no reply from");
    }
}
