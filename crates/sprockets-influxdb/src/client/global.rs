//! The installed client of a process, and the functions that use it.

use std::time::Duration;

use once_cell::race::OnceBox;

use super::handle::Client;
use crate::config::Config;
use crate::error::Result;
use crate::measurement::Measurement;
use crate::stats::Report;

static INSTALLED: OnceBox<Client> = OnceBox::new();

/// Installs the client that [`add_measurement`], [`flush`] and [`shutdown`] use, for the rest of
/// the process. Returns whether this call installed it; an installed client stays as it is.
///
/// The process does not wait for it at its end: call [`shutdown`] last.
///
/// # Errors
///
/// Those of [`Client::new`].
pub fn install(config: Config) -> Result<bool> {
    if INSTALLED.get().is_none() {
        let client = Client::new(config)?;
        if INSTALLED.set(Box::new(client)).is_ok() {
            return Ok(true);
        }
    }
    tracing::warn!("a client is installed already: this call of install() changes nothing");
    Ok(false)
}

/// Adds a measurement to the installed client: see [`Client::add_measurement`]. Without one, the
/// first call installs a client that the environment configures.
///
/// # Errors
///
/// Those of [`Client::add_measurement`]; without an installed client, also those of
/// [`Config::from_env`].
pub fn add_measurement(measurement: &Measurement) -> Result<()> {
    match INSTALLED.get() {
        Some(client) => client.add_measurement(measurement),
        None => {
            install(Config::from_env()?)?;
            add_measurement(measurement)
        }
    }
}

/// Flushes the installed client: see [`Client::flush`]. Without one there is nothing to do.
pub fn flush(timeout: Duration) -> Report {
    INSTALLED.get().map(|client| client.flush(timeout)).unwrap_or_default()
}

/// Shuts the installed client down: see [`Client::shutdown`]. Logs what was lost since the start,
/// what is still pending included. Without a client there is nothing to do.
pub fn shutdown(timeout: Duration) -> Report {
    let Some(client) = INSTALLED.get() else { return Report::default() };
    let report = client.shutdown(timeout);
    Client::log_end([client]);
    report
}

/// The installed client, if there is one.
pub fn installed() -> Option<Client> {
    INSTALLED.get().cloned()
}
