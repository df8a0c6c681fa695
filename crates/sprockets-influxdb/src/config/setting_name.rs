//! How advice names a setting that is in force.

use std::fmt;

/// The variable, or the argument, that a value comes from. For a default it is the variable, as
/// setting it would have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SettingName {
    name: &'static str,
    is_argument: bool,
}

impl SettingName {
    pub(crate) const fn variable(name: &'static str) -> Self {
        Self { name, is_argument: false }
    }

    pub(crate) const fn argument(name: &'static str) -> Self {
        Self { name, is_argument: true }
    }

    /// Whether it is a whole URL.
    pub(crate) fn is_url(self) -> bool {
        matches!(self.name, "INFLUXDB_URL" | "url")
    }

    /// The advice to give it a value: "set INFLUXDB_GZIP=false".
    pub(crate) fn set_to(self, value: &str) -> String {
        let separator = if self.is_argument { " to " } else { "=" };
        format!("set {self}{separator}{value}")
    }
}

impl fmt::Display for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_argument {
            f.write_str("the argument ")?;
        }
        f.write_str(self.name)
    }
}

/// Several names as a list: "A, B and C". Each is named once.
pub(crate) fn list(names: &[SettingName]) -> String {
    let mut different: Vec<SettingName> = Vec::with_capacity(names.len());
    for name in names {
        if !different.contains(name) {
            different.push(*name);
        }
    }
    let mut texts: Vec<String> = different.iter().map(ToString::to_string).collect();
    let last = texts.pop().unwrap_or_default();
    if texts.is_empty() { last } else { format!("{} and {last}", texts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_variables_and_arguments() {
        let (host, port) = (SettingName::variable("INFLUXDB_HOST"), SettingName::argument("port"));
        assert_eq!(host.set_to("db"), "set INFLUXDB_HOST=db");
        assert_eq!(port.set_to("1"), "set the argument port to 1");
        assert_eq!(list(&[host]), "INFLUXDB_HOST");
        assert_eq!(list(&[host, port, host]), "INFLUXDB_HOST and the argument port");
        let url = SettingName::argument("url");
        assert_eq!(
            list(&[url, host, port]),
            "the argument url, INFLUXDB_HOST and the argument port"
        );
        assert!(url.is_url() && !host.is_url());
    }
}
