//! A server's reply, as far as it was read.

use std::time::{Duration, SystemTime};

use ureq::http::header::{CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue};

use crate::config::{Api, Names};
use crate::delivery::sanitize::{Secrets, sanitize};

const INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// The longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub(crate) struct Reply<'a> {
    /// The API that the request used.
    pub(crate) api: Api,
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// Whether the body goes on after what was read of it.
    pub(crate) truncated: bool,
    /// When the reply came. A date in `Retry-After` is compared with it.
    pub(crate) now: SystemTime,
    /// Those of the request, which the reply may echo.
    pub(crate) secrets: &'a Secrets,
    /// The names of the settings, for advice.
    pub(crate) names: &'a Names,
}

impl Reply<'_> {
    pub(super) fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// `X-Influxdb-Error`: the first 1,024 bytes of the error.
    pub(super) fn error_header(&self) -> Option<&[u8]> {
        self.header(&INFLUXDB_ERROR)
    }

    /// The wait that the server asks for in `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        parse_retry_after(self.headers.get(RETRY_AFTER)?.to_str().ok()?, self.now)
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// Whether there is no body at all.
    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty() && !self.truncated
    }

    /// Whether the body is a page for a browser.
    pub(super) fn is_page(&self) -> bool {
        let is_html = |kind: &[u8]| String::from_utf8_lossy(kind).contains("html");
        self.header(&CONTENT_TYPE).is_some_and(is_html)
            || self.body.trim_ascii_start().first() == Some(&b'<')
    }

    /// The text of a header, or a part of the body, for a person.
    pub(super) fn sanitize(&self, text: &str) -> String {
        sanitize(text, self.secrets)
    }
}

/// Reads either form of `Retry-After`, seconds or a date. `None` if it is neither, or a date in the
/// past.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_an_hour_is_the_limit() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let wait = |value| parse_retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("86400"), Some(3600));
        assert_eq!(wait("18446744073709551616"), None);
        assert_eq!(wait("-1"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait(""), None);
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30));
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:10 GMT"), None);
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3600));
    }
}
