//! Whether a server would take a write, found out without one: a request to write nothing goes the way of a batch, and
//! every InfluxDB judges the credentials and the database of it before it sees that there is nothing in it.

use ureq::http::Response;
use ureq::http::header::{SERVER, VIA};

use super::http::HttpTransport;
use super::transport::{Cause, Scope, Verdict};
use super::words::clean;
use crate::buffer::Batch;
use crate::config::{Api, Auth, Precision, Server};

/// What each InfluxDB says to a write of nothing, where it says anything: 2.x and 3.x.
const NOTHING_IN_IT: [&str; 2] = ["writing requires points", "incoming write was empty"];

/// Headers that only an InfluxDB, or what passes for one, adds to its replies.
const OWN_HEADERS: [&str; 5] = [
    "x-influxdb-version",
    "x-influxdb-build",
    "x-influxdb-error",
    "x-platform-error-code",
    "cluster-uuid",
];

/// Whether a server would take measurements, as [`Client::check`](crate::Client::check) found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Who answered, and where, as `InfluxDB 1.8.10 at db:8086`; without an answer only where.
    pub server: String,
    /// Whether there is an InfluxDB that answers, and has the API.
    pub connection: Finding,
    /// Whether it lets the user, or the token, in.
    pub authentication: Finding,
    /// Whether the database is there, and may be written to.
    pub database: Finding,
}

/// What came of one part of a [`Check`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// It is as it should be.
    Passed,
    /// It is not: what is wrong, and what to do.
    Failed(String),
    /// It cannot be told, and why.
    Unknown(String),
}

impl Finding {
    /// Whether something has to be changed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl Check {
    /// Whether the server answers and accepts the credentials, and the database did not fail. The
    /// database may be unknown: InfluxDB 3 does not tell, and without a name there is none to check.
    pub fn is_passed(&self) -> bool {
        self.connection == Finding::Passed
            && self.authentication == Finding::Passed
            && !self.database.is_failed()
    }

    pub(crate) fn make(server: &Server, precision: Precision, database: Option<&str>) -> Self {
        let transport = match HttpTransport::new(server) {
            Ok(transport) => transport,
            Err(error) => return Self::unconnected(server.url.clone(), error.to_string()),
        };
        let batch = Batch::new(database.unwrap_or_default().into(), precision);
        let mut seen = None;
        let attempt =
            transport.send_and_look(&batch, &mut |reply| seen = Some(Seen::of(reply, server.api)));
        let peer = transport.shown();
        match seen {
            Some(seen) => {
                let asked = Asked { server, database, peer: &peer };
                asked.read(&seen, &attempt.verdict)
            }
            None => Self::unconnected(peer, with_advice(attempt.verdict.reason())),
        }
    }

    fn unconnected(server: String, problem: String) -> Self {
        let unknown = || Finding::Unknown("there is no connection".to_owned());
        let connection = Finding::Failed(problem);
        Self { server, connection, authentication: unknown(), database: unknown() }
    }
}

/// What the head of a reply tells of who gave it.
struct Seen {
    status: u16,
    is_influxdb: bool,
    version: Option<String>,
    /// What it calls itself, and what it came through.
    stranger: String,
}

impl Seen {
    fn of(reply: &Response<ureq::Body>, api: Api) -> Self {
        let header = |name: &str| {
            let value = reply.headers().get(name)?;
            Some(clean(&String::from_utf8_lossy(value.as_bytes())))
        };
        let named = [("Server", SERVER), ("Via", VIA)].into_iter().filter_map(|(shown, name)| {
            header(name.as_str()).map(|value| format!("{shown}: {value}"))
        });
        let status = reply.status().as_u16();
        // InfluxDB 3 has no header of its own on every reply.
        let is_like_v3 =
            api == Api::V3 && header("content-type").is_none_or(|kind| !kind.contains("html"));
        Self {
            status,
            is_influxdb: OWN_HEADERS.iter().any(|name| header(name).is_some())
                || status == 204
                || is_like_v3 && matches!(status, 400 | 401 | 403),
            version: header("x-influxdb-version"),
            stranger: named.collect::<Vec<_>>().join(", "),
        }
    }
}

struct Asked<'a> {
    server: &'a Server,
    database: Option<&'a str>,
    peer: &'a str,
}

