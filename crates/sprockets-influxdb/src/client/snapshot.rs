//! The configuration in force, prepared so that adding a measurement only looks things up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::buffer::{Intake, Limits, Size};
use crate::config::{Api, Config, Precision, Settings};
use crate::delivery::{self, OwnCounters, Route, Transport};
use crate::error::{Error, Result};
use crate::measurement::BaseTags;

/// How long the first measurement of a process waits, so that a wrong configuration shows within
/// seconds.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// The configuration in force. A change replaces it as a whole.
pub(super) struct Snapshot {
    pub(super) config: Config,
    pub(super) settings: Settings,
    pub(super) is_enabled: bool,
    pub(super) base_tags: BaseTags,
    /// The database of measurements that name none. Empty: there is none.
    default_database: String,
    pub(super) precision: Precision,
    /// Nanoseconds in a unit of the precision.
    pub(super) divisor: i64,
    /// Whether the server's API has a type for unsigned integers.
    pub(super) has_unsigned: bool,
    pub(super) transport: Arc<dyn Transport>,
}

impl Snapshot {
    pub(super) fn new(config: Config) -> Result<Self> {
        let settings = config.resolve()?;
        let transport = delivery::transport(&settings.server)?;
        Ok(Self::with_transport(config, settings, transport))
    }

    pub(super) fn with_transport(
        config: Config,
        settings: Settings,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let values = &settings.values;
        let base_tags = values.base_tags.value.iter().map(|(name, value)| (&**name, &**value));
        Self {
            is_enabled: values.enabled.value,
            base_tags: BaseTags::new(base_tags),
            default_database: values.database.value.clone().unwrap_or_default(),
            precision: values.precision.value,
            divisor: values.precision.value.divisor(),
            has_unsigned: settings.server.api != Api::V1,
            config,
            settings,
            transport,
        }
    }

    /// The configuration after a change. Connections are kept unless the server has changed.
    pub(super) fn changed(&self, change: impl FnOnce(Config) -> Config) -> Result<Self> {
        let config = change(self.config.clone());
        let settings = config.resolve()?;
        if settings.spool() != self.settings.spool() {
            let problem =
                "the spool cannot be changed while the client lives: make another client for it";
            return Err(Error::configuration(problem));
        }
        let transport = if settings.server == self.settings.server {
            self.transport.clone()
        } else {
            delivery::transport(&settings.server)?
        };
        Ok(Self::with_transport(config, settings, transport))
    }

    /// The database of a measurement that names this one, or none. Empty if there is none.
    #[inline]
    pub(super) fn database<'a>(&'a self, named: &'a [u8]) -> &'a [u8] {
        if named.is_empty() { self.default_database.as_bytes() } else { named }
    }

    /// Logs the warnings that the configuration before did not have.
    pub(super) fn log_warnings(&self, before: Option<&Self>) {
        let is_new = |warning: &&String| {
            before.is_none_or(|before| !before.settings.warnings.contains(warning))
        };
        for warning in self.settings.warnings.iter().filter(is_new) {
            tracing::warn!("{warning}");
        }
        for warning in self.settings.unknown.iter().filter(|warning| is_first(warning)) {
            tracing::warn!("{warning}");
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let values = &self.settings.values;
        Limits {
            buffer: Size {
                lines: values.max_buffer_size.value,
                bytes: values.max_buffer_bytes.value,
            },
            batch: Size { lines: values.max_batch_size.value, bytes: values.max_batch_bytes.value },
            trigger_size: values.trigger_size.value,
            submission_interval: values.submission_interval.value,
            first_interval: FIRST_INTERVAL,
            sample_probability: values.sample_probability.value,
            overflow: values.overflow.value,
            block_timeout: values.block_timeout.value,
            spool_bytes: values.spool_max_bytes.value,
        }
    }

    pub(super) fn intake(&self) -> Intake {
        if self.is_enabled { Intake::Open } else { Intake::Disabled }
    }

    fn own_counters(&self) -> Option<OwnCounters> {
        let values = &self.settings.values;
        let database = values.self_database.value.as_deref()?.into();
        let interval = values.submission_interval.value;
        Some(OwnCounters { database, precision: self.precision, interval })
    }

    pub(super) fn route(&self) -> Route {
        Route {
            transport: self.transport.clone(),
            address: self.settings.server.url.clone(),
            on_rejected: self.settings.on_rejected.clone(),
            own_counters: self.own_counters(),
            summary: self.settings.summary(),
        }
    }
}

/// Whether this process has not logged a warning yet that is about its environment.
fn is_first(warning: &str) -> bool {
    static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Another thread may have held the lock when this process was forked.
    LOGGED.try_lock().map_or(true, |mut logged| logged.insert(warning.to_owned()))
}
