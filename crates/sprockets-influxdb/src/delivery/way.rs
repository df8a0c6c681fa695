//! The way to one server: where requests go, what each carries, and what they may cost. Made once and never changed, so
//! that a forked process can go on with it.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::Proxy;
use ureq::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
};
use ureq::http::request::Builder;
use ureq::http::{Request, Uri};
use ureq::tls::Certificate;

use super::body::Body;
use super::proxy;
use crate::buffer::Batch;
use crate::config::{Api, Auth, Server};
use crate::error::{Error, Result};

/// Far beyond what servers accept.
const URL_LIMIT: usize = 32 * 1024;

/// What need not be encoded in a query: RFC 3986, unreserved.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) struct Way {
    pub(super) api: Api,
    pub(super) gzip: bool,
    pub(super) timeout: Duration,
    pub(super) https: bool,
    /// The server's host and port.
    pub(super) peer: String,
    pub(super) proxy: Option<Proxy>,
    /// Authorities that are trusted beside the platform's.
    pub(super) authorities: Vec<Certificate<'static>>,
    url: String,
    /// The parameters that are the same for every batch, each with its `&`.
    parameters: String,
    authorization: Option<HeaderValue>,
}

impl Way {
    pub(super) fn new(server: &Server) -> Result<Self> {
        let unusable = || {
            Error::configuration(
                "the server's URL cannot be used; expected http[s]://host[:port][/path]",
            )
        };
        let parameters = parameters(server);
        let uri: Uri = format!("{}?{parameters}", server.url).parse().map_err(|_| unusable())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(unusable)?;
        let https = uri.scheme_str() == Some("https");
        Ok(Self {
            api: server.api,
            gzip: server.gzip,
            timeout: server.timeout,
            https,
            peer: format!("{host}:{}", uri.port_u16().unwrap_or(if https { 443 } else { 80 })),
            proxy: proxy::for_server(&uri, |name| std::env::var(name).ok())?,
            authorities: server.authorities.certificates(),
            url: server.url.clone(),
            parameters,
            authorization: authorization(server)?,
        })
    }

    /// Where a batch goes. `None` when its database's name is too long for any URL.
    pub(super) fn url(&self, batch: &Batch) -> Option<String> {
        let key = if self.api == Api::V2 { "bucket" } else { "db" };
        let database = utf8_percent_encode(batch.database(), QUERY);
        let precision = batch.precision().parameter(self.api);
        let url = format!("{}?{key}={database}&precision={precision}{}", self.url, self.parameters);
        Some(url).filter(|url| url.len() <= URL_LIMIT)
    }

    pub(super) fn request(&self, url: &str, body: &Body) -> Builder {
        let mut request = Request::post(url)
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(CONTENT_LENGTH, body.length());
        if body.is_compressed() {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request
    }

    /// What connections are made to, for a person.
    pub(super) fn shown(&self) -> String {
        match &self.proxy {
            Some(proxy) => {
                format!("{} through the proxy {}:{}", self.peer, proxy.host(), proxy.port())
            }
            None => self.peer.clone(),
        }
    }
}

/// The configured parameters, then the user's own.
fn parameters(server: &Server) -> String {
    let theirs =
        || server.query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty());
    let ours = match server.api {
        Api::V1 => server.retention_policy.as_deref().map(|policy| ("rp", policy)),
        Api::V2 => server.org.as_deref().map(|org| ("org", org)),
        // Whether a write may be stored in part is the user's to say.
        Api::V3 => theirs()
            .all(|pair| !pair.starts_with("accept_partial="))
            .then_some(("accept_partial", "true")),
    };
    let ours = ours.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY)));
    ours.into_iter().chain(theirs().map(str::to_owned)).map(|pair| format!("&{pair}")).collect()
}

fn authorization(server: &Server) -> Result<Option<HeaderValue>> {
    let (value, name) = match &server.auth {
        Auth::None => return Ok(None),
        Auth::Basic { user, password } => {
            let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
            (format!("Basic {pair}"), "INFLUXDB_PASSWORD")
        }
        Auth::Token(token) => {
            let scheme = if server.api == Api::V3 { "Bearer" } else { "Token" };
            (format!("{scheme} {}", token.expose()), "INFLUXDB_TOKEN")
        }
    };
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        Error::configuration(format!("{name} has a character that an HTTP header cannot hold"))
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}
