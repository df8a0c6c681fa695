//! A server's reply, as far as it was read.

use std::time::SystemTime;

use crate::config::Api;

#[derive(Clone, Debug)]
pub(crate) struct Reply<'a> {
    /// The API that the request used.
    pub(crate) api: Api,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'a str>,
    pub(crate) location: Option<&'a str>,
    /// `X-Influxdb-Error`: the first 1,024 bytes of the error.
    pub(crate) error_header: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    /// Whether the body goes on after what was read of it.
    pub(crate) truncated: bool,
    /// When the reply came. A date in `Retry-After` is compared with it.
    pub(crate) now: SystemTime,
}
