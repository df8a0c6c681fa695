//! Secrets, and text without them for errors and for the settings shown to people.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Shown instead of a secret.
pub(super) const MASK: &str = "***";

/// A password or a token. Its `Debug` shows `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Only the request's header may use it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Secret {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Quotes a text for an error message, without control characters and cut to a bounded length.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Masks credentials and query values in a text that should be a URL.
pub(super) fn masked(text: &str) -> String {
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let (scheme, rest) = match text.find("://") {
        Some(end) if text[..end].bytes().all(is_scheme) => text.split_at(end + 3),
        _ => ("", text),
    };
    // Up to the last `@`: a password that is not percent-encoded may contain any character.
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
const HARMLESS: [&str; 10] = [
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
    let secrets = pairs.filter(|(name, value)| !HARMLESS.contains(name) && !value.is_empty());
    secrets.map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// Masks every value of a query that is not known to be harmless.
pub(super) fn masked_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if HARMLESS.contains(&name) => pair.to_owned(),
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}
