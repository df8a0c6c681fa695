//! A cluster as the command sees it: it reads what applications publish.

use std::sync::Arc;

use async_nats::Client;

use super::connection::{self, Events};
use super::settings::Settings;
use super::{message, options};
use crate::config::{Config, DATABASE};
use crate::error::Result;

/// The servers of NATS that a configuration names.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    events: Arc<Events>,
}

impl Cluster {
    /// # Errors
    ///
    /// A setting that cannot be used, or a URL that is none of NATS.
    pub fn new(config: &Config) -> Result<Self> {
        let settings = Settings::new(&config.resolve()?.server)?;
        Ok(Self { settings, events: Arc::default() })
    }

    /// Connects to one of the servers. The client reconnects by itself.
    ///
    /// # Errors
    ///
    /// The reason, for a person.
    pub async fn connect(&self, name: &str) -> Result<Client, String> {
        let tls = options::tls_config(&self.settings).map_err(|failure| failure.reason)?;
        let connected = connection::connect(&self.settings, &tls, name, &self.events).await;
        connected.map_err(|error| error.failure().reason)
    }

    /// Why the server last refused a subject to the user, for a person. `None` if it never did. A
    /// request to such a subject gets no reply.
    pub fn refusal(&self) -> Option<String> {
        let text = self.events.last_refusal()?;
        Some(self.settings.shown(&format!("NATS refuses: {text}; correct the user's permissions")))
    }

    /// The URL of the servers, without credentials.
    pub fn url(&self) -> &str {
        &self.settings.server.url
    }

    /// The subject of one database.
    pub fn subject(&self, database: &str) -> String {
        message::subject(&self.settings.nats.subject, database)
    }

    /// The subjects of all databases, as a stream takes them.
    pub fn subjects(&self) -> String {
        let subject = &self.settings.nats.subject;
        let token = |token: &str| if token.contains(DATABASE) { "*" } else { token }.to_owned();
        subject.split('.').map(token).collect::<Vec<_>>().join(".")
    }
}
