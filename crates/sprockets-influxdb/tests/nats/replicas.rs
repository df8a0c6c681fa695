//! What the servers of a cluster have of a work queue when a batch comes again that is forwarded.

use serde_json::json;
use test_support::nats::NatsServers;
use test_support::{LONG, wait_until};

use super::stream::Stream;
use super::{client, measurement};

struct WorkQueue {
    servers: NatsServers,
    stream: Stream,
    /// The server that was started again before the batch came again.
    restarted: usize,
}

impl WorkQueue {
    /// Forwards a batch, and starts a server again that does not lead. Then the batch comes again,
    /// as another process sends what it recovers from a spool.
    fn with_a_repeat() -> Option<Self> {
        let servers = NatsServers::start(3)?;
        let properties = json!({ "num_replicas": 3, "retention": "workqueue" });
        let stream = Stream::create_with(&servers.url(), "INFLUXDB", properties);
        let consumer = json!({ "durable_name": "forward", "ack_policy": "explicit" });
        let body = json!({ "stream_name": "INFLUXDB", "config": consumer });
        stream.api("CONSUMER.DURABLE.CREATE.INFLUXDB.forward", &body);
        let mut queue = Self { servers, stream, restarted: 0 };
        queue.publish(1);
        let (place, _) = queue.stream.next("forward");
        queue.stream.acknowledge(place);
        wait_until(|| (0..3).all(|index| queue.state(index)[0] == Some(0)));
        let leader = queue.stream.leader().and_then(|name| queue.servers.index(&name));
        queue.restarted = (leader.expect("a leader") + 1) % 3;
        queue.servers.crash(queue.restarted);
        queue.servers.restart(queue.restarted);
        queue.servers.await_jetstream();
        queue.publish(1);
        // Its message has another size.
        queue.publish(1_000_000);
        Some(queue)
    }

    fn publish(&self, number: u64) {
        let client = client(&self.servers.url());
        let measurement = measurement("example", number).timestamp(1_700_000_000_000_000_000);
        client.add_measurement(&measurement).unwrap();
        assert!(client.flush(LONG).is_complete(), "{:?}", client.stats());
    }

    /// Messages, bytes and the last sequence, as one server has them.
    fn state(&self, index: usize) -> [Option<u64>; 3] {
        let state = self.servers.stored(index, "INFLUXDB");
        ["messages", "bytes", "last_seq"].map(|key| state[key].as_u64())
    }
}

#[test]
fn replicas_stay_equal_when_a_forwarded_batch_is_sent_again_after_a_restart() {
    let Some(queue) = WorkQueue::with_a_repeat() else { return };
    let leader = queue.stream.leader().and_then(|name| queue.servers.index(&name));
    let expected = queue.state(leader.expect("a leader"));
    wait_until(|| (0..3).all(|index| queue.state(index) == expected));
}

#[test]
fn a_message_is_delivered_when_the_leader_changes_after_a_repeat() {
    let Some(queue) = WorkQueue::with_a_repeat() else { return };
    let names = ["node0", "node1", "node2"];
    let restarted = names[queue.restarted];
    queue.stream.move_leader(None, &[restarted]);
    queue.stream.move_leader(Some("forward"), &[restarted]);
    let mut places = Vec::new();
    loop {
        let (place, lines) = queue.stream.next("forward");
        places.push(place);
        // Before it comes the repeat, unless the servers dropped that.
        if lines.contains("number=1000000i") {
            break;
        }
    }
    queue.publish(2);
    places.into_iter().for_each(|place| queue.stream.acknowledge(place));
    wait_until(|| queue.state(queue.restarted)[0] == Some(1));
    let others = names.into_iter().filter(|name| *name != restarted).collect::<Vec<_>>();
    queue.stream.move_leader(None, &others);
    queue.stream.move_leader(Some("forward"), &others);
    let (_, lines) = queue.stream.next("forward");
    assert!(lines.contains("number=2i"), "{lines}");
}
