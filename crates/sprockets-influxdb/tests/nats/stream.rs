//! A stream of JetStream, as tests look at it.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Subject};
use futures_util::StreamExt;
use serde_json::{Value, json};
use sprockets_influxdb::Config;
use sprockets_influxdb::internal::nats::{ApiError, Cluster, code, decoded, request};
use test_support::{LONG, wait_until};
use tokio::runtime::Runtime;

/// What a cluster that has just started refuses.
const RETRIED: [u64; 3] = [code::NOT_READY[0], code::NOT_READY[1], code::NO_SUITABLE_SERVER];

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
                Err(ApiError::Refused(error, text)) if !RETRIED.contains(&error) => {
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

    /// Takes a message from a pull consumer. Returns where to acknowledge it, and its payload.
    pub(crate) fn next(&self, consumer: &str) -> (Subject, String) {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", self.name);
        let request = json!({ "batch": 1, "expires": 1_000_000_000 }).to_string();
        let deadline = Instant::now() + LONG;
        self.runtime.block_on(async {
            let inbox = self.client.new_inbox();
            let mut messages = self.client.subscribe(inbox.clone()).await.expect("a connection");
            loop {
                let (subject, inbox, request) = (subject.clone(), inbox.clone(), request.clone());
                let request = self.client.publish_with_reply(subject, inbox, request.into());
                request.await.expect("a connection");
                // A request that goes to a consumer without a leader has no reply.
                let reply = tokio::time::timeout(Duration::from_secs(2), messages.next()).await;
                let message = reply.ok().map(|message| message.expect("a subscription"));
                if let Some((payload, Some(place))) = message.map(|m| (m.payload, m.reply)) {
                    return (place, String::from_utf8(payload.to_vec()).expect("text"));
                }
                assert!(Instant::now() < deadline, "no message is delivered");
            }
        })
    }

    pub(crate) fn acknowledge(&self, place: Subject) {
        self.runtime.block_on(async {
            self.client.publish(place, "+ACK".into()).await.expect("a connection");
            self.client.flush().await.expect("a connection");
        });
    }

    /// Moves the leader of the stream, or of a consumer of it, to one of these servers.
    pub(crate) fn move_leader(&self, consumer: Option<&str>, servers: &[&str]) {
        let name = match consumer {
            Some(consumer) => format!("{}.{consumer}", self.name),
            None => self.name.clone(),
        };
        let kind = if consumer.is_some() { "CONSUMER" } else { "STREAM" };
        // It is refused while there is no leader.
        let api = |verb: &str| {
            let verb = format!("{kind}.{verb}.{name}");
            let timeout = Duration::from_secs(5);
            self.runtime.block_on(request(&self.client, &verb, &Value::Null, timeout))
        };
        wait_until(|| {
            let info = api("INFO").unwrap_or_default();
            let leader = info["cluster"]["leader"].as_str().unwrap_or_default();
            if !leader.is_empty() && !servers.contains(&leader) {
                let _ = api("LEADER.STEPDOWN");
            }
            servers.contains(&leader)
        });
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
