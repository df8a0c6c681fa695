//! The proxy that the usual environment variables name for a server: `http_proxy`, `https_proxy`, `all_proxy` and
//! `no_proxy`, in either case, read as curl and Go read them. There is never one before a loopback server.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use crate::config::is_loopback;
use crate::error::{Error, Result};

/// The proxy on the way to `server`, if any. `variable` looks up the environment.
pub(super) fn for_server(
    server: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>> {
    let host = server
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase();
    let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let exceptions = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    if is_loopback(&host) || is_excepted(&host, server.port_u16(), &exceptions) {
        return Ok(None);
    }
    let names: &[&str] = match server.scheme_str() {
        Some("https") => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // In a CGI process HTTP_PROXY is a header of the request, not a setting.
        _ if variable("REQUEST_METHOD").is_some() => &["http_proxy", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, value)) = names.iter().find_map(|name| Some((name, variable(name)?))) else {
        return Ok(None);
    };
    // Its value may hold a password.
    let unusable = |_| {
        Error::configuration(format!(
            "{name} is not a proxy's URL; expected http://[user:password@]host:port"
        ))
    };
    Proxy::new(value.trim()).map(Some).map_err(unusable)
}

/// Whether `no_proxy` lists the host: by its name or a domain above it, by its address or a network around it, or by `*`.
fn is_excepted(host: &str, port: Option<u16>, no_proxy: &str) -> bool {
    no_proxy.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        let entry = match entry.rsplit_once(':') {
            Some((name, number)) if !name.contains(':') => {
                if number.parse().ok() != port {
                    return false;
                }
                name
            }
            _ => entry.as_str(),
        };
        let domain = entry.trim_start_matches('*').trim_start_matches('.');
        match host.parse::<IpAddr>() {
            _ if entry == "*" => true,
            Ok(ip) => is_in_network(ip, entry),
            Err(_) => {
                !domain.is_empty()
                    && host
                        .strip_suffix(domain)
                        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
        }
    })
}

fn is_in_network(ip: IpAddr, network: &str) -> bool {
    let (address, length) = network.split_once('/').unwrap_or((network, "128"));
    let (Ok(address), Ok(length)) =
        (address.trim_matches(['[', ']']).parse::<IpAddr>(), length.parse::<u32>())
    else {
        return false;
    };
    let (ip, address, bits) = match (ip, address) {
        (IpAddr::V4(ip), IpAddr::V4(address)) => {
            (u128::from(ip.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(address)) => (ip.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    // A length of 0 shifts everything out.
    let host_bits = bits - length.min(bits);
    (ip ^ address).checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = for_server(&server.parse().unwrap(), lookup).unwrap();
        proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let all = [
            ("HTTP_PROXY", "http://plain:1"),
            ("HTTPS_PROXY", "http://tls:2"),
            ("ALL_PROXY", "socks5://any:3"),
        ];
        assert_eq!(proxy("http://db.example:8086", &all).as_deref(), Some("plain:1"));
        assert_eq!(proxy("https://db.example:8086", &all).as_deref(), Some("tls:2"));
        assert_eq!(proxy("https://db.example:8086", &all[2..]).as_deref(), Some("any:3"));
        assert_eq!(
            proxy("http://db.example:8086", &[("HTTP_PROXY", "http://p:1"), ("http_proxy", "q:2")]),
            Some("q:2".into())
        );
        assert_eq!(proxy("http://db.example:8086", &[("HTTP_PROXY", " ")]), None);
        assert_eq!(proxy("http://db.example:8086", &[]), None);
        assert_eq!(
            proxy(
                "http://db.example:8086",
                &[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")]
            ),
            None
        );
    }

    #[test]
    fn a_loopback_server_has_no_proxy() {
        let all = [("all_proxy", "http://p:1")];
        for server in [
            "localhost:8086",
            "LOCALHOST",
            "a.localhost",
            "localhost.",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8086",
        ] {
            assert_eq!(proxy(&format!("http://{server}"), &all), None, "{server}");
        }
        assert!(proxy("http://localhost.example", &all).is_some());
    }

    #[test]
    fn no_proxy_lists_hosts_domains_and_networks() {
        let excepted = |server: &str, no_proxy: &str| {
            proxy(
                &format!("http://{server}"),
                &[("ALL_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)],
            )
            .is_none()
        };
        for entry in [
            "*",
            "db.example.com",
            ".example.com",
            "*.example.com",
            "a, Example.COM ,b",
            "x example.com:8086",
        ] {
            assert!(excepted("DB.example.com:8086", entry), "{entry}");
        }
        for entry in [
            "",
            ",",
            ".",
            "notexample.com",
            "example.com:1",
            "b.example.com",
            "ample.com",
            "10.0.0.0/8",
        ] {
            assert!(!excepted("db.example.com:8086", entry), "{entry}");
        }
        for entry in [
            "10.1.2.3",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "10.1.2.3/32",
            "10.1.2.3:8086",
            "fe80::/10,10.1.2.2/31",
        ] {
            assert!(excepted("10.1.2.3:8086", entry), "{entry}");
        }
        for entry in ["10.1.2.4", "11.0.0.0/8", "10.1.2.3/x", "2.3", "::/0"] {
            assert!(!excepted("10.1.2.3:8086", entry), "{entry}");
        }
        assert!(excepted("[fd00::5]:8086", "fd00::/8"));
        assert!(excepted("[fd00::5]:8086", "fd00::5"));
        assert!(!excepted("[fd00::5]:8086", "fe80::/10"));
    }

    #[test]
    fn an_unusable_value_is_named_but_not_shown() {
        let lookup = |name: &str| (name == "https_proxy").then(|| "gopher://u:secret@p".to_owned());
        let error =
            for_server(&"https://db.example".parse().unwrap(), lookup).unwrap_err().to_string();
        assert!(error.starts_with("https_proxy is not") && !error.contains("secret"), "{error}");
    }
}
