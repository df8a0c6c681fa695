//! The configuration in force: every setting present, valid, and fitting the others.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::enums::{Overflow, Precision, SpoolSync};
use super::rejected::OnRejected;
use super::server::{Address, Server};
use super::types::Setting;
use super::table;
use super::parse::{self, Source};
use crate::error::Result;

/// What a client runs on. Made by [`Config::resolve`] only, so one that exists is valid.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) enabled: bool,
    pub(crate) server: Server,
    pub(crate) precision: Precision,
    /// More than zero.
    pub(crate) submission_interval: Duration,
    pub(crate) max_batch_size: usize,
    pub(crate) max_batch_bytes: usize,
    pub(crate) max_buffer_size: usize,
    pub(crate) max_buffer_bytes: usize,
    /// At most `max_buffer_size`.
    pub(crate) trigger_size: usize,
    pub(crate) max_clients: usize,
    pub(crate) sample_probability: f64,
    pub(crate) overflow: Overflow,
    pub(crate) block_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) spool: Option<SpoolSettings>,
    pub(crate) spool_max_bytes: usize,
    /// Hostname, environment, then the user's, each name once.
    pub(crate) base_tags: Vec<(String, String)>,
    pub(crate) on_rejected: Option<OnRejected>,
    /// What is odd but can be used: for the log, when the client starts.
    pub(crate) warnings: Vec<String>,
    table: Vec<Setting>,
}

/// Where the spool is, and what it survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolSettings {
    pub(crate) directory: PathBuf,
    pub(crate) sync: SpoolSync,
}

impl Config {
    /// The settings that this asks for, with defaults for the others.
    pub(crate) fn resolve(&self) -> Result<Settings> {
        let mut warnings = Vec::new();
        let enabled = self.enabled.or(true)?;
        let address = Address::resolve(self)?;
        let server = Server::resolve(self, &address, enabled, &mut warnings)?;

        let max_buffer_size = self.max_buffer_size.or(25_000)?;
        let mut trigger_size = self.trigger_size.or(5_000)?;
        if trigger_size > max_buffer_size {
            warnings.push(format!(
                "the trigger size is lowered from {trigger_size} to {max_buffer_size}, the most that the buffer holds"
            ));
            trigger_size = max_buffer_size;
        }

        let mut settings = Settings {
            enabled,
            server,
            precision: self.precision.or(Precision::default())?,
            submission_interval: self.submission_interval.or(Duration::from_secs(60))?,
            max_batch_size: self.max_batch_size.or(10_000)?,
            max_batch_bytes: self.max_batch_bytes.or(4 << 20)?,
            max_buffer_size,
            max_buffer_bytes: self.max_buffer_bytes.or(64 << 20)?,
            trigger_size,
            max_clients: self.max_clients.or(10)?,
            sample_probability: self.sample_probability.or(1.0)?,
            overflow: self.overflow.or(Overflow::default())?,
            block_timeout: self.block_timeout.or(Duration::from_secs(5))?,
            shutdown_timeout: self.shutdown_timeout.or(Duration::from_secs(5))?,
            spool: self.resolve_spool()?,
            spool_max_bytes: self.spool_max_bytes.or(1 << 30)?,
            base_tags: self.resolve_base_tags()?,
            on_rejected: self.on_rejected.as_ref().map(|hook| hook.0.clone()),
            warnings,
            table: Vec::new(),
        };
        settings.table = table::show(self, &settings, &address);
        Ok(settings)
    }

    fn resolve_spool(&self) -> Result<Option<SpoolSettings>> {
        let sync = self.spool_sync.or(SpoolSync::default())?;
        let directory = self.spool.value()?.filter(|directory| !directory.as_os_str().is_empty());
        if let (false, Some(_), Some(source)) = (cfg!(unix), directory, self.spool.source()) {
            let problem = "there is no spool on this system yet: expected the setting to be unset";
            return Err(source.error(problem));
        }
        Ok(directory.map(|directory| SpoolSettings { directory: directory.clone(), sync }))
    }

