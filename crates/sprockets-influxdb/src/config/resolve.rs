//! The configuration in force: every setting has a valid value, and they fit together.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::enums::{Api, SpoolSync};
use super::mask::Secret;
use super::rejected::OnRejected;
use super::schema::{ProvidedValues, Values};
use super::server::Server;
use super::tags::{MAX_TAGS, Tags};
use super::types::{InForce, Setting, Source};
use crate::error::Result;
use crate::printable::{period, plural, shown};

/// The smallest bound of a spool in bytes. With less there is no room for the first files of a few
/// threads, so that all measurements would be dropped.
const MIN_SPOOL_BYTES: usize = 1 << 20;

/// What a client runs on. Only [`Settings::resolve`] makes it, so it is valid.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) values: Values,
    pub(crate) server: Server,
    pub(crate) on_rejected: Option<OnRejected>,
    /// What is odd but usable. For the log, when the client starts.
    pub(crate) warnings: Vec<String>,
    /// Warnings about variables that nothing reads. For the log, once in a process.
    pub(crate) unknown: Vec<String>,
}

/// Where the spool is, and what it survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolSettings {
    pub(crate) directory: PathBuf,
    pub(crate) sync: SpoolSync,
}

/// A shorter timeout of a request is probably meant in seconds.
const SHORT_TIMEOUT: Duration = Duration::from_millis(100);

impl Settings {
    /// `service_link` is a value of `INFLUXDB_PORT` that was not taken.
    pub(super) fn resolve(
        provided: &ProvidedValues,
        service_link: Option<&str>,
        on_rejected: Option<OnRejected>,
    ) -> Result<Self> {
        let mut provided = provided.clone();
        provided.forget_overridden();
        let mut values = provided.or_defaults()?;
        let mut warnings = Vec::new();
        if let Some(link) = service_link {
            warn_of_service_link(link, &provided, &values, &mut warnings);
        }
        unset_empty_texts(&mut values);
        let server = Server::resolve(&mut values, &mut warnings)?;
        if let (false, Some(_)) = (cfg!(unix), &values.spool.value) {
            let problem = "there is no spool on this system yet: expected the setting to be unset";
            return Err(values.spool.source.error(problem));
        }
        let spool_bytes = values.spool_max_bytes.value;
        if values.spool.value.is_some() && spool_bytes < MIN_SPOOL_BYTES {
            let problem =
                format!("{spool_bytes} is too small: expected at least {MIN_SPOOL_BYTES}");
            return Err(values.spool_max_bytes.source.error(problem));
        }
        let timeout = values.timeout.value;
        if timeout < SHORT_TIMEOUT {
            let (name, milliseconds) = (values.name("timeout"), timeout.as_millis());
            warnings.push(format!(
                "{name} is {milliseconds} ms, which few requests are done in: its unit is the \
                 millisecond"
            ));
        }
        let capacity = values.max_buffer_size.value;
        let trigger_size = &mut values.trigger_size.value;
        if *trigger_size > capacity {
            warnings.push(format!(
                "the trigger size is lowered from {trigger_size} to {capacity}, \
                 the most that the buffer holds"
            ));
            *trigger_size = capacity;
        }
        if values.base_tags.value.are_too_many() {
            let problem = format!("too many tags: expected at most {MAX_TAGS}");
            return Err(values.base_tags.source.error(&problem));
        }
        resolve_base_tags(&mut values);
        Ok(Self { values, server, on_rejected, warnings, unknown: Vec::new() })
    }

    /// Every setting with its value in force, secrets masked.
    pub(crate) fn table(&self) -> Vec<Setting> {
        self.values.table()
    }

    /// What is recorded where and how often, in one line.
    pub(crate) fn summary(&self) -> String {
        let Values { database, submission_interval, trigger_size, sample_probability, .. } =
            &self.values;
        let mut summary = format!("recording to {}", self.server.url);
        if let Some(database) = &database.value {
            let kind = if self.server.api == Api::V2 { "bucket" } else { "database" };
            summary += &format!(", {kind} {database:?}");
        }
        let measurements = plural(trigger_size.value as u64, "measurement", "measurements");
        summary += &format!(", every {} or {measurements}", period(submission_interval.value));
        if sample_probability.value < 1.0 {
            summary += &format!(", a batch with a probability of {}", sample_probability.value);
        }
        if let Some(spool) = &self.values.spool.value {
            summary += &format!(", with the spool {}", shown(spool));
        }
        summary
    }

    pub(crate) fn spool(&self) -> Option<SpoolSettings> {
        let directory = self.values.spool.value.clone()?;
        Some(SpoolSettings { directory, sync: self.values.spool_sync.value })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.table()).finish()
    }
}

/// Says why the port is not the one in the environment, unless that one does not matter.
fn warn_of_service_link(
    link: &str,
    provided: &ProvidedValues,
    values: &Values,
    warnings: &mut Vec<String>,
) {
    if provided.url.source().is_none() && provided.port.source().is_none() {
        let port = values.port.value;
        warnings.push(format!(
            "INFLUXDB_PORT is not used: {link} is not a port, but what Kubernetes and Docker set \
             for a service named influxdb. Port {port} is used; set INFLUXDB_URL to choose a server"
        ));
    }
}

/// An empty text means: none.
fn unset_empty_texts(values: &mut Values) {
    fn unset<T: AsRef<std::ffi::OsStr>>(text: &mut InForce<Option<T>>) {
        text.value.take_if(|text| text.as_ref().is_empty());
    }
    unset(&mut values.client_cert);
    unset(&mut values.client_key);
    unset(&mut values.database);
    unset(&mut values.environment);
    unset(&mut values.nats_creds);
    unset(&mut values.nats_stream);
    unset(&mut values.org);
    unset(&mut values.retention_policy);
    unset(&mut values.self_database);
    unset(&mut values.spool);
    unset(&mut values.user);
    let is_empty = |secret: &mut Secret| secret.expose().is_empty();
    values.password.value.take_if(is_empty);
    values.token.value.take_if(is_empty);
}

/// Hostname, environment, then the user's tags. The user's replace the others of the same name.
fn resolve_base_tags(values: &mut Values) {
    let mut tags = Tags::default();
    if values.tag_hostname.value {
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        tags.put("hostname".to_owned(), hostname);
    }
    if let Some(environment) = &values.environment.value {
        tags.put("environment".to_owned(), environment.clone());
    }
    for (name, value) in values.base_tags.value.iter() {
        tags.put(name.clone(), value.clone());
    }
    let derived = Source::nearest([values.tag_hostname.source, values.environment.source]);
    let own = values.base_tags.source;
    let source = if own == Source::DEFAULT { derived } else { own };
    values.base_tags.replace(tags, source);
}

#[cfg(test)]
mod tests;
