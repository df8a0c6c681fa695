//! Where requests go and what they carry: the resolved [`Server`].

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::authorities::Authorities;
use super::client_identity::ClientIdentity;
use super::enums::{Api, Precision};
use super::mask::{Secret, masked_query};
use super::names::Names;
use super::schema::Values;
use super::types::{InForce, Source};
use super::url::{Scheme, WriteUrl, is_loopback};
use crate::error::{Error, Result};

/// A server, and how to talk to it.
#[derive(Clone, PartialEq)]
pub(crate) struct Server {
    /// Scheme, authority and path: the path of the user's URL as it is, or else the API's.
    pub(crate) url: String,
    /// For advice.
    pub(crate) names: Names,
    /// The query of the user's URL, without the parameters that the client sends itself.
    pub(crate) query: Option<String>,
    pub(crate) api: Api,
    pub(crate) auth: Auth,
    /// Always set on v2, never on the others.
    pub(crate) org: Option<String>,
    /// Only on v1.
    pub(crate) retention_policy: Option<String>,
    pub(crate) gzip: bool,
    /// For one request, from connect to the last byte of the response.
    pub(crate) timeout: Duration,
    /// Trusted beside the platform's. Empty while the client is disabled.
    pub(crate) authorities: Authorities,
    /// What the client shows of itself. None while the client is disabled.
    pub(crate) identity: Option<ClientIdentity>,
    /// Whether the server's certificate is verified.
    pub(crate) verifies: bool,
    /// Set if the server is a NATS JetStream, and not an InfluxDB.
    pub(crate) nats: Option<Nats>,
}

/// Where batches go in NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nats {
    /// The URL of each server, without credentials.
    pub(crate) servers: Vec<String>,
    /// The subject of a message, with `{database}` for the name of its database.
    pub(crate) subject: String,
    /// The stream that has to store the messages. `None`: any that has the subject.
    pub(crate) stream: Option<String>,
    /// A credentials file. It takes precedence over token, user and password.
    pub(crate) creds: Option<PathBuf>,
}

/// Stands for the name of the database in a subject.
#[cfg(feature = "nats")]
pub(crate) const DATABASE: &str = "{database}";

/// The credentials of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Auth {
    None,
    Basic { user: String, password: Secret },
    Token(Secret),
}

impl Server {
    /// Decides what the settings of the server mean together, and writes what is in force back to
    /// `values`. What is odd but usable becomes a warning. A disabled client needs nothing.
    pub(super) fn resolve(values: &mut Values, warnings: &mut Vec<String>) -> Result<Self> {
        resolve_credentials(values);
        let mut url = resolve_address(values);
        if url.scheme.is_nats() {
            return Self::resolve_nats(values, url, warnings);
        }
        warn_of_unused_nats(values, warnings);
        let api = resolve_api(values)?;
        let authorities = resolve_authorities(values)?;
        let identity = resolve_identity(values)?;
        let verifies = values.tls_verify.value;
        warn_of_unverified(values, &url, warnings);
        warn_of_unused(values, api, warnings);
        if api != Api::V1 {
            values.retention_policy.value = None;
        }
        if api != Api::V2 {
            values.org.value = None;
        }
        let path = url.path.get_or_insert_with(|| api.path().to_owned());
        warn_of_path(path, api, warnings);
        let has_policy = values.retention_policy.value.is_some();
        url.query =
            url.query.and_then(|query| without_own_parameters(&query, api, has_policy, warnings));
        let server = Self {
            names: Names::of(values),
            url: url.endpoint(),
            query: url.query.clone(),
            api,
            auth: resolve_auth(values),
            org: values.org.value.clone(),
            retention_policy: values.retention_policy.value.clone(),
            gzip: *values.gzip.value.get_or_insert(!is_loopback(&url.host)),
            timeout: values.timeout.value,
            authorities,
            identity,
            verifies,
            nats: None,
        };
        values.url.value = Some(url);
        Ok(server)
    }

