//! What the servers of a cluster have of a replicated stream.

use serde_json::json;
use test_support::nats::NatsServers;
use test_support::{LONG, wait_until};

use super::stream::Stream;
use super::{client, measurement};

/// As another process sends what it recovers from a spool.
#[test]
fn replicas_stay_equal_when_a_forwarded_batch_is_sent_again_after_a_restart() {
    let Some(mut servers) = NatsServers::start(3) else { return };
    let properties = json!({ "num_replicas": 3, "retention": "workqueue" });
    let stream = Stream::create_with(&servers.url(), "INFLUXDB", properties);
    let consumer = json!({ "durable_name": "forward", "ack_policy": "explicit" });
    let body = json!({ "stream_name": "INFLUXDB", "config": consumer });
    stream.api("CONSUMER.DURABLE.CREATE.INFLUXDB.forward", &body);
    let url = servers.url();
    let publish = |number| {
        let client = client(&url);
        let measurement = measurement("example", number).timestamp(1_700_000_000_000_000_000);
        client.add_measurement(&measurement).unwrap();
        assert!(client.flush(LONG).is_complete(), "{:?}", client.stats());
    };
    publish(1);
    stream.acknowledge_next("forward");
    wait_until(|| (0..3).all(|index| servers.stored(index, "INFLUXDB")["messages"] == 0));
    let leader = stream.leader().and_then(|name| servers.index(&name)).expect("a leader");
    let follower = (leader + 1) % 3;
    servers.crash(follower);
    servers.restart(follower);
    servers.await_jetstream();
    publish(1);
    // Its message has another size.
    publish(1_000_000);
    let state = |index| {
        let state = servers.stored(index, "INFLUXDB");
        ["messages", "bytes", "last_seq"].map(|key| state[key].as_u64())
    };
    let expected = state(leader);
    wait_until(|| (0..3).all(|index| state(index) == expected));
}
