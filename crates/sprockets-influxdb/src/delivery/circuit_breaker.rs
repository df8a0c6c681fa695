//! Circuit breakers: one for the server, one for each database.
//!
//! While a circuit is closed, requests flow. A failure opens it, and requests are held back. When
//! the backoff is over, it is half-open: one batch is sent as a probe, whose outcome closes the
//! circuit or opens it again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::backoff::Backoff;
use super::disposition::{Cause, Failure, Scope};

/// Maximum number of databases that are remembered as tried. Others are tried again and again.
const MAX_TRIED: usize = 1_000;

/// The circuit breakers on the way to one server.
#[derive(Debug, Default)]
pub(super) struct CircuitBreakers {
    server: CircuitBreaker,
    /// Databases without an entry have a closed circuit.
    databases: HashMap<String, CircuitBreaker>,
    /// Databases for which requests failed since the server's circuit opened.
    tried: HashSet<String>,
    /// Since when the last one who asked for a retry waits.
    asked_since: Duration,
}

/// Permission to send one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    probes_server: bool,
    probes_database: bool,
}

impl Permit {
    /// Whether the batch is the probe of a server whose circuit is open.
    pub(super) fn probes_server(self) -> bool {
        self.probes_server
    }

    /// Whether the batch is a probe, of the server or of its database.
    pub(super) fn is_probe(self) -> bool {
        self.probes_server || self.probes_database
    }
}

/// How an outcome changed a circuit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// It was closed and still is.
    None,
    Opened,
    /// It was open or half-open, and is not closed yet.
    StillOpen,
    Closed {
        /// How long it was open.
        after: Duration,
    },
}

#[derive(Debug, Default)]
enum CircuitBreaker {
    #[default]
    Closed,
    Open(Outage),
    HalfOpen(Outage),
}

#[derive(Debug)]
struct Outage {
    since: Duration,
    retry_at: Duration,
    /// The server asked for no request before this time. Not even a flush retries earlier.
    earliest: Duration,
    backoff: Backoff,
}

impl CircuitBreakers {
    /// Whether the server's circuit lets a batch pass.
    pub(super) fn allow_server(&self, now: Duration) -> bool {
        self.server.allows(now)
    }

    /// Whether a database's circuit lets a batch pass.
    pub(super) fn allow_database(&self, database: &str, now: Duration) -> bool {
        self.databases.get(database).is_none_or(|circuit| circuit.allows(now))
    }

    /// Whether a probe for this database tells something new. Only one database may be refused, so
    /// the others are tried before it is again.
    pub(super) fn is_untried(&self, database: &str) -> bool {
        !self.tried.contains(database)
    }

    /// Tries all databases again. Returns whether there were some that had been tried.
    pub(super) fn forget_tried(&mut self) -> bool {
        let had_some = !self.tried.is_empty();
        self.tried.clear();
        had_some
    }

    /// Admits a batch that both circuits allow. Where a circuit is not closed, the batch is its
    /// probe.
    pub(super) fn admit(&mut self, database: &str) -> Permit {
        Permit {
            probes_server: self.server.admit(),
            probes_database: self.databases.get_mut(database).is_some_and(CircuitBreaker::admit),
        }
    }

    /// When the next open circuit allows a probe.
    pub(super) fn next_retry(&self, now: Duration) -> Option<Duration> {
        if !self.server.allows(now) {
            return self.server.retry_at();
        }
        let held_back = self.databases.values().filter(|circuit| !circuit.allows(now));
        held_back.filter_map(CircuitBreaker::retry_at).min()
    }

    /// The server answered a batch other than by a failure: closes both circuits.
    pub(super) fn record_answer(&mut self, database: &str, now: Duration) -> Transition {
        let of_server = self.close_server(now);
        let of_database = self.databases.remove(database).map(|mut circuit| circuit.close(now));
        match of_server {
            Transition::None => of_database.unwrap_or(Transition::None),
            transition => transition,
        }
    }

    /// A batch failed that was sent at `sent`: opens the circuit that the failure is about.
    pub(super) fn record_failure(
        &mut self,
        database: &str,
        permit: Permit,
        failure: &Failure,
        sent: Duration,
        now: Duration,
    ) -> Transition {
        let (circuit, is_probe) = match failure.scope {
            Scope::Server => {
                // The probe says nothing about the database.
                if permit.probes_database {
                    self.databases.entry(database.to_owned()).or_default().end_probe();
                }
                if self.tried.len() < MAX_TRIED {
                    self.tried.insert(database.to_owned());
                }
                (&mut self.server, permit.probes_server)
            }
            Scope::Database => {
                self.close_server(now);
                let circuit = self.databases.entry(database.to_owned()).or_default();
                (circuit, permit.probes_database)
            }
        };
        let transition = circuit.open(is_probe, failure, now);
        if sent < self.asked_since {
            circuit.retry_now(now);
        }
        transition
    }

