//! What a person has to do about a reply.

use super::classifier::Classifier;
use crate::config::Api;

pub(in crate::delivery) const LIMIT_REACHED: &str = "the server has as many databases or tables \
    as its limit allows: raise the limit, or correct the name";

pub(super) const TOO_LARGE_FOR_A_PROXY: &str = "what answers before the server takes no request \
    of this size: raise its limit (in nginx, client_max_body_size)";

/// Characters of the text of another server that are shown. A page begins with what it is.
const MAX_TEXT: usize = 200;

/// Characters of its headers that are shown.
const MAX_SOFTWARE: usize = 100;

impl Classifier<'_> {
    pub(super) fn no_such_api(&self) -> String {
        self.reply.names.no_such_api()
    }

    pub(super) fn rejected_credentials(&self) -> String {
        self.reply.names.rejected_credentials(self.reply.api)
    }

    pub(super) fn malformed_credentials(&self) -> String {
        format!(
            "the server cannot read the credentials, such as a password with a colon or a token \
             with a space: check {}",
            self.reply.names.credentials()
        )
    }

    pub(super) fn not_permitted(&self) -> String {
        let target = self.target();
        format!("no permission to write to {target}: grant it to the user or token")
    }

    /// The advice about an answer that no InfluxDB gives.
    pub(super) fn not_influxdb(&self) -> String {
        format!(
            "an answer that no InfluxDB gives: check {}, and any proxy before the server",
            self.reply.names.address()
        )
    }

    /// The advice about a success that confirms no write.
    pub(super) fn unconfirmed(&self) -> String {
        format!(
            "an answer that confirms no write: check {}, and any proxy before the server",
            self.reply.names.address()
        )
    }

    /// The advice, and what was answered.
    pub(super) fn explain(&self, advice: &str) -> String {
        format!("{advice} (server: {})", self.answer())
    }

    /// What was answered; by whom, if that is no InfluxDB.
    pub(super) fn answer(&self) -> String {
        let reason = self.body.reason();
        if self.server.is_influxdb() {
            return reason;
        }
        let by = match self.server.software() {
            "" => String::new(),
            software => format!(", {}", beginning(software, MAX_SOFTWARE)),
        };
        beginning(&reason, MAX_TEXT) + &by
    }

    /// The batch's database, by the API's name for it.
    pub(super) fn target(&self) -> String {
        let kind = if self.reply.api == Api::V2 { "bucket" } else { "database" };
        self.reply.sanitize(&format!("{kind} {:?}", self.batch.database()))
    }
}

fn beginning(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A URL without its user, its query and its fragment. What is odd is left out as well.
pub(super) fn without_secrets(url: &str) -> String {
    let url = &url[..url.find(['?', '#', ';']).unwrap_or(url.len())];
    let (scheme, rest) = match url.split_once("//") {
        Some((scheme, rest)) => (format!("{scheme}//"), rest),
        None => (String::new(), url),
    };
    let (authority, path) = match scheme.as_str() {
        "" => ("", rest),
        _ => rest.split_at(rest.find('/').unwrap_or(rest.len())),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // A path may hold another URL, with credentials.
    let path = if path.contains('@') || path.contains("%40") { "/…" } else { path };
    format!("{scheme}{host}{path}")
}
