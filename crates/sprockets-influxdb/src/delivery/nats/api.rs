//! Requests to the API of JetStream, which are JSON.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Request};
use serde_json::Value;

/// Why a request to the API failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// There is no JetStream, or none that answers.
    NoResponders,
    /// There was no reply in time.
    TimedOut,
    /// JetStream refused it: its error code, and its text.
    Refused(u64, String),
    /// Something else.
    Other(String),
}

/// Codes of JetStream's errors.
pub mod code {
    /// The account or the server has no room for the stream, or for the message.
    pub const NO_ROOM: [u64; 4] = [10_002, 10_023, 10_028, 10_047];
    /// No server of the cluster suits the stream.
    pub const NO_SUITABLE_SERVER: u64 = 10_005;
    /// The cluster has no leader yet, or not enough servers.
    pub const NOT_READY: [u64; 2] = [10_008, 10_009];
    /// There is no such consumer.
    pub const NO_CONSUMER: u64 = 10_014;
    /// JetStream is not enabled for the account.
    pub const NOT_ENABLED_FOR_ACCOUNT: u64 = 10_039;
    /// The message is larger than the stream takes.
    pub const MESSAGE_TOO_LARGE: u64 = 10_054;
    /// There is no such stream.
    pub const NO_STREAM: u64 = 10_059;
    /// Another stream than the expected one stores the subject.
    pub const OTHER_STREAM: u64 = 10_060;
    /// JetStream is not enabled.
    pub const NOT_ENABLED: u64 = 10_076;
    /// The stream could not store the message: the text says why.
    pub const STORE_FAILED: u64 = 10_077;
    /// A message with the same id is not stored yet.
    pub const REPEAT_IN_PROCESS: u64 = 10_158;
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoResponders => f.write_str(
                "no JetStream answers: enable it in the servers' configuration, or start enough \
                 of them for a quorum",
            ),
            Self::TimedOut => f.write_str("JetStream did not reply in time"),
            Self::Refused(code, text) => write!(f, "{text} (error {code})"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Makes a request, such as `STREAM.INFO.name`, and returns the reply.
///
/// # Errors
///
/// No reply, or one that refuses.
pub async fn request(
    client: &Client,
    verb: &str,
    body: &Value,
    timeout: Duration,
) -> Result<Value, ApiError> {
    let payload = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::new().payload(payload.into()).timeout(Some(timeout));
    let reply = client.send_request(format!("$JS.API.{verb}"), request).await;
    let reply = reply.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => ApiError::NoResponders,
        RequestErrorKind::TimedOut => ApiError::TimedOut,
        RequestErrorKind::Other => ApiError::Other(error.to_string()),
    })?;
    let reply: Value = serde_json::from_slice(&reply.payload)
        .map_err(|error| ApiError::Other(format!("JetStream replied what is not JSON: {error}")))?;
    match refusal(&reply) {
        Some((code, text)) => Err(ApiError::Refused(code, text)),
        None => Ok(reply),
    }
}

/// The code and the text of an error in a reply. The code is JetStream's own, or else the one like
/// those of HTTP.
pub(crate) fn refusal(reply: &Value) -> Option<(u64, String)> {
    let error = reply.get("error").filter(|error| error.is_object())?;
    let code = error["err_code"].as_u64().or_else(|| error["code"].as_u64()).unwrap_or_default();
    Some((code, error["description"].as_str().unwrap_or("an error without a text").to_owned()))
}
