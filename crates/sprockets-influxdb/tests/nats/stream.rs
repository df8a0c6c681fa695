//! A stream of JetStream, as tests look at it.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use serde_json::{Value, json};
use sprockets_influxdb::Config;
use sprockets_influxdb::internal::nats::{ApiError, Cluster, code, decoded, request};
use test_support::LONG;
use tokio::runtime::Runtime;

pub(crate) struct Stream {
    runtime: Runtime,
    client: Client,
    name: String,
}

/// A message that is stored.
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    /// Bytes of the headers.
    pub(crate) head: usize,
    pub(crate) payload: Vec<u8>,
}

impl Stream {
    /// Creates a stream with the subjects `influxdb.*`.
    pub(crate) fn create(url: &str, name: &str, replicas: u64) -> Self {
        Self::create_with(url, name, json!({ "num_replicas": replicas }))
    }

    /// The same with other properties.
    pub(crate) fn create_with(url: &str, name: &str, properties: Value) -> Self {
        Self::make(&Config::new().url(url), name, properties)
    }

    /// The same with another configuration of the connection.
    pub(crate) fn create_by(config: &Config, name: &str) -> Self {
        Self::make(config, name, Value::Null)
    }

    fn make(config: &Config, name: &str, properties: Value) -> Self {
        let stream = Self::open_by(config, name);
        let mut body = json!({ "name": name, "subjects": ["influxdb.*"], "storage": "file" });
        for (name, value) in properties.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        stream.api(&format!("STREAM.CREATE.{name}"), &body);
        stream
    }

    /// A stream that may not exist.
    pub(crate) fn open(url: &str, name: &str) -> Self {
        Self::open_by(&Config::new().url(url), name)
    }

    fn open_by(config: &Config, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let cluster = Cluster::new(config).expect("a URL of NATS");
        let client = runtime.block_on(cluster.connect("test")).expect("a connection");
        Self { runtime, client, name: name.to_owned() }
    }

    /// Makes a request until it succeeds: a new cluster may have no leader yet.
    pub(crate) fn api(&self, verb: &str, body: &Value) -> Value {
        let deadline = Instant::now() + LONG;
        loop {
            let reply =
                self.runtime.block_on(request(&self.client, verb, body, Duration::from_secs(5)));
            match reply {
                Ok(reply) => return reply,
                Err(ApiError::Refused(error, text)) if !code::NOT_READY.contains(&error) => {
                    panic!("{verb}: {text}")
                }
                Err(error) => assert!(Instant::now() < deadline, "{verb}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn info(&self) -> Value {
        self.api(&format!("STREAM.INFO.{}", self.name), &Value::Null)
    }

    /// The number of messages.
    pub(crate) fn len(&self) -> u64 {
        self.info()["state"]["messages"].as_u64().expect("a number")
    }

    /// The name of the server that leads it.
    pub(crate) fn leader(&self) -> Option<String> {
        self.info()["cluster"]["leader"].as_str().map(str::to_owned)
    }

    /// Replies to every request on a subject, for as long as this lives.
    pub(crate) fn reply_to_all(&self, subject: &str, reply: &'static str) {
        let (client, subject) = (self.client.clone(), subject.to_owned());
        let subscribed = self.runtime.block_on(async {
            let subscribed = client.subscribe(subject).await.expect("a subscription");
            client.flush().await.expect("a connection");
            subscribed
        });
        let client = self.client.clone();
        self.runtime.spawn(async move {
            let mut requests = subscribed;
            while let Some(request) = requests.next().await {
                if let Some(inbox) = request.reply {
                    client.publish(inbox, reply.into()).await.expect("a connection");
                }
            }
        });
    }

    /// The payloads of what comes to a subject, in a queue group unless that is empty.
    pub(crate) fn subscribe(&self, subject: &str, group: &str) -> Receiver<Vec<u8>> {
        let (subject, group) = (subject.to_owned(), group.to_owned());
        let mut messages = self.runtime.block_on(async {
            let subscribed = match group.as_str() {
                "" => self.client.subscribe(subject).await,
                _ => self.client.queue_subscribe(subject, group).await,
            };
            self.client.flush().await.expect("a connection");
            subscribed.expect("a subscription")
        });
        let (sender, payloads) = channel();
        self.runtime.spawn(async move {
            while let Some(message) = messages.next().await {
                // The receiver is gone at the end of a test.
                let _ = sender.send(message.payload.to_vec());
            }
        });
        payloads
    }

    /// The messages, in order.
    pub(crate) fn messages(&self) -> Vec<Stored> {
        use base64::Engine;
        let decode = |text: &Value| {
            let text = text.as_str().unwrap_or_default();
            base64::prelude::BASE64_STANDARD.decode(text).expect("base64")
        };
        let message = |sequence: u64| {
            let verb = format!("STREAM.MSG.GET.{}", self.name);
            let message = &self.api(&verb, &json!({ "seq": sequence }))["message"];
            let mut headers = HeaderMap::new();
            let text = String::from_utf8(decode(&message["hdrs"])).expect("text");
            let head = text.len();
            for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
                headers.insert(name, value);
            }
            let subject = message["subject"].as_str().expect("a subject").to_owned();
            Stored { subject, headers, head, payload: decode(&message["data"]) }
        };
        (1..=self.len()).map(message).collect()
    }
}

impl Stored {
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.payload.clone()).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.as_str())
    }

    pub(crate) fn database(&self) -> String {
        decoded(self.header("Influxdb-Database")).expect("a name")
    }
}
