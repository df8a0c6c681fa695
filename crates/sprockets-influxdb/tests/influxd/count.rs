//! How many points an influxd has.

use super::server::Influxd;

impl Influxd {
    /// How many points have that field.
    pub(crate) fn count(&self, database: &str, measurement: &str, field: &str) -> u64 {
        let query = format!("SELECT count(\"{field}\") FROM \"{measurement}\"");
        let result = self.query(database, &query);
        result["results"][0]["series"][0]["values"][0][1].as_u64().unwrap_or_default()
    }
}
