//! The options that say where the server is and how to speak to it: those in common use by name, every other setting of
//! the core's table by `--set`. A secret is never an argument: other users of the machine can read those.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use sprockets_influxdb::spool::Directory;
use sprockets_influxdb::{Config, Origin, Setting};

use crate::Problem;

/// What may not be set by an argument.
const SECRETS: [(&str, &str); 2] = [("password", "--password-file"), ("token", "--token-file")];

#[derive(Args, Debug)]
pub(crate) struct Server {
    /// The server's URL, such as https://influx.example.com:8086 (INFLUXDB_URL)
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// User name (INFLUXDB_USER); the password comes from INFLUXDB_PASSWORD or --password-file
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File whose first line is the token, for InfluxDB 2 and 3
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Organisation, for InfluxDB 2 (INFLUXDB_ORG)
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// PEM file of certificates to trust beside the platform's (INFLUXDB_CA_FILE)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// Any other setting, such as --set timeout=30000; `check` lists their names. May be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Server {
    /// The environment's configuration, without the variables that are to be `ignored`, changed by the options.
    pub(crate) fn config(&self, base: Config, ignored: &[&str]) -> Result<Config, Problem> {
        let lookup = |variable: &str| {
            if ignored.contains(&variable) { None } else { std::env::var_os(variable) }
        };
        let mut config = base.with_lookup(lookup);
        let named = [
            ("url", &self.url),
            ("user", &self.user),
            ("org", &self.org),
            ("ca_file", &self.ca_file),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                config = set(config, name, value)?;
            }
        }
        for pair in &self.settings {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                // It may be a secret by itself.
                "--set: expected NAME=VALUE, such as --set timeout=30000".to_owned()
            })?;
            config = set(config, name.trim(), value)?;
        }
        for (name, file) in [("password", &self.password_file), ("token", &self.token_file)] {
            if let Some(file) = file {
                config = config.set(name, &secret(file)?);
            }
        }
        Ok(config)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Spool {
    /// The spool's directory (INFLUXDB_SPOOL)
    #[arg(long = "spool", value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Spool {
    pub(crate) fn directory(&self) -> Result<Directory, Problem> {
        let of_environment = || std::env::var_os("INFLUXDB_SPOOL").map(PathBuf::from);
        let directory = self.directory.clone().or_else(of_environment);
        let directory = directory.filter(|directory| !directory.as_os_str().is_empty());
        let directory =
            directory.ok_or("no spool: name its directory by --spool or INFLUXDB_SPOOL")?;
        let shown = directory.display();
        // One that is not there has nothing in it, which is not to be told of one that was misspelt.
        fs::read_dir(&directory).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        Ok(Directory::new(directory))
    }
}

fn set(config: Config, name: &str, value: &str) -> Result<Config, Problem> {
    if let Some((_, option)) = SECRETS.iter().find(|(secret, _)| *secret == name) {
        let variable = name.to_uppercase();
        return Err(format!(
            "--set {name}: other users of this machine can read arguments; use INFLUXDB_{variable} or {option}"
        )
        .into());
    }
    if name == "url" && has_password(value) {
        return Err("the URL has a password in it, and other users of this machine can read arguments: use \
                    INFLUXDB_URL, INFLUXDB_PASSWORD or --password-file"
            .into());
    }
    Ok(config.set(name, value))
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn secret(file: &Path) -> Result<String, Problem> {
    let shown = file.display();
    let text =
        fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    match text.lines().next() {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(format!("{shown} is empty: expected a secret in its first line").into()),
    }
}

/// Where a value came from, in words.
pub(crate) fn origin(setting: &Setting) -> String {
    match (setting.origin(), setting.source()) {
        (Origin::Argument, Some(name)) => format!("argument {name}"),
        (Origin::Environment, Some(variable)) => format!("environment {variable}"),
        _ => "default".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_found() {
        for (url, has) in [
            ("http://me:pw@db:8086/x", true),
            ("me:pw@db", true),
            ("http://me:p@w@db", true),
            ("http://me@db:8086", false),
            ("http://db:8086/a:b@c", false),
            ("http://db:8086?q=a:b@c", false),
        ] {
            assert_eq!(has_password(url), has, "{url}");
        }
    }
}
