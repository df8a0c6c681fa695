//! The databases and retention policies of an import. A client writes to one retention policy, so
//! the lines of one are delivered before those of the next are added.

use std::collections::BTreeMap;

use sprockets_influxdb::{Api, Client, Finding, Origin, Setting, SettingValue};

use super::source::{Ended, Target};
use crate::wait::NO_TIMEOUT;

/// What names the retention policies, by the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Policies {
    /// An argument. Comments are ignored.
    Argument,
    /// Comments, and this setting for lines without one.
    Comments(String),
    /// Comments; other APIs have a database for each retention policy.
    InNames,
}

impl Policies {
    pub(crate) fn of(settings: &[Setting]) -> Self {
        let setting = |name| settings.iter().find(|setting| setting.name() == name);
        let policy = setting("retention_policy");
        let is_v1 = setting("api").is_none_or(|api| *api.value() == SettingValue::Api(Api::V1));
        match policy {
            Some(policy) if policy.origin() == Origin::Argument => Self::Argument,
            Some(policy) if is_v1 => Self::Comments(policy.value().to_string()),
            None if is_v1 => Self::Comments(String::new()),
            _ => Self::InNames,
        }
    }

    /// The names under which lines are written: of the database, and of the retention policy if
    /// comments name that.
    pub(crate) fn names(&self, target: Target<'_>) -> (String, Option<String>) {
        let Target { database, policy } = target;
        match (self, policy) {
            (Self::Argument, _) => (database.to_owned(), None),
            (Self::Comments(setting), _) => {
                (database.to_owned(), Some(policy.unwrap_or(setting).to_owned()))
            }
            (Self::InNames, None | Some("autogen" | "default")) => (database.to_owned(), None),
            (Self::InNames, Some(policy)) => (format!("{database}/{policy}"), None),
        }
    }
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Add,
    /// Its database cannot be written to.
    Skip,
    /// The command has ended.
    Stop,
}

pub(super) struct Targets {
    policies: Policies,
    /// The target of the last line, as comments name it, and what to do with its lines.
    current: Option<(String, Option<String>, Choice)>,
    /// The database that the current lines are written to.
    database: String,
    /// The retention policy of the client.
    policy: Option<String>,
    /// What to do with the lines of the targets so far.
    known: BTreeMap<(String, Option<String>), Choice>,
}

impl Targets {
    pub(super) fn new(policies: Policies) -> Self {
        let policy = match &policies {
            Policies::Comments(setting) => Some(setting.clone()),
            _ => None,
        };
        let (database, known) = (String::new(), BTreeMap::new());
        Self { policies, current: None, database, policy, known }
    }

    /// The database that the line chosen last is written to.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// What to do with a line. Before the first line of a target, delivers the lines of another
    /// retention policy, and checks the database: `fail` decides about one that cannot be used.
    pub(super) fn choose(
        &mut self,
        client: &Client,
        target: Target<'_>,
        fail: impl FnOnce(String) -> Result<(), Ended>,
    ) -> Result<Choice, Ended> {
        if let Some((database, policy, choice)) = &self.current {
            if database == target.database && policy.as_deref() == target.policy {
                return Ok(*choice);
            }
        }
        let (database, policy) = self.policies.names(target);
        let choice = if self.change_policy(client, policy.as_ref())? {
            let key = (database.clone(), policy);
            match self.known.get(&key) {
                Some(choice) => *choice,
                None => {
                    let choice = check(client, &database, fail)?;
                    self.known.insert(key, choice);
                    choice
                }
            }
        } else {
            Choice::Stop
        };
        let policy = target.policy.map(str::to_owned);
        self.database = database;
        self.current = Some((target.database.to_owned(), policy, choice));
        Ok(choice)
    }

    /// Returns whether the client writes to that policy now.
    fn change_policy(&mut self, client: &Client, policy: Option<&String>) -> Result<bool, Ended> {
        let Some(policy) = policy.filter(|policy| self.policy.as_ref() != Some(policy)) else {
            return Ok(true);
        };
        // Lines that wait would be written to the new policy.
        if !client.flush(NO_TIMEOUT).is_complete() {
            return Ok(false);
        }
        let changed = client.reconfigure(|config| config.set("retention_policy", policy));
        changed.map_err(|error| Ended::Failed(error.to_string()))?;
        self.policy = Some(policy.clone());
        Ok(true)
    }
}

/// Fails at once if an operator has to change something. A server that is down may come back.
fn check(
    client: &Client,
    database: &str,
    fail: impl FnOnce(String) -> Result<(), Ended>,
) -> Result<Choice, Ended> {
    let check = client.check(Some(database));
    if let Finding::Failed(advice) = check.authentication {
        return Err(Ended::Failed(advice));
    }
    if let Finding::Failed(advice) = check.database {
        fail(advice)?;
        return Ok(Choice::Skip);
    }
    Ok(Choice::Add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_apis_have_a_database_for_each_retention_policy() {
        let names = |policies: Policies, policy| {
            let (database, policy) = policies.names(Target { database: "db", policy });
            format!("{database} {policy:?}")
        };
        let comments = || Policies::Comments("week".to_owned());
        assert_eq!(names(Policies::Argument, Some("day")), "db None");
        assert_eq!(names(comments(), Some("day")), "db Some(\"day\")");
        assert_eq!(names(comments(), None), "db Some(\"week\")");
        assert_eq!(names(Policies::InNames, Some("day")), "db/day None");
        assert_eq!(names(Policies::InNames, Some("autogen")), "db None");
        assert_eq!(names(Policies::InNames, None), "db None");
    }
}
