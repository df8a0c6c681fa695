//! The result of a check of a server.

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
    /// It is unknown, and why.
    Unknown(String),
}

impl Finding {
    /// Whether something has to be changed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Nobody named a database to check.
    pub(super) fn no_database() -> Self {
        Self::Unknown("no database was named: name one, or set INFLUXDB_DATABASE".to_owned())
    }
}

impl Check {
    /// Whether the server answers and accepts the credentials, and the database did not fail. The
    /// database may be unknown: InfluxDB 3 does not tell, and without a name there is none to
    /// check.
    pub fn is_passed(&self) -> bool {
        self.connection == Finding::Passed
            && self.authentication == Finding::Passed
            && !self.database.is_failed()
    }

    /// There is no connection: `problem` says why, and what to do.
    pub(super) fn unconnected(server: String, problem: String) -> Self {
        let unknown = || Finding::Unknown("there is no connection".to_owned());
        let connection = Finding::Failed(problem);
        Self { server, connection, authentication: unknown(), database: unknown() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_does_not_pass_when_nothing_was_checked() {
        let unknown = || Finding::Unknown("not checked".to_owned());
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
