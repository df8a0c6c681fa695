//! Requests that store nothing: they only ask the server about itself.

use ureq::http::Request;
use ureq::http::header::{AUTHORIZATION, HeaderName};

use super::{HttpTransport, no_reply, read_body};
use crate::delivery::disposition::Disposition;

const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");

/// The reply to a query.
pub(in crate::delivery) struct Answer {
    pub(in crate::delivery) status: u16,
    /// The version that its headers name.
    pub(in crate::delivery) version: Option<String>,
    pub(in crate::delivery) body: Vec<u8>,
}

impl HttpTransport {
    /// Gets a path of the server, such as `ping`, with the same credentials as a write. `Err` says
    /// why there is no reply.
    pub(in crate::delivery) fn get(&self, path: &str) -> Result<Answer, Disposition> {
        let no_reply =
            |error| no_reply::classify(&error, &self.endpoint, self.endpoint.server.timeout, true);
        let agent = self.agent().map_err(|reason| super::retry(super::Cause::Unknown, reason))?;
        let mut request = Request::get(self.endpoint.url_of(path));
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|error| no_reply(error.into()))?;
        let (head, body) = agent.run(request).map_err(no_reply)?.into_parts();
        let version = head.headers.get(VERSION);
        Ok(Answer {
            status: head.status.as_u16(),
            version: version.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            body: read_body(body.into_reader()).0,
        })
    }
}