    /// The same for NATS. The API is that of the InfluxDB behind it, which says whether there are
    /// unsigned integers. A token is one of NATS.
    fn resolve_nats(
        values: &mut Values,
        url: WriteUrl,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        for (unused, setting) in
            [(&values.org, "org"), (&values.retention_policy, "retention policy")]
        {
            if unused.value.is_some() {
                let name = unused.source.name;
                warnings.push(format!(
                    "{name} is not used with NATS: the forwarder writes with its own {setting}"
                ));
            }
        }
        warn_of_unverified(values, &url, warnings);
        values.org.value = None;
        values.retention_policy.value = None;
        let first = format!("{}:{}", url.host, url.port.unwrap_or(url.scheme.port()));
        let places = std::iter::once(first).chain(url.others.iter().cloned());
        let nats = Nats {
            servers: places.map(|place| format!("{}://{place}", url.scheme)).collect(),
            subject: values.nats_subject.value.clone(),
            stream: values.nats_stream.value.clone(),
            creds: values.nats_creds.value.clone(),
        };
        let server = Self {
            names: Names::of(values),
            url: url.endpoint(),
            query: None,
            api: *values.api.value.get_or_insert(Api::V1),
            auth: resolve_auth(values),
            org: None,
            retention_policy: None,
            gzip: *values.gzip.value.get_or_insert(false),
            timeout: values.timeout.value,
            authorities: resolve_authorities(values)?,
            identity: resolve_identity(values)?,
            verifies: values.tls_verify.value,
            nats: Some(nats),
        };
        values.url.value = Some(url);
        Ok(server)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("query", &self.query.as_deref().map(masked_query))
            .field("api", &self.api)
            .field("auth", &self.auth)
            .field("org", &self.org)
            .field("retention_policy", &self.retention_policy)
            .field("gzip", &self.gzip)
            .field("timeout", &self.timeout)
            .field("authorities", &self.authorities)
            .field("identity", &self.identity)
            .field("verifies", &self.verifies)
            .field("nats", &self.nats)
            .finish()
    }
}

/// Credentials in the URL take precedence if they come from a nearer source.
fn resolve_credentials(values: &mut Values) {
    let InForce { value: Some(url), source } = &values.url else { return };
    take_from_url(&mut values.user, url.user.as_ref(), *source);
    take_from_url(&mut values.password, url.password.as_ref(), *source);
}

fn take_from_url<T: Clone>(part: &mut InForce<Option<T>>, of_url: Option<&T>, source: Source) {
    if of_url.is_some() && source.origin > part.source.origin {
        part.replace(of_url.cloned(), source);
    }
}

/// Combines the URL and its parts. The URL takes precedence over scheme, host and port, unless
/// they come from a nearer source. In the result no port means the scheme's own.
fn resolve_address(values: &mut Values) -> WriteUrl {
    let InForce { value: url, source } = values.url.clone();
    let over = |part: Source| url.as_ref().filter(|_| source.origin >= part.origin);
    if let Some(url) = over(values.host.source) {
        values.host.replace(url.host.clone(), source);
    }
    if let Some(url) = over(values.scheme.source) {
        values.scheme.replace(Some(url.scheme), source);
    }
    let is_local = is_loopback(&values.host.value);
    let default = if is_local { Scheme::Http } else { Scheme::Https };
    let scheme = *values.scheme.value.get_or_insert(default);
    let mut port = Some(values.port.value);
    if let Some(url) = over(values.port.source) {
        port = url.port;
        values.port.replace(port.unwrap_or(scheme.port()), source);
    }
    let parts = [values.host.source, values.port.source, values.scheme.source];
    values.url.source = Source::nearest([source, parts[0], parts[1], parts[2]]);
    let host = values.host.value.clone();
    let (path, query, mut others) = url
        .as_ref()
        .map(|url| (url.path.clone(), url.query.clone(), url.others.clone()))
        .unwrap_or_default();
    if url.is_some_and(|url| url.host != host) {
        others.clear();
    }
    WriteUrl { scheme, host, port, others, path, query, user: None, password: None }
}

fn resolve_authorities(values: &Values) -> Result<Authorities> {
    match &values.ca_file.value {
        Some(path) if values.enabled.value => Authorities::read(path, values.ca_file.source),
        _ => Ok(Authorities::default()),
    }
}

fn resolve_identity(values: &Values) -> Result<Option<ClientIdentity>> {
    match values.enabled.value {
        true => ClientIdentity::read(&values.client_cert, &values.client_key),
        false => Ok(None),
    }
}

