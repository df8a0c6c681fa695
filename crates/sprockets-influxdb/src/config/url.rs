//! The forms of a write URL: reading it, and showing it without its secrets.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;
use ureq::http::Uri;

use super::secret::{MASK, Secret};
use super::value::{self, Checked, quoted};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// A URL that a user gave, in its parts.
#[derive(Clone)]
pub(super) struct WriteUrl {
    pub(super) scheme: Scheme,
    /// As it stands in a URL: IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Other than `/`.
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
        let scheme = Scheme::named(scheme)
            .ok_or_else(|| refuse("has an unknown scheme", "http or https"))?;
        if rest.contains('#') {
            let expected = "a URL without one (in a password, # is written %23)";
            return Err(refuse("has a fragment", expected));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (userinfo, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = host_and_port(place)
            .ok_or_else(|| refuse("has a bad host", "an IPv6 address in brackets"))?;
        if host.is_empty() {
            return Err(refuse("has no host", URL));
        }
        let host = self::host(host)
            .ok_or_else(|| refuse("has a bad host", "a host name or an IP address"))?;
        let port = match port {
            "" => None,
            port => Some(
                Some(port)
                    .filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
                    .and_then(|port| value::PORT.read(port).ok())
                    .ok_or_else(|| refuse("has a bad port", value::PORT.expected))?,
            ),
        };
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |part: &str| -> Checked<Option<String>> {
            let text = percent_decode_str(part).decode_utf8();
            let text = text.map_err(|_| refuse("has bad credentials", "percent-encoded UTF-8"))?;
            Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
        };
        let (user, password) = (decoded(user)?, decoded(password)?);
        let named = user.map(value::user).transpose();
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
                let named = queried.map(value::user).transpose();
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
            path: given(path).filter(|path| path != "/"),
            query: given(&query),
            user,
            password: password.map(Secret::new),
        })
    }
}

impl fmt::Debug for WriteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if self.user.is_some() || self.password.is_some() {
            write!(f, "{MASK}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path.as_deref().unwrap_or_default())?;
        if let Some(query) = &self.query {
            write!(f, "?{}", masked_query(query))?;
        }
        Ok(())
    }
}

/// A query without the parameters `u` and `p`, and the values of these. InfluxDB takes credentials
/// there, but then they stand in the logs of servers and proxies; we send them in a header.
fn without_credentials(query: &str) -> (String, [Option<&str>; 2]) {
    let value = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let rest = query.split('&').filter(|pair| !pair.starts_with("u=") && !pair.starts_with("p="));
    (rest.collect::<Vec<_>>().join("&"), ["u=", "p="].map(value))
}

/// Host and port of an authority; `None` for an IPv6 address that cannot be told from a port. No port is an empty one.
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

/// A host as it stands in a URL, with brackets around IPv6, if it is one.
pub(super) fn host(text: &str) -> Option<String> {
    let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Ok(address) = unbracketed.unwrap_or(text).parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (!text.is_empty() && text.bytes().all(named)).then(|| text.to_owned())
}

/// Whether a host, with or without brackets, is this machine whatever the network.
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

/// A text that should be a URL, without what may be a secret in it.
pub(super) fn masked(text: &str) -> String {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let (scheme, rest) = match text.find("://") {
        Some(end) if text[..end].bytes().all(named) => text.split_at(end + 3),
        _ => ("", text),
    };
    // Up to the last `@`, wherever it stands: a password that is not percent-encoded may hold any character.
    let end = rest.rfind('@').map(|at| at + 1);
    let end = end.max(rest.rfind("%40").map(|at| at + 3));
    let (mask, rest) = match end {
        Some(end) => ("***@", &rest[end..]),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, query)) => format!("{scheme}{mask}{rest}?{}", masked_query(query)),
        None => format!("{scheme}{mask}{rest}"),
    }
}

/// Parameters of a query whose values are known to be no secrets.
const PLAIN: [&str; 10] = [
    "accept_partial",
    "bucket",
    "consistency",
    "db",
    "no_sync",
    "org",
    "orgID",
    "precision",
    "rp",
    "sync",
];

/// The decoded values of a query that may be secrets: those that [`masked_query`] masks.
pub(crate) fn secret_values(query: &str) -> impl Iterator<Item = String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)));
    let secrets = pairs.filter(|(name, value)| !PLAIN.contains(name) && !value.is_empty());
    secrets.map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// A query with only those values that are known to be no secret.
