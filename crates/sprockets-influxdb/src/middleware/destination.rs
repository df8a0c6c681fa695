//! Where the measurements of requests go: a client, a database, and a name.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::attributes::{Attribute, Attributes};
use super::facts::{Facts, TEXTS};
use super::outcome::{Grpc, Outcome};
use super::plain::{PlainRequest, record_plain};
use super::sink::AttributeSink;
use crate::client::Client;
use crate::measurement::Measurement;
use crate::printable::plural;
use crate::spare;

/// Maximum number of gRPC methods that have an endpoint of their own.
const MAX_GRPC_METHODS: usize = 1_000;

/// Minimum time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Makes the measurements of requests, completes them, and adds them to the client's buffer.
pub(super) struct Destination {
    client: Client,
    database: String,
    name: String,
    attributes: Attributes,
    /// The paths of gRPC methods that succeeded once. Any other path may be a scanner's.
    grpc_methods: RwLock<HashSet<Box<str>>>,
    created: Instant,
    /// When the last warning was logged, in seconds since `created`, plus one. 0: never.
    warned: AtomicU64,
    /// Warnings that were not logged since then.
    held_back: AtomicU64,
}

impl Destination {
    pub(super) fn new(
        client: Client,
        database: String,
        name: String,
        attributes: Attributes,
    ) -> Self {
        Self {
            client,
            database,
            name,
            attributes,
            grpc_methods: RwLock::default(),
            created: Instant::now(),
            warned: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.client.is_enabled()
    }

    pub(super) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// A measurement with these attributes.
    pub(super) fn measurement(&self, facts: &Facts) -> Measurement {
        let mut measurement = spare::take();
        measurement.restart_at(&self.database, &self.name, facts.nanoseconds);
        let mut sink = self.sink(&mut measurement);
        sink.text(Attribute::Method, facts.method);
        for attribute in TEXTS {
            sink.text(attribute, facts.text(attribute));
        }
        measurement
    }

    /// Records a request whose handler has set nothing.
    pub(super) fn record_plain(&self, facts: &Facts, outcome: &Outcome, now: Duration) {
        let request = PlainRequest {
            database: &self.database,
            name: &self.name,
            handler: facts.text(Attribute::Handler),
            endpoint: facts.text(Attribute::Endpoint),
            method: facts.method,
            remote_ip: facts.text(Attribute::RemoteIp),
            correlation_id: facts.text(Attribute::CorrelationId),
            nanoseconds: facts.nanoseconds,
        };
        if !record_plain(&self.client, None, &self.attributes, &request, outcome, || now) {
            self.record(self.measurement(facts), outcome, now);
        }
    }

    pub(super) fn sink<'a>(&'a self, measurement: &'a mut Measurement) -> AttributeSink<'a> {
        AttributeSink::new(&self.attributes, measurement)
    }

    /// Completes a measurement at the end of its request, and adds it.
    pub(super) fn record(&self, mut measurement: Measurement, outcome: &Outcome, now: Duration) {
        let mut sink = self.sink(&mut measurement);
        if let Some(grpc) = outcome.grpc().filter(|grpc| self.is_grpc_method(grpc)) {
            sink.text(Attribute::Endpoint, &grpc.path);
        }
        outcome.write(now, &mut sink);
        if let Err(error) = self.client.add_measurement(&measurement) {
            self.warn(format_args!("a request is not recorded: {error}"));
        }
        spare::keep(measurement);
    }

    /// Removes tags that have the name of a field: a handler set both. Servers would refuse it.
    pub(super) fn remove_tags_of_fields(&self, measurement: &mut Measurement) {
        if let Some(name) = measurement.remove_tags_of_fields() {
            self.warn(format_args!(
                "a request is recorded without the tag {name:?}: a field has this name"
            ));
        }
    }

    /// Whether the path is that of a gRPC method: a call of it has succeeded, now or before.
    fn is_grpc_method(&self, Grpc { path, status }: &Grpc) -> bool {
        let known = self.grpc_methods.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(path) || *status != Some(0) || known.len() >= MAX_GRPC_METHODS {
            return known.contains(path);
        }
        drop(known);
        self.grpc_methods.write().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        true
    }

    #[cold]
    fn warn(&self, message: fmt::Arguments<'_>) {
        let now = self.created.elapsed().as_secs() + 1;
        let last = self.warned.load(Ordering::Relaxed);
        let is_due = last == 0 || now - last >= WARNING_INTERVAL.as_secs();
        let is_ours = || {
            self.warned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if !(is_due && is_ours()) {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.held_back.swap(0, Ordering::Relaxed) {
            0 => tracing::warn!("{message}"),
            more => {
                let more = plural(more, "warning like this was", "warnings like this were");
                tracing::warn!("{message}; {more} not logged since the last one");
            }
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("database", &self.database)
            .field("measurement", &self.name)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}