    fn resolve_base_tags(&self) -> Result<Vec<(String, String)>> {
        let mut tags = Vec::new();
        if self.tag_hostname.or(true)? {
            let hostname = gethostname::gethostname().to_string_lossy().into_owned();
            tags.push(("hostname".to_owned(), hostname));
        }
        if let Some(environment) = self.environment.value()? {
            tags.push(("environment".to_owned(), environment.clone()));
        }
        for (name, value) in &self.base_tags {
            if name.is_empty() {
                let problem = "\"\" is not the name of a tag: expected at least one character";
                return Err(Source::argument("base_tag").error(problem));
            }
            parse::put_tag(&mut tags, name.clone(), value.clone());
        }
        Ok(tags)
    }
}

impl Settings {
    /// Every setting with its value in force, secrets masked.
    pub(crate) fn table(&self) -> &[Setting] {
        &self.table
    }

    pub(super) fn into_table(self) -> Vec<Setting> {
        self.table
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.table.iter().map(|row| (row.name(), row.value()));
        f.debug_map().entries(rows).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rejected;
    use super::super::tests::environment;
    use super::*;

    fn names(config: &Config) -> Vec<String> {
        let tags = config.resolve().unwrap().base_tags;
        tags.into_iter()
            .map(|(name, value)| if name == "hostname" { name } else { format!("{name}={value}") })
            .collect()
    }

    #[test]
    fn base_tags_are_hostname_environment_and_the_users_in_order() {
        assert_eq!(names(&Config::new()), ["hostname"]);
        let config = environment(&[("ENVIRONMENT", "testing")]).unwrap();
        let config = config.base_tags([("b", "1"), ("a", "2")]).base_tag("b", "3");
        assert_eq!(names(&config), ["hostname", "environment=testing", "b=3", "a=2"]);
        let config = config.base_tag("environment", "mine").base_tag("hostname", "mine");
        assert_eq!(names(&config), ["hostname", "environment=mine", "b=3", "a=2"]);
        assert_eq!(config.resolve().unwrap().base_tags[0].1, "mine");
        assert_eq!(names(&Config::new().tag_hostname(false)), [""; 0]);
        let off = environment(&[("INFLUXDB_TAG_HOSTNAME", "off")]).unwrap();
        assert_eq!(names(&off), [""; 0]);
        assert_eq!(names(&off.tag_hostname(true)), ["hostname"]);
    }

    #[test]
    fn a_base_tag_without_a_name_is_refused() {
        let told = Config::new().base_tag("", "x").resolve().unwrap_err().to_string();
        assert!(told.starts_with(r#"base_tag: "" is not the name of a tag: expected "#), "{told}");
    }

    #[test]
    fn a_trigger_size_beyond_the_buffer_is_lowered_with_a_warning() {
        let config = Config::new().trigger_size(60_000).unwrap();
        let settings = config.resolve().unwrap();
        assert_eq!(settings.trigger_size, 25_000);
        assert_eq!(
            settings.warnings,
            ["the trigger size is lowered from 60000 to 25000, the most that the buffer holds"]
        );
        let settings = config.max_buffer_size(60_000).unwrap().resolve().unwrap();
        assert_eq!((settings.trigger_size, settings.warnings.len()), (60_000, 0));
        let settings = Config::new().max_buffer_size(10).unwrap().resolve().unwrap();
        assert_eq!((settings.trigger_size, settings.warnings.len()), (10, 1));
    }

    #[test]
    fn durations_that_a_setter_could_not_refuse_are_refused_here() {
        let refused = |config: Config| config.resolve().unwrap_err().to_string();
        let told = refused(Config::new().submission_interval(Duration::ZERO));
        assert!(
            told.starts_with("submission_interval: 0ns is not an interval: expected "),
            "{told}"
        );
        let told = refused(Config::new().shutdown_timeout(Duration::MAX));
        assert!(told.starts_with("shutdown_timeout: "), "{told}");
        let told = refused(Config::new().block_timeout(Duration::MAX));
        assert!(told.starts_with("block_timeout: "), "{told}");
        let config = Config::new().shutdown_timeout(Duration::ZERO).block_timeout(Duration::ZERO);
        assert!(config.resolve().is_ok());
    }

    #[test]
    fn the_hook_is_carried_over() {
        let (told, heard) = std::sync::mpsc::channel();
        let config = Config::new().on_rejected(move |rejected| {
            told.send(format!("{} {} {}", rejected.database(), rejected.line(), rejected.reason()))
                .unwrap();
        });
        let hook = config.resolve().unwrap().on_rejected.unwrap();
        hook(&Rejected::new("db", "m f=1", "why"));
        assert_eq!(heard.recv().unwrap(), "db m f=1 why");
    }
}
