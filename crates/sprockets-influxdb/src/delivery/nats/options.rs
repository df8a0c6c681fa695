//! How to connect: credentials, TLS and timeouts, as the client library takes them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::settings::{Settings, failure};
use super::unverified::Unverified;
use crate::config::{Auth, read_bounded};
use crate::delivery::disposition::{Cause, Failure, Scope};
use crate::delivery::tls;

/// For one server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait between two attempts to connect again.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// An idle connection that is broken is found out after about two of these.
const PING_INTERVAL: Duration = Duration::from_secs(20);

pub(super) fn of(settings: &Settings, tls: ClientConfig) -> Result<ConnectOptions, Failure> {
    let wrong =
        |reason: String| failure(Cause::Configuration, Scope::Server, settings.shown(&reason));
    let options = ConnectOptions::new()
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(reconnect_delay)
        .tls_client_config(tls);
    if let Some(path) = &settings.nats.creds {
        let shown = path.display();
        let bytes = read_bounded(path).map_err(|error| {
            wrong(format!("the credentials file {shown} cannot be read: {error}"))
        })?;
        let other = || {
            wrong(format!("{shown} is not a credentials file of NATS: check INFLUXDB_NATS_CREDS"))
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| other())?;
        return options.credentials(text).map_err(|_| other());
    }
    Ok(match &settings.server.auth {
        Auth::None => options,
        Auth::Basic { user, password } => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        Auth::Token(token) => options.token(token.expose().to_owned()),
    })
}

/// Grows with the attempts, and differs from process to process: a fleet does not come back at
/// once.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let longest = Duration::from_millis(10 << attempts.min(8)).min(MAX_RECONNECT_DELAY);
    longest.mul_f64(fastrand::f64())
}

/// What is trusted, and what the client shows of itself. Reads hundreds of files.
pub(super) fn tls_config(settings: &Settings) -> Result<ClientConfig, Failure> {
    let server = &settings.server;
    let wrong = |reason: &str| failure(Cause::Configuration, Scope::Server, settings.shown(reason));
    let broken = |error: rustls::Error| wrong(&error.to_string());
    // Names the provider: a process may have several.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(broken)?;
    let config = if server.verifies {
        let trusted = match tls::roots(&server.authorities, &server.names) {
            Err(reason) if server.url.starts_with("tls:") => return Err(wrong(&reason)),
            // Without TLS, none are needed.
            found => found.unwrap_or_default(),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted);
        config.with_root_certificates(roots)
    } else {
        config.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new()))
    };
    match &server.identity {
        Some(identity) => {
            let (chain, key) = identity.der();
            config.with_client_auth_cert(chain, key).map_err(broken)
        }
        None => Ok(config.with_no_client_auth()),
    }
}
