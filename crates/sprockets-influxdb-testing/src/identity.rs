//! The headers by which a product can be told.

use std::time::SystemTime;

use crate::http::Reply;
use crate::product::Product;

/// The release that the strict server claims to be.
pub(crate) const VERSION: &str = "1.8.10";

/// Adds what every reply of a product has. Write replies of InfluxDB 3 do not tell what it is.
pub(crate) fn identified(product: Product, reply: Reply) -> Reply {
    let reply = reply.header("Date", httpdate::fmt_http_date(SystemTime::now()));
    match product {
        Product::Strict => reply.header("X-Influxdb-Version", VERSION),
        Product::InfluxDb3_6 | Product::InfluxDb3_10 => reply,
    }
}
