//! The stream and the consumer, by requests to the API of JetStream.

use std::time::Duration;

use async_nats::Client;
use serde_json::{Value, json};
use sprockets_influxdb::internal::nats::{ApiError, Cluster, code, request};

use crate::exit::Problem;

/// For one request.
const API_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct JetStream {
    pub(super) cluster: Cluster,
    pub(super) client: Client,
    pub(super) stream: String,
    pub(super) durable: String,
}

impl JetStream {
    pub(super) fn new(cluster: Cluster, client: Client, stream: String, durable: String) -> Self {
        Self { cluster, client, stream, durable }
    }

    pub(super) async fn request(&self, verb: &str, body: &Value) -> Result<Value, ApiError> {
        let reply = request(&self.client, verb, body, API_TIMEOUT).await;
        match (reply, self.cluster.refusal()) {
            (Err(ApiError::TimedOut), Some(refusal)) => Err(ApiError::Other(refusal)),
            (reply, _) => reply,
        }
    }

    /// `None` if there is no such stream.
    pub(super) async fn stream_info(&self) -> Result<Option<Value>, ApiError> {
        let verb = format!("STREAM.INFO.{}", self.stream);
        existing(self.request(&verb, &Value::Null).await)
    }

    /// `None` if there is no such consumer.
    pub(super) async fn consumer_info(&self) -> Result<Option<Value>, ApiError> {
        let verb = format!("CONSUMER.INFO.{}.{}", self.stream, self.durable);
        existing(self.request(&verb, &Value::Null).await)
    }

    /// All consumers of the stream.
    pub(super) async fn consumers(&self) -> Result<Vec<Value>, ApiError> {
        let verb = format!("CONSUMER.LIST.{}", self.stream);
        let mut consumers = Vec::new();
        loop {
            let page = self.request(&verb, &json!({ "offset": consumers.len() })).await?;
            let listed = page["consumers"].as_array().cloned().unwrap_or_default();
            let total = page["total"].as_u64().unwrap_or_default();
            let is_last = listed.is_empty() || (consumers.len() + listed.len()) as u64 >= total;
            consumers.extend(listed);
            if is_last {
                return Ok(consumers);
            }
        }
    }

    /// Returns how long a message may wait for its acknowledgement. Fails unless the stream and a
    /// pull consumer with explicit acknowledgements exist.
    pub(super) async fn require(&self) -> Result<Duration, Problem> {
        let Self { stream, durable, .. } = self;
        if self.stream_info().await.map_err(text)?.is_none() {
            return Err(format!("there is no stream {stream}: create it with --create").into());
        }
        let consumer = self.consumer_info().await.map_err(text)?.ok_or_else(|| {
            format!("stream {stream} has no consumer {durable}: create it with --create")
        })?;
        let config = &consumer["config"];
        if config["deliver_subject"].is_string() || config["ack_policy"] != "explicit" {
            return Err(format!(
                "consumer {durable} cannot be used: expected a pull consumer with ack_policy \
                 explicit"
            )
            .into());
        }
        let ack_wait = config["ack_wait"].as_u64().filter(|wait| *wait > 0);
        Ok(ack_wait.map_or(DEFAULT_ACK_WAIT, Duration::from_nanos))
    }
}

/// What servers take if a consumer does not say.
const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(30);

pub(super) fn text(error: ApiError) -> Problem {
    error.to_string().into()
}

fn existing(reply: Result<Value, ApiError>) -> Result<Option<Value>, ApiError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(ApiError::Refused(code::NO_STREAM | code::NO_CONSUMER, _)) => Ok(None),
        Err(error) => Err(error),
    }
}
