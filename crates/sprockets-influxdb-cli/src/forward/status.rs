//! `forward --status`: what waits in the stream, by consumer.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Value, json};
use sprockets_influxdb::internal::parse_rfc3339;
use tokio::runtime::Runtime;

use super::jetstream::{JetStream, text};
use crate::args::Output;
use crate::exit::{self, Problem};

/// What one consumer has not acknowledged.
struct Consumer {
    name: String,
    /// Messages that wait to be taken.
    waiting: u64,
    /// Messages that forwarders hold.
    taken: u64,
    /// Of those, the ones that were delivered more than once.
    redelivered: u64,
    /// The age of the oldest message that is not acknowledged.
    oldest: Option<Duration>,
}

pub(super) fn run(
    runtime: &Runtime,
    jetstream: &JetStream,
    output: &Output,
) -> Result<u8, Problem> {
    let (state, consumers) = runtime.block_on(read(jetstream))?;
    let stream = &jetstream.stream;
    // The exit code does not depend on the output.
    let _ = output.print(
        || to_json(stream, &state, &consumers),
        |out| write(out, stream, &state, &consumers),
    );
    Ok(exit::OK)
}

async fn read(jetstream: &JetStream) -> Result<(Value, Vec<Consumer>), Problem> {
    let info = jetstream.stream_info().await.map_err(text)?;
    let info = info.ok_or_else(|| format!("there is no stream {}", jetstream.stream))?;
    let state = info["state"].clone();
    let mut consumers = Vec::new();
    for listed in jetstream.consumers().await.map_err(text)? {
        let number = |key: &str| listed[key].as_u64().unwrap_or_default();
        let (waiting, taken) = (number("num_pending"), number("num_ack_pending"));
        let floor = listed["ack_floor"]["stream_seq"].as_u64().unwrap_or_default();
        let first = state["first_seq"].as_u64().unwrap_or_default();
        let oldest =
            if waiting + taken == 0 { None } else { age(jetstream, (floor + 1).max(first)).await };
        consumers.push(Consumer {
            name: listed["name"].as_str().unwrap_or_default().to_owned(),
            waiting,
            taken,
            redelivered: number("num_redelivered"),
            oldest,
        });
    }
    Ok((state, consumers))
}

/// The age of the first message from this number on. `None` if there is none, or it cannot be read.
async fn age(jetstream: &JetStream, sequence: u64) -> Option<Duration> {
    let verb = format!("STREAM.MSG.GET.{}", jetstream.stream);
    let body = json!({ "seq": sequence, "next_by_subj": ">" });
    let reply = jetstream.request(&verb, &body).await.ok()?;
    let stored = parse_rfc3339(reply["message"]["time"].as_str()?)?;
    SystemTime::now().duration_since(stored).ok()
}

fn write(
    out: &mut dyn Write,
    stream: &str,
    state: &Value,
    consumers: &[Consumer],
) -> io::Result<()> {
    let number = |key: &str| state[key].as_u64().unwrap_or_default();
    let (messages, bytes) = (HumanCount(number("messages")), HumanBytes(number("bytes")));
    writeln!(out, "stream {stream}: {messages} messages, {bytes}")?;
    if consumers.is_empty() {
        writeln!(out, "  no consumer: create one with --create")?;
    }
    for Consumer { name, waiting, taken, redelivered, oldest } in consumers {
        let oldest = oldest.map_or(String::new(), |age| format!(", oldest {}", HumanDuration(age)));
        writeln!(
            out,
            "  consumer {name}: {} waiting, {} taken, {} delivered again{oldest}",
            HumanCount(*waiting),
            HumanCount(*taken),
            HumanCount(*redelivered),
        )?;
    }
    Ok(())
}

fn to_json(stream: &str, state: &Value, consumers: &[Consumer]) -> Value {
    let consumers = consumers.iter().map(|consumer| {
        json!({
            "name": consumer.name,
            "waiting": consumer.waiting,
            "taken": consumer.taken,
            "redelivered": consumer.redelivered,
            "oldest_seconds": consumer.oldest.map(|age| age.as_secs_f64()),
        })
    });
    json!({
        "stream": stream,
        "messages": state["messages"],
        "bytes": state["bytes"],
        "consumers": consumers.collect::<Vec<_>>(),
    })
}
