//! One server's write endpoint: where requests go, and what each carries. Never changes, so that a
//! forked process can go on using it.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
};
use ureq::http::request::Builder;
use ureq::http::{Request, Uri};
use ureq::{Proxy, ProxyProtocol};

use super::body::Body;
use super::proxy;
use crate::buffer::Batch;
use crate::config::{Api, Auth, Server};
use crate::delivery::sanitize::Secrets;
use crate::error::{Error, Result};

/// Time for three attempts of the kernel to connect.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest URL, in bytes: far beyond what servers accept.
const MAX_URL_BYTES: usize = 32 * 1024;

/// What a query has to encode: all but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) struct Endpoint {
    pub(super) server: Server,
    is_https: bool,
    /// The server's host and port.
    pub(super) peer: String,
    pub(super) proxy: Option<Proxy>,
    /// The variable of the environment that names the proxy.
    pub(super) proxy_variable: &'static str,
    /// The query's parameters that are the same for every batch, each with its `&`.
    parameters: String,
    /// The URL of `/api/v3/write_lp` beside that of another API, if a request could go there too.
    partial_url: Option<String>,
    pub(super) authorization: Option<HeaderValue>,
    /// The secrets that a request carries.
    pub(super) secrets: Secrets,
}

impl Endpoint {
    pub(super) fn new(server: &Server) -> Result<Self> {
        Self::with_environment(server, |name| std::env::var(name).ok())
    }

    /// `variable` looks up the environment's variables that name a proxy.
    pub(super) fn with_environment(
        server: &Server,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let unusable = || {
            Error::configuration(
                "the server's URL cannot be used; expected http[s]://host[:port][/path]",
            )
        };
        let parameters = parameters(server);
        let uri: Uri = format!("{}?{parameters}", server.url).parse().map_err(|_| unusable())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(unusable)?;
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let (proxy, proxy_variable) = proxy::for_server(&uri, variable)?.unzip();
        let mut secrets = Secrets::of(server);
        if let Some(proxy) = &proxy {
            let user = proxy.username().unwrap_or_default();
            secrets.add_basic(user, proxy.password().unwrap_or_default());
        }
        Ok(Self {
            is_https,
            peer: format!("{host}:{port}"),
            proxy,
            proxy_variable: proxy_variable.unwrap_or_default(),
            parameters,
            partial_url: partial_url(server),
            authorization: authorization(server)?,
            secrets,
            server: server.clone(),
        })
    }

    /// Whether the server or the proxy is spoken to over TLS.
    pub(super) fn uses_tls(&self) -> bool {
        let by_proxy = |proxy: &Proxy| proxy.protocol() == ProxyProtocol::Https;
        self.is_https || self.proxy.as_ref().is_some_and(by_proxy)
    }

    /// What connections are made to, for a person.
    pub(super) fn description(&self) -> String {
        match &self.proxy {
            Some(proxy) => {
                format!("{} through the proxy {}:{}", self.peer, proxy.host(), proxy.port())
            }
            None => self.peer.clone(),
        }
    }

    /// Where a batch goes. `None` when the name of its database is too long for any URL.
    pub(super) fn url(&self, batch: &Batch) -> Option<String> {
        let key = if self.server.api == Api::V2 { "bucket" } else { "db" };
        let database = utf8_percent_encode(batch.database(), QUERY);
        let precision = batch.precision().parameter(self.server.api);
        let url = format!(
            "{}?{key}={database}&precision={precision}{}",
            self.server.url, self.parameters
        );
        Some(url).filter(|url| url.len() <= MAX_URL_BYTES)
    }

    /// The URL of another path of the server, beside that of writes.
    pub(super) fn url_of(&self, path: &str) -> String {
        const WRITES: [&str; 3] = ["api/v2/write", "api/v3/write_lp", "write"];
        let url = &self.server.url;
        let base = WRITES.iter().find_map(|write| url.strip_suffix(write));
        // A path of the user's own may end with anything. Its first slash is that of the root.
        let authority = url.find("://").map_or(0, |at| at + "://".len());
        let root = url[authority..].find('/').map_or(url.len(), |at| authority + at);
        let base = base.unwrap_or(&url[..root]).trim_end_matches('/');
        format!("{base}/{path}")
    }

    /// Where a batch could go if the server turns out to be an InfluxDB 3.x: the endpoint that
    /// names every bad line, and stores the others.
    pub(super) fn partial_url(&self, batch: &Batch) -> Option<String> {
        let url = self.partial_url.as_deref()?;
        let database = batch.database();
        // What follows a slash is a retention policy to the other APIs.
        if database.contains('/') {
            return None;
        }
        let database = utf8_percent_encode(database, QUERY);
        let precision = batch.precision().parameter(Api::V3);
        Some(format!("{url}?db={database}&precision={precision}&accept_partial=true"))
            .filter(|url| url.len() <= MAX_URL_BYTES)
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
}

/// The parameters that settings ask for, then those of the URL.
fn parameters(server: &Server) -> String {
    let theirs =
        || server.query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty());
    let ours = match server.api {
        Api::V1 => server.retention_policy.as_deref().map(|policy| ("rp", policy)),
        Api::V2 => server.org.as_deref().map(|org| ("org", org)),
        // The URL may say otherwise.
        Api::V3 => theirs()
            .all(|pair| !pair.starts_with("accept_partial="))
            .then_some(("accept_partial", "true")),
    };
    let ours = ours.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY)));
    ours.into_iter().chain(theirs().map(str::to_owned)).map(|pair| format!("&{pair}")).collect()
}

/// Settings that the API of InfluxDB 3.x does not have are a reason to stay with the other.
fn partial_url(server: &Server) -> Option<String> {
    let path = match server.api {
        Api::V1 => "/write",
        Api::V2 => "/api/v2/write",
        Api::V3 => return None,
    };
    if server.retention_policy.is_some() || server.query.is_some() {
        return None;
    }
    server.url.strip_suffix(path).map(|base| format!("{base}/api/v3/write_lp"))
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