fn warn_of_unverified(values: &Values, url: &WriteUrl, warnings: &mut Vec<String>) {
    if !values.tls_verify.value && matches!(url.scheme, Scheme::Https | Scheme::Tls) {
        let setting = values.name("tls_verify").set_to("true");
        warnings.push(format!(
            "the certificate of {} is NOT VERIFIED: anyone on the network can read and change \
             what is sent, credentials included. This is for tests only; {setting}",
            url.host
        ));
    }
}

fn warn_of_unused_nats(values: &Values, warnings: &mut Vec<String>) {
    let sources = [
        values.nats_stream.value.as_ref().map(|_| values.nats_stream.source),
        values.nats_creds.value.as_ref().map(|_| values.nats_creds.source),
        Some(values.nats_subject.source).filter(|source| *source != Source::DEFAULT),
    ];
    for source in sources.into_iter().flatten() {
        let name = source.name;
        warnings.push(format!("{name} is not used: the URL of the server is none of NATS"));
    }
}

fn resolve_api(values: &mut Values) -> Result<Api> {
    let (has_org, has_token) = (values.org.value.is_some(), values.token.value.is_some());
    let api = *values.api.value.get_or_insert(match (has_org, has_token) {
        (true, _) => Api::V2,
        (false, true) => Api::V3,
        (false, false) => Api::V1,
    });
    let missing = match (has_org, has_token) {
        _ if !values.enabled.value || api != Api::V2 => return Ok(api),
        (true, true) => return Ok(api),
        (true, false) => "INFLUXDB_TOKEN (token) is not set",
        (false, true) => "INFLUXDB_ORG (org) is not set",
        (false, false) => "INFLUXDB_ORG (org) and INFLUXDB_TOKEN (token) are not set",
    };
    Err(Error::configuration(format!(
        "{missing}: expected both for the v2 API, which is the one used when an org is set or \
         INFLUXDB_API (api) is v2"
    )))
}

fn resolve_auth(values: &mut Values) -> Auth {
    if let Some(token) = &values.token.value {
        values.user.value = None;
        values.password.value = None;
        return Auth::Token(token.clone());
    }
    match &values.user.value {
        Some(user) => Auth::Basic {
            user: user.clone(),
            password: values.password.value.clone().unwrap_or_default(),
        },
        None => {
            values.password.value = None;
            Auth::None
        }
    }
}

fn warn_of_unused(values: &Values, api: Api, warnings: &mut Vec<String>) {
    let (unused, what) = if api == Api::V1 {
        (&values.org, "orgs")
    } else {
        (&values.retention_policy, "retention policies")
    };
    if unused.value.is_some() {
        let name = unused.source.name;
        warnings.push(format!("{name} is not used: the {api} API knows no {what}"));
    }
    if values.token.value.is_some() && values.user.value.is_some() {
        warnings
            .push("user and password are not used: a token is set, which takes precedence".into());
    } else if values.password.value.is_some() && values.user.value.is_none() {
        warnings.push(
            "the password is not used: there is no user name (INFLUXDB_USER or credentials)".into(),
        );
    }
    if api == Api::V1 && values.precision.value == Precision::Microseconds {
        warnings.push(
            "microseconds over the v1 API are right on InfluxDB 1.x only: \
             2.x takes them for nanoseconds"
                .into(),
        );
    }
}

fn warn_of_path(path: &str, api: Api, warnings: &mut Vec<String>) {
    let other = [Api::V1, Api::V2, Api::V3].into_iter().find(|other| other.path() == path);
    if let Some(other) = other.filter(|other| *other != api) {
        warnings.push(format!(
            "the URL's path, {path}, is that of the {other} API, but requests are those of {api}: \
             set INFLUXDB_API (api) to {other}, or leave the path out"
        ));
    }
}

/// The user's query without the parameters that the client sends itself.
fn without_own_parameters(
    query: &str,
    api: Api,
    has_retention_policy: bool,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let own: &[&str] = match api {
        Api::V1 if has_retention_policy => &["db", "precision", "rp"],
        Api::V1 | Api::V3 => &["db", "precision"],
        Api::V2 => &["bucket", "org", "precision"],
    };
    let (own, kept): (Vec<_>, Vec<_>) = query
        .split('&')
        .partition(|pair| own.contains(&pair.split('=').next().unwrap_or_default()));
    for pair in own {
        warnings.push(format!("`{pair}` in the URL's query is not used: the client sends its own"));
    }
    Some(kept.join("&")).filter(|query| !query.is_empty())
}

#[cfg(test)]
mod tests;
