//! Makes text from outside fit for a log: one short line, without the secrets of our requests.
//! Servers and proxies echo what they were sent.

use std::borrow::Cow;
use std::fmt;

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{Auth, Server, secret_values};
use crate::printable::is_printable;

/// The characters of a text that are kept.
const LIMIT: usize = 500;

/// What is shown in the place of a secret.
const MASK: &str = "***";

/// In bytes. A shorter secret is masked only where it stands alone: it would be found within many
/// words.
const MIN_WITHIN_WORDS: usize = 4;

/// What a query has to encode: all but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secrets that requests carry, in each form in which they may come back.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// The longest first: some are parts of others.
    forms: Vec<String>,
}

impl Secrets {
    /// The secrets of requests to `server`.
    pub(super) fn of(server: &Server) -> Self {
        let mut secrets = Self::default();
        match &server.auth {
            Auth::None => {}
            Auth::Basic { user, password } => secrets.add_basic(user, password.expose()),
            Auth::Token(token) => {
                secrets.add(token.expose());
                // InfluxDB 1.8 takes `user:password` as a token.
                if let Some((_, password)) = token.expose().split_once(':') {
                    secrets.add(password);
                }
            }
        }
        for value in server.query.as_deref().into_iter().flat_map(secret_values) {
            secrets.add(&value);
        }
        secrets
    }

    /// Adds the credentials of a Basic authentication.
    pub(super) fn add_basic(&mut self, user: &str, password: &str) {
        if !password.is_empty() {
            self.add(password);
            self.add_base64(&format!("{user}:{password}"));
            self.sort();
        }
    }

    fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let percent = utf8_percent_encode(secret, QUERY).to_string();
        let quoted = format!("{secret:?}");
        let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.forms.extend([
            secret.to_owned(),
            quoted[1..quoted.len() - 1].to_owned(),
            html.replace('"', "&#34;").replace('\'', "&#39;"),
            html.replace('"', "&quot;").replace('\'', "&#x27;"),
            percent.replace("%20", "+"),
            lower_hexadecimal(&percent),
            percent,
        ]);
        self.add_base64(secret);
        self.sort();
    }

    fn add_base64(&mut self, secret: &str) {
        let padded = BASE64_STANDARD.encode(secret);
        let percent = utf8_percent_encode(&padded, QUERY).to_string();
        self.forms.extend([
            lower_hexadecimal(&percent),
            percent,
            BASE64_URL_SAFE.encode(secret),
            BASE64_STANDARD_NO_PAD.encode(secret),
            padded,
        ]);
    }

    fn sort(&mut self) {
        self.forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.forms.dedup();
    }

    /// The text with a mask in the place of each secret.
    fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = Cow::Owned(mask_one(&text, form));
            }
        }
        text
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// One line of the text, without characters that control a terminal and without
/// `secrets`, and not too long.
pub(super) fn sanitize(text: &str, secrets: &Secrets) -> String {
    let masked = secrets.mask(text.trim());
    let mut characters = masked.chars();
    let kept = characters.by_ref().take(LIMIT);
    let mut line: String = kept.map(|c| if is_printable(c) { c } else { ' ' }).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

fn mask_one(text: &str, secret: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for (start, found) in text.match_indices(secret) {
        let after = start + found.len();
        if found.len() >= MIN_WITHIN_WORDS || is_word(&text[..start], &text[after..]) {
            masked.push_str(&text[end..start]);
            masked.push_str(MASK);
            end = after;
        }
    }
    masked + &text[end..]
}

/// Whether what stands between these two does not go on in them.
fn is_word(before: &str, after: &str) -> bool {
    !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
}

/// The percent-encoding with small letters in its numbers.
fn lower_hexadecimal(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (number, rest) = part.split_at(part.len().min(2));
        text + "%" + &number.to_ascii_lowercase() + rest
    })
}

#[cfg(test)]
mod tests;
