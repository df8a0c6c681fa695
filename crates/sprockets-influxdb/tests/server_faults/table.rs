//! Tables of server behaviour and its effect on eight lines.

use std::sync::{Arc, Mutex};

use sprockets_influxdb::testing::{Fault, Server};
use sprockets_influxdb::{Api, Client, Config, Measurement, Stats};
use test_support::{LONG, balanced, flush_until};

use super::config;

pub(crate) const ALL: &[Api] = &[Api::V1, Api::V2, Api::V3];
pub(crate) const V1: &[Api] = &[Api::V1];
pub(crate) const V2: &[Api] = &[Api::V2];
pub(crate) const V3: &[Api] = &[Api::V3];

/// The number of lines: `m n=0i 1` to `m n=7i 8`.
const LINES: u64 = 8;
/// The line that replies name and that causes faults.
pub(crate) const LINE: &str = "m n=5i 6";
/// The part of it that identifies it in a body.
pub(crate) const POISON: &str = "n=5i";
/// What finding poison costs at most, and making sure that it is poison: each time with a control.
pub(crate) const POISON_SEARCH: usize = 50;
/// What finding one of eight lines costs: all of them, and three times two halves.
pub(crate) const SEARCH: usize = 7;

pub(crate) struct Row {
    /// The name of the case.
    pub(crate) case: &'static str,
    pub(crate) apis: &'static [Api],
    pub(crate) fault: Fault,
    pub(crate) outcome: Outcome,
    /// Text of the last error; empty if there must be none.
    pub(crate) says: &'static str,
}

/// The effect on the eight lines while the fault lasts.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// All are delivered after one request.
    Delivered,
    /// Some are rejected after one request. The server has the others, and nothing is sent again.
    Partly { rejected: u64 },
    /// Some are rejected after this many requests. The others are sent again until they are stored.
    SentAgain { rejected: u64, requests: usize },
    /// So many are rejected after at most so many requests: they were tried again and again, alone.
    Searched { rejected: u64, most_requests: usize },
    /// All wait, and are delivered when the fault ends.
    Kept,
}

impl Row {
    pub(crate) fn run(&self) {
        for &api in self.apis {
            match self.outcome {
                Outcome::Kept => {
                    self.keep(api);
                    self.pass(api);
                }
                _ => self.decide(api),
            }
        }
    }

    /// The fault lasts until each line is delivered or rejected.
    fn decide(&self, api: Api) {
        let name = self.name(api);
        let server = Server::start();
        server.inject_always(self.fault.clone());
        let rejected_lines = Arc::new(Mutex::new(Vec::new()));
        let log = rejected_lines.clone();
        let config = with_api(api, &server).on_rejected(move |rejected| {
            log.lock().unwrap().push(rejected.line().to_owned());
        });
        let client = client(config);
        if matches!(self.outcome, Outcome::Searched { .. }) {
            flush_until(&client, |stats| stats.pending == 0);
        } else {
            assert!(client.flush(LONG).is_complete(), "{name}");
        }

        let stats = balanced(&client);
        let (rejected, requests) = match self.outcome {
            Outcome::Delivered => (0, Some(1)),
            Outcome::Partly { rejected } => (rejected, Some(1)),
            Outcome::Searched { rejected, most_requests } => {
                assert_eq!(server.count("db") as u64, LINES - rejected, "{name}");
                assert!(server.writes().len() <= most_requests, "{name}: {stats:?}");
                (rejected, None)
            }
            Outcome::SentAgain { rejected, requests } => {
                assert_eq!(server.count("db") as u64, LINES - rejected, "{name}");
                (rejected, Some(requests))
            }
            Outcome::Kept => unreachable!("{name}"),
        };
        assert_eq!(
            (stats.rejected, stats.delivered),
            (rejected, LINES - rejected),
            "{name}: {stats:?}"
        );
        if let Some(requests) = requests {
            self.check_requests(&stats, &server, requests, &name);
        }
        self.check_error(&stats, &name);
        let rejected_lines = rejected_lines.lock().unwrap();
        assert_eq!(rejected_lines.len() as u64, rejected, "{name}");
        if rejected == 1 {
            assert_eq!(*rejected_lines, [LINE], "{name}");
        }
    }

    /// The fault lasts until an error shows that everything waits.
    fn keep(&self, api: Api) {
        let name = self.name(api);
        let server = Server::start();
        server.inject_always(self.fault.clone());
        let client = client(with_api(api, &server));
        let stats = flush_until(&client, |stats| stats.last_error.is_some());
        assert_eq!(stats.pending, LINES, "{name}: {stats:?}");
        self.check_error(&stats, &name);
        server.clear_faults();
        let stats = flush_until(&client, |stats| stats.pending == 0);
        assert_eq!(stats.delivered, LINES, "{name}: {stats:?}");
        assert_eq!(server.count("db") as u64, LINES, "{name}");
    }

    /// The fault happens once.
    fn pass(&self, api: Api) {
        let name = self.name(api);
        let server = Server::start();
        server.inject(self.fault.clone());
        let client = client(with_api(api, &server));
        let stats = flush_until(&client, |stats| stats.pending == 0);
        assert_eq!(stats.delivered, LINES, "{name}: {stats:?}");
        assert_eq!(server.count("db") as u64, LINES, "{name}");
        self.check_requests(&stats, &server, 2, &name);
        self.check_error(&stats, &name);
    }

    fn check_requests(&self, stats: &Stats, server: &Server, requests: usize, name: &str) {
        assert_eq!(server.writes().len(), requests, "{name}: {stats:?}");
        assert_eq!(
            (stats.batches, stats.retries),
            (requests as u64, requests as u64 - 1),
            "{name}"
        );
    }

    fn check_error(&self, stats: &Stats, name: &str) {
        match stats.last_error.as_deref() {
            None => assert_eq!(self.says, "", "{name}: no error"),
            Some(error) => {
                assert!(!self.says.is_empty() && error.contains(self.says), "{name}: {error}")
            }
        }
    }

    fn name(&self, api: Api) -> String {
        format!("{} ({api}, {:?})", self.case, self.fault)
    }
}

/// A configuration for an API of the server.
pub(crate) fn with_api(api: Api, server: &Server) -> Config {
    let config = config(server).api(api);
    match api {
        Api::V2 => config.org("o").token("t"),
        _ => config,
    }
}

/// A client with the eight lines. It makes one request at a time so that requests can be counted.
fn client(config: Config) -> Client {
    let client = Client::new(config.max_clients(1)).unwrap();
    for n in 0..LINES as i64 {
        let measurement = Measurement::new("db", "m").field("n", n).timestamp(n + 1);
        client.add_measurement(&measurement).unwrap();
    }
    client
}

/// Runs a table of cases: name, APIs, fault, and text of the last error.
pub(crate) fn run<const N: usize>(
    outcome: Outcome,
    rows: [(&'static str, &'static [Api], Fault, &'static str); N],
) {
    for (case, apis, fault, says) in rows {
        Row { case, apis, fault, outcome, says }.run();
    }
}

/// A fault of one of the lines only.
pub(crate) fn against_a_line(fault: Fault) -> Fault {
    fault.when_body_contains(POISON)
}
