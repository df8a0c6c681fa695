//! What the played product makes of a write: one interface for the strict server and InfluxDB 3.

use crate::batch::{Batch, Terms};
use crate::dialect::{Dialect, MAX_BODY};
use crate::http::{Head, Reply};
use crate::influxdb3;
use crate::product::Product;
use crate::shared::{Settings, State};

/// A write whose head makes sense.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Strict {
        terms: Terms,
        limit: Option<usize>,
        /// Whether bad lines are skipped without a word, as by VictoriaMetrics.
        skips_bad_lines: bool,
    },
    InfluxDb3(influxdb3::Write),
}

/// A body whose lines are read, before anything is stored.
pub(crate) enum Lines<'a> {
    Strict { terms: &'a Terms, batch: Batch<'a>, skips_bad_lines: bool },
    InfluxDb3(influxdb3::Batch<'a>),
}

impl Plan {
    /// From the head of the request, or the reply to one that lacks something.
    pub(crate) fn new(settings: &Settings, api: Dialect, head: &Head) -> Result<Self, Reply> {
        let limit = settings.max_body_size;
        match settings.product.influxdb3() {
            None => Ok(Plan::Strict {
                terms: Terms::new(api, head)?,
                limit,
                skips_bad_lines: settings.product == Product::VictoriaMetrics,
            }),
            Some(edition) => influxdb3::Write::new(edition, api, head, limit).map(Plan::InfluxDb3),
        }
    }

    /// Most bytes of a body on the wire.
    pub(crate) fn limit(&self) -> usize {
        match self {
            Plan::Strict { limit, .. } => limit.unwrap_or(MAX_BODY),
            Plan::InfluxDb3(write) => write.limit(),
        }
    }

    pub(crate) fn too_large(&self, api: Dialect) -> Reply {
        match self {
            Plan::Strict { .. } => api.too_large(self.limit()),
            Plan::InfluxDb3(write) => write.too_large(),
        }
    }

    /// The body as text, or the reply to one that cannot be unpacked.
    pub(crate) fn unpack(
        &self,
        api: Dialect,
        head: &Head,
        wire: Vec<u8>,
    ) -> Result<Vec<u8>, Reply> {
        match self {
            Plan::Strict { .. } => api.decompress(head, wire),
            Plan::InfluxDb3(write) => write.unpack(head, wire),
        }
    }

    /// Reads the lines, without those that the predicate holds for.
    pub(crate) fn read<'a>(
        &'a self,
        body: &'a [u8],
        rejects: Option<&dyn Fn(&str) -> bool>,
    ) -> Lines<'a> {
        match self {
            Plan::Strict { terms, skips_bad_lines, .. } => Lines::Strict {
                terms,
                batch: Batch::read(terms, body, rejects),
                skips_bad_lines: *skips_bad_lines,
            },
            Plan::InfluxDb3(write) => Lines::InfluxDb3(write.read(body, rejects)),
        }
    }
}

impl Lines<'_> {
    /// Stores what is stored, and says what is answered: nothing if the server breaks down.
    pub(crate) fn store(self, state: &mut State) -> Option<Reply> {
        match self {
            Lines::Strict { terms, batch, skips_bad_lines } => {
                let database = state.databases.entry(terms.database.clone()).or_default();
                Some(if skips_bad_lines {
                    batch.store_good_lines(database)
                } else {
                    batch.store(database)
                })
            }
            Lines::InfluxDb3(batch) => batch.store(&mut state.catalog, &mut state.databases),
        }
    }
}
