//! The page, which is the same for every framework, and its response.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

/// The page. It shows the JSON that the same URL has with `?format=json`.
pub(crate) const PAGE: &str = include_str!("page.html");

/// Allows only the script and the style of the page.
pub(crate) fn content_security_policy() -> String {
    let [script, style] = ["script", "style"].map(|element| {
        let text = PAGE
            .split_once(&format!("<{element}>"))
            .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")).map(|(text, _)| text));
        STANDARD.encode(sha256(text.unwrap_or_default().as_bytes()))
    });
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The hash of the cipher suite, so that no other crate is needed for it.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => {
            suite.common.hash_provider.hash(bytes).as_ref().to_vec()
        }
        _ => Vec::new(),
    }
}

/// The headers of both forms. Nobody caches them.
#[cfg(any(feature = "actix", feature = "axum"))]
pub(super) const HEADERS: [(&str, &str); 2] =
    [("cache-control", "no-store"), ("x-content-type-options", "nosniff")];

/// Whether a request asks for JSON: by its query, or else by its header `Accept`.
#[cfg(any(feature = "actix", feature = "axum"))]
pub(super) fn wants_json(query: &str, accept: &str) -> bool {
    let format = query.split('&').rev().find_map(|pair| pair.strip_prefix("format="));
    match format {
        Some(format) => format == "json",
        None => accept.contains("application/json") && !accept.contains("text/html"),
    }
}
