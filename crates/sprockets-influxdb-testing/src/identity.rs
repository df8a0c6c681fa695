//! The headers that identify a product.

use std::time::SystemTime;

use crate::http::Reply;
use crate::product::Product;

/// The release that the strict server claims to be.
pub(crate) const VERSION: &str = "1.8.10";

const REQUEST: &str = "00000000-0000-11f0-8001-000000000000";

/// Adds what every reply of a product has. Write replies of InfluxDB 3 do not tell what it is.
pub(crate) fn identified(product: Product, is_write: bool, reply: Reply) -> Reply {
    let reply = reply.header("Date", httpdate::fmt_http_date(SystemTime::now()));
    match product {
        Product::Strict => reply.header("X-Influxdb-Version", VERSION),
        Product::InfluxDb1_6 => reply
            .header("Request-Id", REQUEST)
            .header("X-Influxdb-Build", "OSS")
            .header("X-Influxdb-Version", "1.6.7~rc0")
            .header("X-Request-Id", REQUEST),
        Product::InfluxDb2_7 => {
            reply.header("X-Influxdb-Build", "OSS").header("X-Influxdb-Version", "v2.7.12")
        }
        Product::VictoriaMetrics if is_write => reply.header("X-Influxdb-Version", "1.8.0"),
        Product::VictoriaMetrics | Product::InfluxDb3_6 | Product::InfluxDb3_10 => reply,
    }
}
