//! The write URL and its parts: how they are read, and how they are shown without secrets.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;
use ureq::http::Uri;

use super::mask::{MASK, Secret, masked, masked_query, quoted};
use super::parse::{self, Checked, Parser, ValueParser};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// NATS. Only a URL may name it.
    Nats,
    /// NATS over TLS. Only a URL may name it.
    Tls,
}

impl Scheme {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// The scheme of a URL.
    fn of_url(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "nats" => Some(Self::Nats),
            "tls" => Some(Self::Tls),
            name => Self::named(name),
        }
    }

    pub(super) fn is_nats(self) -> bool {
        matches!(self, Self::Nats | Self::Tls)
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Nats | Self::Tls => 4222,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Nats => "nats",
            Self::Tls => "tls",
        })
    }
}

pub(super) static SCHEME: ValueParser<Scheme> = ValueParser {
    noun: "a scheme",
    expected: "http or https",
    parse: Scheme::named,
    valid: |_| true,
};

pub(super) static HOST: ValueParser<String> = ValueParser {
    noun: "a host",
    expected: "a host name or an IP address alone \
               (a whole URL belongs in INFLUXDB_URL or url)",
    parse: host,
    valid: |_| true,
};

/// The parts of a URL that writes go to. `Display` shows it without credentials.
#[derive(Clone)]
pub(crate) struct WriteUrl {
    pub(super) scheme: Scheme,
    /// As in a URL: IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Further servers of a NATS cluster, each as `host:port`.
    pub(super) others: Vec<String>,
    /// `None` for `/`.
    pub(super) path: Option<String>,
    pub(super) query: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

impl WriteUrl {
    pub(super) fn parse(text: &str) -> Checked<Self> {
        const URL: &str = "a URL like https://influx.example.com:8086";
        let text = text.trim();
        let refuse = |problem: &str, expected: &str| {
            let url = quoted(&masked(text));
            format!("{url} {problem}: expected {expected}")
        };

        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("has no scheme", URL))?;
        let scheme = Scheme::of_url(scheme)
            .ok_or_else(|| refuse("has an unknown scheme", "http, https, nats or tls"))?;
        if scheme.is_nats() && cfg!(not(feature = "nats")) {
            let expected = "http or https, or a build with the feature `nats`";
            return Err(refuse("needs NATS, which this build does not have", expected));
        }
        let rest = &if scheme.is_nats() { without_schemes(rest) } else { rest.to_owned() };
        if rest.contains('#') {
            let expected = "a URL without one (in a password, # is written %23)";
            return Err(refuse("has a fragment", expected));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (userinfo, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let place_of = |text: &str| -> Checked<(String, Option<u16>)> {
            let (host, port) = host_and_port(text)
                .ok_or_else(|| refuse("has a bad host", "an IPv6 address in brackets"))?;
            if host.is_empty() {
                return Err(refuse("has no host", URL));
            }
            let host = self::host(host)
                .ok_or_else(|| refuse("has a bad host", "a host name or an IP address"))?;
            let read = |port: &str| {
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = digits.then(|| parse::PORT.read(port).ok()).flatten();
                port.ok_or_else(|| refuse("has a bad port", parse::PORT.expected))
            };
            Ok((host, if port.is_empty() { None } else { Some(read(port)?) }))
        };
        let mut places = place.split(',').filter(|_| scheme.is_nats());
        let (host, port) = place_of(places.next().unwrap_or(place))?;
        let mut others = Vec::new();
        for other in places {
            let (host, port) = place_of(other)?;
            others.push(format!("{host}:{}", port.unwrap_or(scheme.port())));
        }
        if scheme.is_nats() && !["", "/"].contains(&target) {
            let expected = "hosts alone (a subject belongs in INFLUXDB_NATS_SUBJECT)";
            return Err(refuse("has a path or a query", expected));
        }
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |part: &str| -> Checked<Option<String>> {
            let text = percent_decode_str(part).decode_utf8();
            let text = text.map_err(|_| refuse("has bad credentials", "percent-encoded UTF-8"))?;
            Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
        };
        let (user, password) = (decoded(user)?, decoded(password)?);
        let named = user.as_deref().map(parse::user).transpose();
        let user = named.map_err(|_| refuse("has a bad user name", "one without a colon"))?;
        if format!("{scheme}://{host}{target}").parse::<Uri>().is_err() {
            let problem = "holds a character that a URL cannot hold";
            return Err(refuse(problem, "it percent-encoded"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (query, parameters) = without_credentials(query);
        let credential = |parameter: Option<&str>| decoded(parameter.unwrap_or_default());
        let (user, password) = match (credential(parameters[0])?, credential(parameters[1])?) {
            (queried, secret) if user.is_none() && password.is_none() => {
                let named = queried.map(|user| parse::user(&user)).transpose();
                let refusal = |_| refuse("has a bad user name", "one without a colon");
                // InfluxDB 3 takes a token as `p` alone, or as the password of any user.
                let anybody = || secret.is_some().then(|| "token".to_owned());
                (named.map_err(refusal)?.or_else(anybody), secret)
            }
            _ => (user, password),
        };
        let given = |part: &str| Some(part.to_owned()).filter(|part| !part.is_empty());
        Ok(Self {
            scheme,
            host,
            port,
            others,
            path: given(path).filter(|path| path != "/"),
            query: given(&query),
            user,
            password: password.map(Secret::new),
        })
    }

    /// Scheme, host, port and path, without credentials and query.
    pub(super) fn endpoint(&self) -> String {
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        let path = self.path.as_deref().unwrap_or_default();
        let others: String = self.others.iter().map(|other| format!(",{other}")).collect();
        format!("{}://{}{port}{others}{path}", self.scheme, self.host)
    }
}

impl fmt::Display for WriteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint())?;
        match &self.query {
            Some(query) => write!(f, "?{}", masked_query(query)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for WriteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.user.is_some() || self.password.is_some() {
            write!(f, "{MASK}@ ")?;
        }
        fmt::Display::fmt(self, f)
    }
}

/// The servers of a cluster without the scheme that each may have: `nats://a:4222,nats://b:4222`.
fn without_schemes(servers: &str) -> String {
    servers.replace(",nats://", ",").replace(",tls://", ",")
}

/// A query without the parameters `u` and `p`, and the values of these. InfluxDB takes credentials
/// there, but then they stand in the logs of servers and proxies; we send them in a header.
fn without_credentials(query: &str) -> (String, [Option<&str>; 2]) {
    let value = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let rest = query.split('&').filter(|pair| !pair.starts_with("u=") && !pair.starts_with("p="));
    (rest.collect::<Vec<_>>().join("&"), ["u=", "p="].map(value))
}

/// Splits an authority into host and port. The port is empty if there is none. `None` for an IPv6
/// address that cannot be told from a port.
fn host_and_port(authority: &str) -> Option<(&str, &str)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at(authority.find(']')? + 1);
        return match rest {
            "" => Some((host, "")),
            rest => Some((host, rest.strip_prefix(':')?)),
        };
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    (!port.contains(':')).then_some((host, port))
}

/// Normalizes a host to its form in a URL, with brackets around IPv6. `None` if it is not a host.
fn host(text: &str) -> Option<String> {
    let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Ok(address) = unbracketed.unwrap_or(text).parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (!text.is_empty() && text.bytes().all(named)).then(|| text.to_owned())
}

/// Whether the value of a port variable is what Kubernetes and Docker put there for a service of
/// this name, such as `tcp://10.0.0.1:8086`.
pub(super) fn is_service_link(text: &str) -> bool {
    let scheme = text.trim().split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| ["tcp", "udp", "sctp"].contains(&scheme))
}

/// Whether a host, with or without brackets, is a loopback name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        let mapped = address.to_ipv4_mapped();
        return address.is_loopback() || mapped.is_some_and(|address| address.is_loopback());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.is_loopback();
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests;
