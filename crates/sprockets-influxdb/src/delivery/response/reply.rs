//! A server's reply, as far as it was read.

use std::time::SystemTime;

use ureq::http::header::{CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue};

use crate::config::Api;
use crate::delivery::address_setting::AddressSetting;
use crate::delivery::sanitize::{Secrets, sanitize};

const INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

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
    /// Where the request's address comes from.
    pub(crate) address: AddressSetting,
}

impl Reply<'_> {
    pub(super) fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// `X-Influxdb-Error`: the first 1,024 bytes of the error.
    pub(super) fn error_header(&self) -> Option<&[u8]> {
        self.header(&INFLUXDB_ERROR)
    }

    pub(super) fn retry_after(&self) -> Option<&str> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()
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
