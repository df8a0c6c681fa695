//! When batches may be sent: a gate for the server and one for each database. A closed gate lets one batch through when
//! its time has come; what becomes of that one opens it or closes it for longer.

use std::collections::HashMap;
use std::time::Duration;

use super::backoff::Backoff;
use super::disposition::{Cause, Scope};

/// No limit below this is learnt: what refuses less does not mean the size, and every batch would pay for it.
const LEAST_LIMIT: usize = 16 * 1024;

/// Failures of a batch, each with deliveries of others in between, before the batch itself is suspected: at least.
const LEAST_SUSPICIOUS: u32 = 5;

#[derive(Debug)]
pub(super) struct Schedule {
    server: Gate,
    databases: HashMap<String, Gate>,
    /// The largest body that the server may take, as far as it has let us know.
    pub(super) most_bytes: usize,
    /// Requests that the server did not fail, ever.
    pub(super) deliveries: u64,
    /// How many of the last hundred requests or so failed without a word, as a part of them.
    unknown_failures: f64,
}

/// Leave to send one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    probes_server: bool,
    probes_database: bool,
}

#[derive(Debug, Default)]
struct Gate(Option<Closed>);

#[derive(Debug)]
struct Closed {
    until: Duration,
    /// The server's own word on `until`: no flush shortens it.
    floor: Duration,
    since: Duration,
    backoff: Backoff,
    /// One batch is on its way to see whether this gate can open.
    probing: bool,
}

/// Why a batch has to wait.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    pub(super) scope: Scope,
    /// The least wait, as the server wants it.
    pub(super) after: Option<Duration>,
    pub(super) reason: String,
}

/// What a gate did, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Closed,
    StillClosed,
    Opened { after: Duration },
    None,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            server: Gate::default(),
            databases: HashMap::new(),
            most_bytes: usize::MAX,
            deliveries: 0,
            unknown_failures: 0.0,
        }
    }

    /// After how many failures among deliveries of others a batch is suspected: so many that chance alone, as on a line
    /// that loses every second connection, is not believed.
    pub(super) fn suspicious_failures(&self) -> u32 {
        const CHANCE: f64 = 1e-6;
        let needed = CHANCE.ln() / self.unknown_failures.clamp(0.01, 0.99).ln();
        (needed.ceil() as u32).max(LEAST_SUSPICIOUS)
    }

    fn note_outcome(&mut self, is_unknown_failure: bool) {
        const WEIGHT: f64 = 0.02;
        let outcome = f64::from(u8::from(is_unknown_failure));
        self.unknown_failures += WEIGHT * (outcome - self.unknown_failures);
    }

    /// Learns that a body of so many bytes is too large. Returns the new limit, if it changes.
    pub(super) fn learn_limit(&mut self, too_large: usize) -> Option<usize> {
        let most = too_large.div_ceil(2).max(LEAST_LIMIT);
        let is_new = most < self.most_bytes;
        self.most_bytes = self.most_bytes.min(most);
        is_new.then_some(most)
    }

    /// Whether the server's gate lets a batch through.
    pub(super) fn is_open(&self, now: Duration) -> bool {
        self.server.is_open(now)
    }

    /// Whether a database's gate lets a batch through.
    pub(super) fn is_open_for(&self, database: &str, now: Duration) -> bool {
        self.databases.get(database).is_none_or(|gate| gate.is_open(now))
    }

    /// Notes that a batch goes through both gates.
    pub(super) fn pass(&mut self, database: &str) -> Permit {
        Permit {
            probes_server: self.server.pass(),
            probes_database: self.databases.get_mut(database).is_some_and(Gate::pass),
        }
    }

    /// When the next closed gate lets a batch through.
    pub(super) fn next_opening(&self, now: Duration) -> Option<Duration> {
        if self.server.0.is_some() && !self.server.is_open(now) {
            return self.server.opening();
        }
        self.databases.values().filter(|gate| !gate.is_open(now)).filter_map(Gate::opening).min()
    }

    /// The server answered, other than by a failure.
    pub(super) fn answered(&mut self, database: &str, now: Duration) -> Change {
        self.deliveries += 1;
        self.note_outcome(false);
        let of_server = self.server.open(now);
        let of_database = self.databases.remove(database).map(|mut gate| gate.open(now));
        match of_server {
            Change::None => of_database.unwrap_or(Change::None),
            change => change,
        }
    }

    /// A batch failed and has to wait.
    pub(super) fn failed(
        &mut self,
        database: &str,
        pass: Permit,
        failure: &Failure,
        now: Duration,
    ) -> Change {
        if failure.cause == Cause::Unknown {
            self.note_outcome(true);
        }
        // Whatever is wrong with the one, the other gate's probe is over.
        let (gate, probes) = match failure.scope {
            Scope::Server => {
                if pass.probes_database {
                    self.databases.entry(database.to_owned()).or_default().end_probe();
                }
                (&mut self.server, pass.probes_server)
            }
            Scope::Database => {
                self.server.open(now);
                let gate = self.databases.entry(database.to_owned()).or_default();
                (gate, pass.probes_database)
            }
        };
        gate.close(probes, failure, now)
    }

    /// Lets every closed gate try again now, or as soon as the server allows: somebody waits.
    pub(super) fn retry_now(&mut self, now: Duration) {
        let closed = self.databases.values_mut().chain([&mut self.server]);
        for closed in closed.filter_map(|gate| gate.0.as_mut()) {
            closed.until = closed.until.min(now.max(closed.floor));
        }
    }
}