impl Asked<'_> {
    fn read(&self, seen: &Seen, verdict: &Verdict) -> Check {
        use Finding::{Failed, Passed, Unknown};
        let refused = || Unknown("the server refused the request before".to_owned());
        let check = |connection, authentication, database| Check {
            server: self.who(seen),
            connection,
            authentication,
            database,
        };
        let told = verdict.reason();
        let beyond = |connection| check(Failed(connection), refused(), refused());
        match (seen.status, verdict) {
            (401, _) => check(Passed, Failed(self.unauthenticated(seen, told)), refused()),
            (403, _) if self.database.is_none() => check(Passed, Passed, self.unasked()),
            (403, _) => check(Passed, Passed, Failed(self.doubted(seen, told))),
            (_, Verdict::Retry { cause: Cause::Configuration, scope: Scope::Database, .. })
                if seen.is_influxdb =>
            {
                let database =
                    self.database.map_or_else(|| self.unasked(), |_| Failed(told.to_owned()));
                check(Passed, Passed, database)
            }
            (_, Verdict::Retry { cause: Cause::Configuration, .. }) => {
                beyond(self.doubted(seen, told))
            }
            _ if !seen.is_influxdb => beyond(self.no_influxdb(seen, told)),
            (_, Verdict::Delivered) => check(Passed, Passed, Passed),
            (_, Verdict::Rejected { .. })
                if NOTHING_IN_IT.iter().any(|text| told.contains(text)) =>
            {
                check(Passed, Passed, self.found())
            }
            (_, Verdict::Rejected { .. }) if self.database.is_none() => {
                check(Passed, Passed, self.unasked())
            }
            (_, Verdict::Rejected { .. }) => check(Passed, Passed, Failed(self.refused(told))),
            _ => beyond(format!("the server does not take writes now; look into its log ({told})")),
        }
    }

    fn who(&self, seen: &Seen) -> String {
        let peer = self.peer;
        match &seen.version {
            Some(version) => format!("InfluxDB {version} at {peer}"),
            None if seen.is_influxdb => format!("an InfluxDB at {peer}"),
            None => peer.to_owned(),
        }
    }

    fn found(&self) -> Finding {
        match (self.database, self.server.api) {
            (None, _) => self.unasked(),
            (Some(_), Api::V3) => Finding::Unknown(
                "InfluxDB 3 tells only when something is written; it creates a database that is missing".to_owned(),
            ),
            (Some(_), _) => Finding::Passed,
        }
    }

    fn unasked(&self) -> Finding {
        Finding::Unknown("no database was named".to_owned())
    }

    fn unauthenticated(&self, seen: &Seen, told: &str) -> String {
        let said = told.find("(server: ").map_or(told, |start| &told[start..]);
        let told = match (&self.server.auth, self.server.api) {
            (Auth::None, Api::V1) => format!(
                "the server wants credentials, and none are set: set INFLUXDB_USER and INFLUXDB_PASSWORD {said}"
            ),
            (Auth::None, _) => {
                format!("the server wants a token, and none is set: set INFLUXDB_TOKEN {said}")
            }
            _ => told.to_owned(),
        };
        self.doubted(seen, &told)
    }

    fn refused(&self, told: &str) -> String {
        match &self.server.retention_policy {
            Some(policy) if told.contains("retention policy not found") => format!(
                "the database has no retention policy {policy:?}: create it, or correct INFLUXDB_RETENTION_POLICY ({told})"
            ),
            _ => format!("the server refused a write for it ({told})"),
        }
    }

    /// What was told, and who may have said it instead of the server.
    fn doubted(&self, seen: &Seen, told: &str) -> String {
        if seen.is_influxdb {
            return told.to_owned();
        }
        let stranger = stranger(seen);
        format!(
            "{told}; what answered does not say that it is an InfluxDB{stranger}: it may be a proxy before it"
        )
    }

    fn no_influxdb(&self, seen: &Seen, told: &str) -> String {
        let (peer, status, stranger) = (self.peer, seen.status, stranger(seen));
        let told = if told.is_empty() { String::new() } else { format!(" ({told})") };
        format!(
            "what answers at {peer} is no InfluxDB, or a proxy that has none behind it{stranger}: it replied {status} to \
             a write; check INFLUXDB_HOST, INFLUXDB_PORT and INFLUXDB_URL{told}"
        )
    }
}

/// Not every way to fail says where to look.
fn with_advice(reason: &str) -> String {
    if ["INFLUXDB_", "check ", "put "].iter().any(|advice| reason.contains(advice)) {
        return reason.to_owned();
    }
    format!(
        "{reason}; look into the server's log, and check INFLUXDB_HOST, INFLUXDB_PORT, INFLUXDB_SCHEME and what is on the \
         way there"
    )
}

fn stranger(seen: &Seen) -> String {
    if seen.stranger.is_empty() { String::new() } else { format!(" ({})", seen.stranger) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_does_not_pass_when_nothing_was_checked() {
        let unknown = || Finding::Unknown("nobody asked".to_owned());
        let check = |connection, authentication, database| Check {
            server: String::new(),
            connection,
            authentication,
            database,
        };
        assert!(check(Finding::Passed, Finding::Passed, unknown()).is_passed());
        assert!(!check(unknown(), unknown(), unknown()).is_passed());
        assert!(!check(Finding::Passed, unknown(), Finding::Passed).is_passed());
        assert!(!Check::unconnected("db".to_owned(), "down".to_owned()).is_passed());
    }
}
