//! The configuration in force, and what is prepared of it, so that adding a measurement only looks it up.

use std::sync::Arc;

use crate::buffer::{Amount, Door, Limits};
use crate::config::{Api, Config, Settings};
use crate::delivery::{HttpTransport, Route, Transport};
use crate::error::{Error, Result};
use crate::measurement::BaseTags;

/// The configuration in force, and what is prepared of it.
pub(super) struct Snapshot {
    pub(super) config: Config,
    pub(super) settings: Settings,
    pub(super) base_tags: BaseTags,
    /// Nanoseconds in a unit of the precision.
    pub(super) divisor: i64,
    pub(super) has_unsigned: bool,
    pub(super) transport: Arc<dyn Transport>,
}

impl Snapshot {
    pub(super) fn new(config: Config) -> Result<Self> {
        let settings = config.resolve()?;
        let transport = Arc::new(HttpTransport::new(&settings.server)?);
        Ok(Self::with_transport(config, settings, transport))
    }

    pub(super) fn with_transport(
        config: Config,
        settings: Settings,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let base_tags = settings.base_tags.iter().map(|(name, value)| (&**name, &**value));
        Self {
            base_tags: BaseTags::new(base_tags),
            divisor: settings.precision.divisor(),
            has_unsigned: settings.server.api != Api::V1,
            config,
            settings,
            transport,
        }
    }

    /// What is to be in force after a change. Connections are kept, unless they would go elsewhere or otherwise.
    pub(super) fn changed(&self, change: impl FnOnce(Config) -> Result<Config>) -> Result<Self> {
        let config = change(self.config.clone())?;
        let settings = config.resolve()?;
        if settings.spool != self.settings.spool {
            let problem =
                "the spool cannot be changed while the client lives: make another client for it";
            return Err(Error::configuration(problem));
        }
        if settings.server == self.settings.server {
            return Ok(Self::with_transport(config, settings, self.transport.clone()));
        }
        Self::new(config)
    }

    pub(super) fn warn(&self) {
        for warning in &self.settings.warnings {
            tracing::warn!("{warning}");
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let settings = &self.settings;
        Limits {
            buffer: Amount { lines: settings.max_buffer_size, bytes: settings.max_buffer_bytes },
            batch: Amount { lines: settings.max_batch_size, bytes: settings.max_batch_bytes },
            trigger_size: settings.trigger_size,
            submission_interval: settings.submission_interval,
            sample_probability: settings.sample_probability,
            overflow: settings.overflow,
            block_timeout: settings.block_timeout,
            spool_bytes: settings.spool_max_bytes,
        }
    }

    pub(super) fn door(&self) -> Door {
        if self.settings.enabled { Door::Open } else { Door::Disabled }
    }

    pub(super) fn route(&self) -> Route {
        Route {
            transport: self.transport.clone(),
            address: self.settings.server.url.clone(),
            on_rejected: self.settings.on_rejected.clone(),
        }
    }
}
