//! The proxy that the environment names for a server: `http_proxy`, `https_proxy`, `all_proxy` and
//! `no_proxy`, in lower or upper case, as curl and Go read them. A loopback server has none.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use crate::config::is_loopback;
use crate::error::{Error, Result};

/// The proxy for `server`, if any, and the variable that names it. `variable` looks up the
/// environment.
///
/// # Errors
///
/// A value that is not a proxy's URL. The error names the variable, but not the value.
pub(super) fn for_server(
    server: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(Proxy, &'static str)>> {
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
    let names: &[&'static str] = match server.scheme_str() {
        Some("https") => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // In a CGI process HTTP_PROXY is a header of the request, not a setting.
        _ if variable("REQUEST_METHOD").is_some() => &["http_proxy", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, value)) = names.iter().find_map(|name| Some((*name, variable(name)?))) else {
        return Ok(None);
    };
    // The value may contain a password.
    let unusable = |_| {
        Error::configuration(format!(
            "{name} is not a proxy's URL; expected http://[user:password@]host:port"
        ))
    };
    Proxy::new(value.trim()).map(|proxy| Some((proxy, name))).map_err(unusable)
}

/// Whether `no_proxy` lists the host: by name, by parent domain, by address, by network, or by `*`.
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
    // A prefix length of 0 shifts everything out.
    let host_bits = bits - length.min(bits);
    (ip ^ address).checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests;
