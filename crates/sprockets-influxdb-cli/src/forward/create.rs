//! `forward --create`: makes the stream and the consumer.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sprockets_influxdb::internal::nats::{ApiError, code};

use super::jetstream::{JetStream, text};
use crate::exit::Problem;

/// A batch that was sent again within this time is stored once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Messages that forwarders have taken and not acknowledged, at most.
const MAX_ACK_PENDING: u64 = 5_000;

/// Sizes of a stream in GiB, if none is given: the first that there is room for.
const DEFAULT_GIB: [u64; 2] = [10, 1];

/// Limits of a new stream.
#[derive(Args, Debug)]
pub(super) struct Limits {
    /// With --create: servers that store each message [default: 3 in a cluster, else 1]
    #[arg(long, value_name = "NUMBER", requires = "create")]
    replicas: Option<u64>,
    /// With --create: GiB of messages at most; publishers wait when the stream is full [default:
    /// 10, or 1 if the servers have less room]
    #[arg(long, value_name = "GIB", requires = "create")]
    max_gib: Option<u64>,
    /// With --create: days after which a message is dropped, forwarded or not
    #[arg(long, value_name = "DAYS", default_value = "7", requires = "create")]
    max_days: u64,
    /// With --create: remove messages once they are forwarded (workqueue), or only after --max-days
    /// (limits), so that several consumers can read all of them
    #[arg(long, value_enum, default_value = "workqueue", requires = "create")]
    retention: Retention,
    /// With --create: seconds after which a message goes to another forwarder, if the one that took
    /// it is gone
    #[arg(long, value_name = "SECONDS", default_value = "30", requires = "create",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    ack_wait: u64,
    /// With --create: forward only this database by the new consumer
    #[arg(long, value_name = "NAME", requires = "create")]
    only: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Retention {
    Workqueue,
    Limits,
}

/// Returns what was made, for a person.
pub(super) async fn run(jetstream: &JetStream, limits: &Limits) -> Result<Vec<String>, Problem> {
    let stream = create_stream(jetstream, limits).await?;
    let consumer = create_consumer(jetstream, limits).await?;
    Ok(vec![stream, consumer])
}

async fn create_stream(jetstream: &JetStream, limits: &Limits) -> Result<String, Problem> {
    let name = &jetstream.stream;
    if let Some(info) = when_ready(|| jetstream.stream_info()).await.map_err(text)? {
        return Ok(format!("stream {name} exists: {}", described(&info["config"])));
    }
    let is_cluster = jetstream.client.server_info().cluster.is_some();
    let replicas = limits.replicas.unwrap_or(if is_cluster { 3 } else { 1 });
    let retention = match limits.retention {
        Retention::Workqueue => "workqueue",
        Retention::Limits => "limits",
    };
    let mut config = json!({
        "name": name,
        "subjects": [jetstream.cluster.subjects()],
        "storage": "file",
        "retention": retention,
        "discard": "new",
        "num_replicas": replicas,
        "max_age": nanoseconds(Duration::from_secs(limits.max_days.saturating_mul(24 * 3600))),
        "duplicate_window": nanoseconds(DUPLICATE_WINDOW),
    });
    let verb = format!("STREAM.CREATE.{name}");
    let sizes = limits.max_gib.map_or(DEFAULT_GIB.to_vec(), |gib| vec![gib]);
    let mut sizes = sizes.into_iter().peekable();
    let info = loop {
        let Some(gib) = sizes.next() else { return Err("no size of the stream".into()) };
        config["max_bytes"] = json!(gib.saturating_mul(1 << 30));
        match when_ready(|| jetstream.request(&verb, &config)).await {
            Ok(info) => break info,
            Err(error) if !needs_room(&error) => return Err(text(error)),
            Err(_) if sizes.peek().is_some() => {}
            Err(error) => {
                let advice = "lower --max-gib or --replicas, or give JetStream more room";
                return Err(format!("{error}: {advice}").into());
            }
        }
    };
    Ok(format!("stream {name} created: {}", described(&info["config"])))
}

async fn create_consumer(jetstream: &JetStream, limits: &Limits) -> Result<String, Problem> {
    let JetStream { stream, durable, .. } = jetstream;
    if when_ready(|| jetstream.consumer_info()).await.map_err(text)?.is_some() {
        return Ok(format!("consumer {durable} exists"));
    }
    let mut config = json!({
        "durable_name": durable,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": nanoseconds(Duration::from_secs(limits.ack_wait)),
        "max_deliver": -1,
        "max_ack_pending": MAX_ACK_PENDING,
    });
    if let Some(database) = &limits.only {
        config["filter_subject"] = json!(jetstream.cluster.subject(database));
    }
    let verb = format!("CONSUMER.DURABLE.CREATE.{stream}.{durable}");
    let body = json!({ "stream_name": stream, "config": config });
    when_ready(|| jetstream.request(&verb, &body)).await.map_err(text)?;
    let of = limits.only.as_ref().map_or(String::new(), |name| format!(" of database {name:?}"));
    Ok(format!(
        "consumer {durable} created: messages{of} wait {} s for an acknowledgement, at \
                most {MAX_ACK_PENDING} at a time",
        limits.ack_wait
    ))
}

fn needs_room(error: &ApiError) -> bool {
    matches!(error, ApiError::Refused(code, _)
        if *code == code::NO_SUITABLE_SERVER || code::NO_ROOM.contains(code))
}

/// Makes a request, and again while the cluster elects a leader.
async fn when_ready<T, F>(make: impl Fn() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    const ATTEMPTS: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(500);
    for _ in 0..ATTEMPTS {
        match make().await {
            Err(ApiError::Refused(code, _)) if code::NOT_READY.contains(&code) => {}
            made => return made,
        }
        tokio::time::sleep(PAUSE).await;
    }
    make().await
}

/// The limits of a stream, for a person.
fn described(config: &Value) -> String {
    let number = |key: &str| config[key].as_i64().unwrap_or_default();
    let text = |key: &str| config[key].as_str().unwrap_or("-").to_owned();
    let subjects = config["subjects"].as_array().into_iter().flatten();
    let subjects: Vec<_> = subjects.filter_map(Value::as_str).collect();
    let bytes = match number("max_bytes") {
        bytes @ 1.. => format!("at most {} MiB", bytes >> 20),
        _ => "no limit of bytes".to_owned(),
    };
    let age = match number("max_age") {
        age @ 1.. => format!("{} hours", age / 3_600_000_000_000),
        _ => "no limit of age".to_owned(),
    };
    format!(
        "subjects {}, {} of each message, retention {}, {bytes}, {age}, discard {}",
        subjects.join(" "),
        match number("num_replicas") {
            1 => "1 copy".to_owned(),
            replicas => format!("{replicas} copies"),
        },
        text("retention"),
        text("discard"),
    )
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
