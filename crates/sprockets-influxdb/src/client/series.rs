//! Prepared series: database, name and tags that many measurements share, escaped once.

use std::fmt;

use super::handle::Client;
use crate::error::Result;
use crate::measurement::Measurement;
use crate::spare;

/// Database, name and tags of many measurements, escaped once. Made by [`Client::series`]. Any
/// thread may use it.
///
/// ```
/// # use std::time::Duration;
/// # use sprockets_influxdb::{Client, Config};
/// # let server = sprockets_influxdb::testing::Server::start();
/// # let client = Client::new(Config::new().url(&server.url()))?;
/// let requests = client.series("example", "request");
/// let users = requests.bind("handler", "Users");
/// users.record(|measurement| {
///     measurement.set_tag("method", "GET").set_field("duration", 0.01);
/// })?;
/// # assert!(client.flush(Duration::from_secs(30)).is_complete());
/// # assert_eq!(server.points("example")[0].tag("handler"), Some("Users"));
/// # Ok::<(), sprockets_influxdb::Error>(())
/// ```
#[derive(Clone)]
pub struct Series {
    client: Client,
    head: Measurement,
}

impl Client {
    /// A prepared series of that name in a database: what its measurements share is escaped once.
    /// An empty database is the [default one](crate::Config::database).
    pub fn series(&self, database: &str, name: &str) -> Series {
        Series { client: self.clone(), head: Measurement::new(database, name) }
    }
}

impl Series {
    /// The same series with one more tag. An empty value removes it.
    #[must_use]
    pub fn bind(&self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let mut bound = self.clone();
        bound.head.set_tag(name, value);
        bound
    }

    /// Records a measurement of this series: `fill` sets its fields, and the tags that differ each
    /// time. Its timestamp is the current time unless `fill` sets another. Allocates nothing once
    /// the thread has recorded before.
    ///
    /// # Errors
    ///
    /// Those of [`Client::add_measurement`].
    pub fn record(&self, fill: impl FnOnce(&mut Measurement)) -> Result<()> {
        let mut measurement = spare::take();
        measurement.restart_as(&self.head);
        fill(&mut measurement);
        let added = self.client.add_measurement(&measurement);
        spare::keep(measurement);
        added
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("head", &self.head).finish_non_exhaustive()
    }
}