    fn close_server(&mut self, now: Duration) -> Transition {
        self.tried.clear();
        self.server.close(now)
    }

    /// A batch failed by itself, or was not sent: the circuits stay as they are.
    pub(super) fn abandon(&mut self, database: &str, permit: Permit) {
        if permit.probes_server {
            self.server.end_probe();
        }
        if permit.probes_database {
            if let Some(circuit) = self.databases.get_mut(database) {
                circuit.end_probe();
            }
        }
    }

    /// Lets every open circuit retry now, or as soon as the server's `Retry-After` allows. So does
    /// a circuit that opens because of a request that was sent before `since`.
    pub(super) fn ask_for_retry(&mut self, since: Duration, now: Duration) {
        self.asked_since = self.asked_since.max(since);
        let circuits = self.databases.values_mut().chain([&mut self.server]);
        circuits.for_each(|circuit| circuit.retry_now(now));
    }
}

impl CircuitBreaker {
    fn allows(&self, now: Duration) -> bool {
        match self {
            Self::Closed => true,
            Self::Open(outage) => outage.retry_at <= now,
            Self::HalfOpen(_) => false,
        }
    }

    fn retry_at(&self) -> Option<Duration> {
        match self {
            Self::Open(outage) => Some(outage.retry_at),
            Self::Closed | Self::HalfOpen(_) => None,
        }
    }

    fn outage_mut(&mut self) -> Option<&mut Outage> {
        match self {
            Self::Closed => None,
            Self::Open(outage) | Self::HalfOpen(outage) => Some(outage),
        }
    }

    /// Lets one batch pass. Returns whether it is a probe.
    fn admit(&mut self) -> bool {
        match std::mem::take(self) {
            Self::Closed => false,
            Self::Open(outage) | Self::HalfOpen(outage) => {
                *self = Self::HalfOpen(outage);
                true
            }
        }
    }

    fn retry_now(&mut self, now: Duration) {
        if let Some(outage) = self.outage_mut() {
            outage.retry_at = outage.retry_at.min(now.max(outage.earliest));
        }
    }

    fn end_probe(&mut self) {
        if let Self::Open(outage) | Self::HalfOpen(outage) = std::mem::take(self) {
            *self = Self::Open(outage);
        }
    }

    fn close(&mut self, now: Duration) -> Transition {
        match std::mem::take(self) {
            Self::Closed => Transition::None,
            Self::Open(outage) | Self::HalfOpen(outage) => {
                Transition::Closed { after: now.saturating_sub(outage.since) }
            }
        }
    }

    fn open(&mut self, is_probe: bool, failure: &Failure, now: Duration) -> Transition {
        let (transition, mut outage, mut is_probing) = match std::mem::take(self) {
            Self::Closed => (Transition::Opened, Outage::new(now), false),
            Self::Open(outage) => (Transition::StillOpen, outage, false),
            Self::HalfOpen(outage) => (Transition::StillOpen, outage, true),
        };
        // Requests that were under way when the circuit opened do not extend the backoff.
        if transition == Transition::Opened || is_probe {
            is_probing = false;
            outage.back_off(failure.cause, now);
        }
        if let Some(after) = failure.after {
            outage.earliest = outage.earliest.max(now + after);
            outage.retry_at = outage.retry_at.max(outage.earliest);
        }
        *self = if is_probing { Self::HalfOpen(outage) } else { Self::Open(outage) };
        transition
    }
}

impl Outage {
    fn new(now: Duration) -> Self {
        Self { since: now, retry_at: now, earliest: now, backoff: Backoff::default() }
    }

    fn back_off(&mut self, cause: Cause, now: Duration) {
        let wait = match cause {
            Cause::Configuration | Cause::Unrecognized => Backoff::for_operator(fastrand::f64()),
            Cause::Busy | Cause::Unreachable | Cause::Timeout | Cause::Unknown => {
                self.backoff.next(fastrand::f64())
            }
        };
        self.earliest = self.earliest.max(now);
        self.retry_at = self.earliest.max(now + wait);
    }
}

#[cfg(test)]
mod tests;
