//! What it means when no reply came, or none that can be read.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use ureq::Timeout;

use super::endpoint::{CONNECT_TIMEOUT, Endpoint};
use crate::delivery::disposition::{Cause, Disposition, Failure};
use crate::delivery::sanitize::sanitize;
use crate::delivery::tls;

/// What `error` means for a batch. `timeout` was that of the request, and `is_body_sent` says
/// whether all of the body was sent.
pub(super) fn classify(
    error: &ureq::Error,
    endpoint: &Endpoint,
    timeout: Duration,
    is_body_sent: bool,
) -> Disposition {
    use Cause::{Configuration, Timeout as TimedOut, Unknown, Unreachable};

    let peer = endpoint.description();
    let names = &endpoint.server.names;
    let outside = |text: &dyn Display| sanitize(&text.to_string(), &endpoint.secrets);
    let connect_timeout = CONNECT_TIMEOUT.min(timeout);
    let (cause, reason) = match error {
        ureq::Error::Timeout(Timeout::Resolve) => {
            (Unreachable, format!("no address for {peer} within {connect_timeout:?}"))
        }
        ureq::Error::Timeout(Timeout::Connect) => {
            (Unreachable, format!("no connection to {peer} within {connect_timeout:?}"))
        }
        ureq::Error::Timeout(_) => (TimedOut, format!("no reply from {peer} within {timeout:?}")),
        ureq::Error::HostNotFound => {
            (Unreachable, format!("no address for {peer}: check {}", names.host()))
        }
        ureq::Error::Io(error) => io_error(error, endpoint, &peer),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
            (Configuration, format!("no TLS with {peer}: {}", outside(error)))
        }
        ureq::Error::ConnectProxyFailed(answer) => {
            proxy_refusal(&outside(answer), &peer, endpoint.proxy_variable)
        }
        ureq::Error::Protocol(error) => {
            let text = error.to_string();
            match text.strip_prefix("http parse fail: ") {
                Some("invalid HTTP version" | "invalid response status") => (
                    Configuration,
                    format!(
                        "what answers at {peer} does not speak HTTP: check {}",
                        names.address()
                    ),
                ),
                Some(fault) if is_body_sent => {
                    let fault = outside(&fault);
                    let reason = format!("the reply of {peer} cannot be read: {fault}");
                    return Disposition::MalformedReply { reason };
                }
                _ => (Unknown, format!("the reply of {peer} cannot be read: {}", outside(&text))),
            }
        }
        ureq::Error::LargeResponseHeader(..) => {
            (Unknown, format!("the reply of {peer} has headers without end"))
        }
        // The error's text may contain the URL.
        _ => (Unknown, format!("no request to {peer} could be made")),
    };
    Disposition::Retry(Failure::of_server(cause, reason))
}

/// Whether the server, or something between us and it, closed the connection.
pub(super) fn is_disconnect(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

fn io_error(error: &io::Error, endpoint: &Endpoint, peer: &str) -> (Cause, String) {
    let (names, secrets) = (&endpoint.server.names, &endpoint.secrets);
    if let Some(advice) = tls::refusal(error, &endpoint.peer, "http", names, secrets) {
        return (Cause::Configuration, advice);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            Cause::Unreachable,
            format!(
                "no server at {peer}: connection refused; start it, or check {}",
                names.host_and_port()
            ),
        ),
        kind if is_disconnect(kind) => {
            (Cause::Unknown, format!("{peer} closed the connection before it replied"))
        }
        _ => {
            let error = sanitize(&error.to_string(), secrets);
            (Cause::Unreachable, format!("no connection to {peer}: {error}"))
        }
    }
}

/// `answer` is ureq's text, such as `proxy server responded 407/407`.
fn proxy_refusal(answer: &str, peer: &str, variable: &str) -> (Cause, String) {
    let advice = if answer.contains("responded 407") {
        format!("put its credentials into the proxy's URL, {variable}")
    } else {
        format!("check the proxy, {variable}")
    };
    let is_refusal = answer.contains("responded 4");
    let cause = if is_refusal { Cause::Configuration } else { Cause::Unknown };
    (cause, format!("no connection to {peer}: {answer}; {advice}"))
}
