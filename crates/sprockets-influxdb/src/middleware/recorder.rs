//! Begins the recording of requests, in Rust's frameworks. Its counterpart for ASGI and WSGI is
//! `request/recorder.rs` of the Python bindings.

use std::sync::Arc;

use super::attributes::Attribute;
use super::destination::Destination;
use super::guard::RequestGuard;
use super::options::{RequestHead, RequestOptions, attributes, header_names};
use super::sink::first_address;
use crate::client::Client;

/// Records one measurement for each request. Middleware for a framework is built on this. Clones
/// share one recorder.
///
/// Call [`begin`](Self::begin) when a request arrives, call the [`RequestGuard`]'s methods as the
/// request proceeds, and drop the guard when the request has ended.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// `None` if requests cannot be recorded.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    destination: Arc<Destination>,
    options: RequestOptions,
}

impl Recorder {
    /// Records requests in measurements of this name, in this database (a bucket on InfluxDB 2.x).
    /// An empty database is the client's [default one](crate::Config::database).
    ///
    /// Without a database or a name, nothing is recorded, and the log says so once.
    pub fn new(
        client: Client,
        database: impl Into<String>,
        measurement: impl Into<String>,
        options: RequestOptions,
    ) -> Self {
        let (database, name) = (database.into(), measurement.into());
        let problem = if name.is_empty() {
            Some("the name of their measurement is empty")
        } else if database.is_empty() && client.default_database().is_none() {
            Some("they have no database; name one, or set INFLUXDB_DATABASE (database)")
        } else {
            None
        };
        if let Some(problem) = problem {
            tracing::warn!("requests are not recorded: {problem}");
            return Self { shared: None };
        }
        let (correlation_id, remote_ip) = header_names(&options);
        for name in [Some(correlation_id), remote_ip].into_iter().flatten() {
            if !is_header_name(name) {
                tracing::warn!(
                    "requests are recorded without {name:?}: no header can have this name"
                );
            }
        }
        let destination = Destination::new(client, database, name, attributes(&options));
        let shared = Shared { destination: Arc::new(destination), options };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Begins to record a request. Returns `None` if it is not to be recorded: the client is
    /// disabled, or [`RequestOptions::skip`] returns true. Then give the handler a
    /// [`RequestMeasurement::default`](super::RequestMeasurement::default), which is dropped.
    pub fn begin(&self, request: &dyn RequestHead) -> Option<RequestGuard> {
        let Shared { destination, options } = &**self.shared.as_ref()?;
        if !destination.is_enabled() || options.skips(request) {
            return None;
        }
        let method = request.method();
        let recorded = destination.attributes().method(method);
        let guard = RequestGuard::new(destination.clone(), method, recorded);
        let (correlation_id, remote_ip) = header_names(options);
        if let Some(id) = request.header(correlation_id) {
            guard.text(Attribute::CorrelationId, &String::from_utf8_lossy(id));
        }
        if let Some(addresses) = remote_ip.and_then(|name| request.header(name)) {
            guard.text(Attribute::RemoteIp, &first_address(addresses));
        }
        if let Some(endpoint) = options.endpoint_of(request) {
            guard.endpoint(&endpoint);
        }
        Some(guard)
    }
}

/// Whether a name is a token of RFC 9110. No request has a header of another name.
fn is_header_name(name: &str) -> bool {
    let is_in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_in_token)
}

#[cfg(all(test, feature = "testing"))]
mod tests;