impl Gate {
    fn is_open(&self, now: Duration) -> bool {
        self.0.as_ref().is_none_or(|closed| !closed.probing && closed.until <= now)
    }

    fn opening(&self) -> Option<Duration> {
        self.0.as_ref().filter(|closed| !closed.probing).map(|closed| closed.until)
    }

    /// Returns whether what passes is a probe.
    fn pass(&mut self) -> bool {
        if let Some(closed) = &mut self.0 {
            closed.probing = true;
        }
        self.0.is_some()
    }

    fn end_probe(&mut self) {
        if let Some(closed) = &mut self.0 {
            closed.probing = false;
        }
    }

    fn open(&mut self, now: Duration) -> Change {
        match self.0.take() {
            Some(closed) => Change::Opened { after: now.saturating_sub(closed.since) },
            None => Change::None,
        }
    }

    fn close(&mut self, probes: bool, failure: &Failure, now: Duration) -> Change {
        let change = if self.0.is_some() { Change::StillClosed } else { Change::Closed };
        let first = change == Change::Closed;
        let closed = self.0.get_or_insert_with(|| Closed {
            until: now,
            floor: now,
            since: now,
            backoff: Backoff::default(),
            probing: false,
        });
        // Requests that were under way when the gate closed tell nothing new, except how long the server wants.
        if first || probes {
            closed.probing = false;
            closed.floor = now;
            closed.until = now
                + match failure.cause {
                    Cause::Configuration => Backoff::for_operator(fastrand::f64()),
                    Cause::Busy | Cause::Unknown => closed.backoff.next(fastrand::f64()),
                };
        }
        if let Some(after) = failure.after {
            closed.floor = closed.floor.max(now + after);
            closed.until = closed.until.max(closed.floor);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(
        schedule: &mut Schedule,
        pass: Permit,
        after: Option<Duration>,
        now: Duration,
    ) -> Change {
        let (cause, scope) = (Cause::Unknown, Scope::Server);
        schedule.failed("db", pass, &Failure { cause, scope, after, reason: String::new() }, now)
    }

    #[test]
    fn while_the_server_is_down_one_probe_is_under_way_at_a_time() {
        let mut schedule = Schedule::new();
        let (first, second) = (schedule.pass("db"), schedule.pass("db"));
        assert_eq!(fail(&mut schedule, first, None, SECOND), Change::Closed);
        assert_eq!(fail(&mut schedule, second, None, SECOND), Change::StillClosed);
        let opening = schedule.next_opening(Duration::ZERO).unwrap();
        assert!(
            opening <= SECOND + Duration::from_millis(250),
            "the second failure is the first's"
        );
        let now = SECOND * 2;
        assert!(schedule.is_open(now));
        let probe = schedule.pass("db");
        assert!(!schedule.is_open(now), "one probe is enough");
        assert_eq!(schedule.next_opening(now), None);
        assert_eq!(fail(&mut schedule, probe, None, now), Change::StillClosed);
        schedule.pass("db");
        assert_eq!(schedule.answered("db", SECOND * 5), Change::Opened { after: SECOND * 4 });
        assert!(schedule.is_open(SECOND * 5));
    }

    #[test]
    fn retry_after_is_a_floor_that_no_flush_shortens() {
        let mut schedule = Schedule::new();
        let pass = schedule.pass("db");
        fail(&mut schedule, pass, Some(SECOND * 60), SECOND);
        schedule.retry_now(SECOND * 2);
        assert_eq!(schedule.next_opening(SECOND * 2), Some(SECOND * 61));
        let pass = schedule.pass("db");
        fail(&mut schedule, pass, None, SECOND * 61);
        schedule.retry_now(SECOND * 61);
        assert!(schedule.is_open(SECOND * 61));
    }

    #[test]
    fn a_database_that_is_missing_does_not_stop_the_others() {
        let mut schedule = Schedule::new();
        let pass = schedule.pass("nope");
        let failure = Failure {
            cause: Cause::Configuration,
            scope: Scope::Database,
            after: None,
            reason: String::new(),
        };
        assert_eq!(schedule.failed("nope", pass, &failure, SECOND), Change::Closed);
        assert!(schedule.is_open(SECOND) && schedule.is_open_for("db", SECOND));
        assert!(!schedule.is_open_for("nope", SECOND * 30));
        assert!(schedule.is_open_for("nope", SECOND * 62));
        assert!(schedule.next_opening(SECOND).is_some());
    }
}
