//! Takes messages from a pull consumer, so many as there is room for.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use super::jetstream::JetStream;

/// Messages of one request.
const BATCH: usize = 64;

/// How long the server keeps a request that it has no messages for. The end of the command takes as
/// long.
const EXPIRES: Duration = Duration::from_secs(1);

/// How long a request may go on after it should have expired. A connection may have been lost.
const GRACE: Duration = Duration::from_secs(2);

/// Pause after a request that failed.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Pull {
    client: Client,
    messages: Subscriber,
    subject: String,
    inbox: String,
    /// Messages that the server may still send for the last request.
    outstanding: usize,
    /// When the last request is over whatever the server does.
    until: Instant,
    /// No request before this.
    paused_until: Instant,
}

/// What came of waiting for a message.
pub(super) enum Pulled {
    Message(Message),
    /// There was none for a time. Look whether there is more to do.
    Nothing,
    /// The consumer is gone, or has no leader now.
    NoConsumer,
    /// The connection was closed for good.
    Closed,
}

impl Pull {
    pub(super) async fn new(jetstream: &JetStream) -> Result<Self, String> {
        let client = jetstream.client.clone();
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let JetStream { stream, durable, .. } = jetstream;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}");
        let now = Instant::now();
        let (until, paused_until) = (now, now);
        Ok(Self { client, messages, subject, inbox, outstanding: 0, until, paused_until })
    }

    /// The next message, from a new request of at most `room` bytes if the last one is over. Safe
    /// to cancel.
    pub(super) async fn next(&mut self, room: usize) -> Pulled {
        if self.outstanding == 0 || Instant::now() >= self.until {
            tokio::time::sleep_until(self.paused_until).await;
            self.request(room).await;
        }
        self.receive().await.unwrap_or(Pulled::Nothing)
    }

    /// The next message of the last request. `None` if that should have been over.
    async fn receive(&mut self) -> Option<Pulled> {
        let message = match tokio::time::timeout_at(self.until, self.messages.next()).await {
            Ok(Some(message)) => message,
            Ok(None) => {
                self.outstanding = 0;
                return Some(Pulled::Closed);
            }
            Err(_) => return None,
        };
        let Some(status) = message.status else {
            self.outstanding = self.outstanding.saturating_sub(1);
            return Some(Pulled::Message(message));
        };
        Some(match status.as_u16() {
            // A heartbeat.
            100 => Pulled::Nothing,
            // It expired.
            404 | 408 => {
                self.outstanding = 0;
                Pulled::Nothing
            }
            _ => {
                self.outstanding = 0;
                let text = message.description.as_deref().unwrap_or_default();
                let is_gone = status == StatusCode::NO_RESPONDERS || text.contains("Deleted");
                self.paused_until = Instant::now() + PAUSE;
                if is_gone { Pulled::NoConsumer } else { Pulled::Nothing }
            }
        })
    }

    /// Waits until the last request is over. Returns the messages that arrived meanwhile.
    ///
    /// What is given back before that would come to this request again. If nobody listens to it
    /// any more, nats-server 2.9 forgets the message until the consumer's ack_wait is over, and
    /// delivers another one twice.
    pub(super) async fn stop(mut self) -> Vec<Message> {
        let mut arrived = Vec::new();
        while self.outstanding > 0 {
            match self.receive().await {
                Some(Pulled::Message(message)) => arrived.push(message),
                Some(_) => {}
                None => break,
            }
        }
        arrived
    }

    /// Without a connection, the request is made again once it should have expired.
    async fn request(&mut self, room: usize) {
        // A message that is larger than all the room there ever is must come, too.
        let max_bytes = room.max(self.client.server_info().max_payload + (64 << 10));
        let expires = u64::try_from(EXPIRES.as_nanos()).unwrap_or(u64::MAX);
        let body = json!({ "batch": BATCH, "expires": expires, "max_bytes": max_bytes });
        let (subject, inbox) = (self.subject.clone(), self.inbox.clone());
        self.outstanding = BATCH;
        self.until = Instant::now() + EXPIRES + GRACE;
        let _ = self.client.publish_with_reply(subject, inbox, body.to_string().into()).await;
    }
}
