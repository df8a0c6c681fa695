//! The setting that the address of the server comes from, for advice.

use crate::config::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressSetting {
    /// `INFLUXDB_URL`.
    Url,
    /// `INFLUXDB_SCHEME`, `INFLUXDB_HOST` and `INFLUXDB_PORT`.
    Parts,
}

impl AddressSetting {
    pub(super) fn of(server: &Server) -> Self {
        if server.has_url { Self::Url } else { Self::Parts }
    }

    pub(super) fn host(self) -> &'static str {
        match self {
            Self::Url => "INFLUXDB_URL",
            Self::Parts => "INFLUXDB_HOST",
        }
    }

    pub(super) fn host_and_port(self) -> &'static str {
        match self {
            Self::Url => "INFLUXDB_URL",
            Self::Parts => "INFLUXDB_HOST and INFLUXDB_PORT",
        }
    }

    pub(super) fn all(self) -> &'static str {
        match self {
            Self::Url => "INFLUXDB_URL",
            Self::Parts => "INFLUXDB_SCHEME, INFLUXDB_HOST and INFLUXDB_PORT",
        }
    }

    pub(super) fn use_https(self) -> &'static str {
        match self {
            Self::Url => "write https:// in INFLUXDB_URL",
            Self::Parts => "set INFLUXDB_SCHEME=https",
        }
    }

    pub(super) fn use_http(self) -> &'static str {
        match self {
            Self::Url => "write http:// in INFLUXDB_URL",
            Self::Parts => "set INFLUXDB_SCHEME=http",
        }
    }
}
