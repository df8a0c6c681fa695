//! Which server is played.

use std::fmt;
use std::str::FromStr;

use crate::dialect::Dialect;
use crate::influxdb3::Edition;
use crate::unknown_name::UnknownName;

/// The server that a [`Server`](crate::Server) plays.
///
/// [`Display`](fmt::Display) and [`FromStr`] use the [`name`](Self::name).
///
/// For InfluxDB 3 the server has that product's own parser, catalog, limits, authentication and
/// errors:
///
/// | what | 3.6.0 (measured) | 3.10.1 (read in its sources) |
/// |---|---|---|
/// | body over the limit (10 MiB) | 500, on `/api/v2/write` 413 | 413 |
/// | not UTF-8, bad gzip | 500, on `/api/v2/write` 400 | 400 |
/// | several gzip members | stores the first, answers 204 | stores all |
/// | no token, wrong token | 401 without a body | 401 with JSON |
/// | reply that cuts a line inside a character | closes the connection | cuts before it |
/// | databases, tables, columns | 5, 2,000, 500 | 100, 4,000, 500 |
/// | name, tag value or string | 64 KiB | 1 MiB |
///
/// Of both: write replies do not tell what the server is. A write creates its database, an empty
/// one too. `/write` names one bad line, `/api/v2/write` none, `/api/v3/write_lp` all. Duplicate
/// tags are answered 204, and their table cannot be read any more. Of queries only `SHOW DATABASES`
/// is played.
///
/// ```
/// use sprockets_influxdb_testing::{Product, Server};
///
/// let server = Server::start_as(Product::InfluxDb3_6);
/// let url = format!("{}/ping", server.url());
/// let reply = ureq::get(&url).call().unwrap();
/// assert_eq!(reply.headers()["x-influxdb-version"], "3.6.0");
/// assert_eq!("influxdb-3.6".parse(), Ok(Product::InfluxDb3_6));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Product {
    /// `strict`: all write APIs of InfluxDB 1.x, 2.x and 3.x, and only the lines that each of them
    /// stores alike. No real server is like that; it is the best check of what a client sends.
    #[default]
    Strict,
    /// `influxdb-1.6`: InfluxDB 1.6.7, with `/write` alone. Lines are read by the strict parser.
    InfluxDb1_6,
    /// `influxdb-2.7`: InfluxDB 2.7.12, read in its sources. Lines are read by the strict parser.
    InfluxDb2_7,
    /// `victoriametrics`: VictoriaMetrics 1.79.5. It skips the lines that the strict parser
    /// refuses, and answers 204.
    VictoriaMetrics,
    /// `influxdb-3.6`: InfluxDB 3 Core 3.6.0, as measured on a real one.
    InfluxDb3_6,
    /// `influxdb-3.10`: InfluxDB 3 Core 3.10.1. What differs from 3.6.0 was read in the sources.
    InfluxDb3_10,
}

impl Product {
    /// Every product, in the order of their declaration.
    pub const ALL: &[Product] = &[
        Product::Strict,
        Product::InfluxDb1_6,
        Product::InfluxDb2_7,
        Product::VictoriaMetrics,
        Product::InfluxDb3_6,
        Product::InfluxDb3_10,
    ];

    /// The name: lower case, the product's own and the version.
    pub fn name(self) -> &'static str {
        match self {
            Product::Strict => "strict",
            Product::InfluxDb1_6 => "influxdb-1.6",
            Product::InfluxDb2_7 => "influxdb-2.7",
            Product::VictoriaMetrics => "victoriametrics",
            Product::InfluxDb3_6 => "influxdb-3.6",
            Product::InfluxDb3_10 => "influxdb-3.10",
        }
    }

    pub(crate) fn influxdb3(self) -> Option<Edition> {
        match self {
            Product::InfluxDb3_6 => Some(Edition::V3_6),
            Product::InfluxDb3_10 => Some(Edition::V3_10),
            _ => None,
        }
    }

    /// The write API at a path.
    pub(crate) fn api_at(self, path: &str) -> Option<Dialect> {
        let (api, is_here) = match path {
            "/write" => (Dialect::V1, true),
            "/influx/write" => (Dialect::V1, self == Product::VictoriaMetrics),
            "/api/v2/write" => (Dialect::V2, self != Product::InfluxDb1_6),
            "/influx/api/v2/write" => (Dialect::V2, self == Product::VictoriaMetrics),
            "/api/v3/write_lp" => {
                (Dialect::V3, self == Product::Strict || self.influxdb3().is_some())
            }
            _ => return None,
        };
        is_here.then_some(api)
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Product {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find(name, Product::ALL)
    }
}