pub(super) fn masked_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if PLAIN.contains(&name) => pair.to_owned(),
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> WriteUrl {
        WriteUrl::parse(text).unwrap()
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = parsed(" HTTPS://me:p%40ss%3A%2f@Db.example.com:8087/a/b?x=1&y ");
        assert_eq!(url.scheme, Scheme::Https);
        assert_eq!(url.host, "Db.example.com");
        assert_eq!(url.port, Some(8087));
        assert_eq!(url.path.as_deref(), Some("/a/b"));
        assert_eq!(url.query.as_deref(), Some("x=1&y"));
        assert_eq!(url.user.as_deref(), Some("me"));
        assert_eq!(url.password.as_ref().map(Secret::expose), Some("p@ss:/"));
    }

    #[test]
    fn credentials_in_the_query_become_those_of_the_header() {
        let credentials = |text: &str| {
            let url = parsed(text);
            let password = url.password.as_ref().map(|password| password.expose().to_owned());
            (url.user, password, url.query)
        };
        let all = |user: &str, password: &str, query: Option<&str>| {
            (Some(user.to_owned()), Some(password.to_owned()), query.map(str::to_owned))
        };
        assert_eq!(credentials("http://db?u=me&p=a%26b&rp=x"), all("me", "a&b", Some("rp=x")));
        assert_eq!(credentials("http://db/write?p=pw&u=me"), all("me", "pw", None));
        assert_eq!(credentials("http://you:own@db?u=me&p=pw"), all("you", "own", None));
        assert_eq!(credentials("http://db/write?p=pw"), all("token", "pw", None));
        let refused = WriteUrl::parse("http://db?u=a:hunter2&p=hunter2").unwrap_err();
        assert!(refused.contains("bad user name") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn values_that_may_be_secrets_are_told_from_others() {
        let values: Vec<_> = secret_values("rp=x&key=a%26b&db=plain&hunter2&e=").collect();
        assert_eq!(values, ["a&b", "hunter2"]);
    }

    #[test]
    fn what_a_url_leaves_out_is_not_there() {
        for text in ["http://db", "http://db/", "http://db:", "http://@db/?", "http://:@db?"] {
            let url = parsed(text);
            assert_eq!((url.host.as_str(), url.port), ("db", None), "{text}");
            assert_eq!(
                (url.path, url.query, url.user, url.password),
                (None, None, None, None),
                "{text}"
            );
        }
        assert_eq!(parsed("http://db?a=1").query.as_deref(), Some("a=1"));
    }

    #[test]
    fn ipv6_hosts_are_read_and_bracketed() {
        let url = parsed("http://[::1]:8086/write");
        assert_eq!((url.host.as_str(), url.port), ("[::1]", Some(8086)));
        assert_eq!(parsed("http://[2001:DB8::1]").host, "[2001:db8::1]");
        assert_eq!(host("::1").as_deref(), Some("[::1]"));
        assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
    }

    #[test]
    fn hosts_are_told_from_other_text() {
        for good in ["localhost", "db-1.example.com", "influx_db", "10.0.0.1", "db.example.com."] {
            assert_eq!(host(good).as_deref(), Some(good));
            assert!(format!("http://{good}:8086/write").parse::<Uri>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "db:8086",
            "http://db",
            "db/x",
            "me@db",
            "[db]",
            "[::1",
            "::1]",
            "[::1]:80",
            "d\u{f6}",
            "a%b",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn loopback_hosts_are_known() {
        let loopback = [
            "localhost",
            "LOCALHOST.",
            "db.localhost",
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ];
        for host in loopback {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["localhost.example.com", "notlocalhost", "10.0.0.1", "128.0.0.1", "[::2]", "0.0.0.0"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_bad_url_is_told_what_is_wrong_with_it() {
        let rows = [
            ("", "has no scheme"),
            ("localhost:8086", "has no scheme"),
            ("/write", "has no scheme"),
            ("ftp://db", "has an unknown scheme"),
            ("http+unix://db", "has an unknown scheme"),
            ("://db", "has an unknown scheme"),
            ("http://", "has no host"),
            ("http:///write", "has no host"),
            ("http://:8086", "has no host"),
            ("http://me:pw@", "has no host"),
            ("http://db#there", "has a fragment"),
            ("http://db:80a86", "has a bad port"),
            ("http://db:+80", "has a bad port"),
            ("http://db:0", "has a bad port"),
            ("http://db:65536", "has a bad port"),
            ("http://[::1]:x", "has a bad port"),
            ("http://::1:8086", "has a bad host"),
            ("http://[::1", "has a bad host"),
            ("http://[::1]8086", "has a bad host"),
            ("http://[db]", "has a bad host"),
            ("http://a b", "has a bad host"),
            ("http://d\u{f6}ner", "has a bad host"),
            ("http://me:%ff@db", "has bad credentials"),
            ("http://me%3Ayou:pw@db", "has a bad user name"),
            ("http://db/a b", "holds a character that a URL cannot hold"),
            ("http://db/\u{1}", "holds a character that a URL cannot hold"),
        ];
        for (text, problem) in rows {
            let told = WriteUrl::parse(text).expect_err(text);
            assert!(told.contains(problem), "{text}: {told}");
            assert!(told.contains(": expected "), "{text}: {told}");
        }
    }

    #[test]
    fn no_form_of_a_url_shows_its_secrets() {
        let bad = [
            "ftp://me:hunter2@db",
            "me:hunter2@db:8086",
            "me:hunter2://@db",
            "http://me:hunter2@db:x",
            "http://me:hunter2#@db",
            "http://me:hunter2/@db",
            "http://me:hunter2?@db",
            "http://me:hunter2/x@y@db:x",
            "http://me:hunter2@a b",
            "http%3A%2F%2Fme:hunter2%40db",
            "http://me:hunter2%40db",
            "http://db:x/?p=hunter2",
            "http://db:x/?u=me&hunter2",
            "http://db/ ?token=hunter2#",
            "http://me:hunter2%ff@db",
        ];
        for text in bad {
            let told = WriteUrl::parse(text).expect_err(text);
            assert!(!told.contains("hunter2"), "{told}");
        }
        let url = parsed("http://me:hunter2@db:8086/w?key=hunter2&db=plain&hunter2&p=hunter2");
        assert_eq!(format!("{url:?}"), "http://***@db:8086/w?key=***&db=plain&***");
    }
}
