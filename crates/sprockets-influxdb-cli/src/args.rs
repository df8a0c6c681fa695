//! Options that several commands share.
//!
//! Common settings of the server have an option; every other setting is set by `--set`. Secrets
//! are never arguments, as other users of the machine can read those.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use sprockets_influxdb::Config;
use sprockets_influxdb::internal::{shown, with_environment};
use sprockets_influxdb::spool::Directory;

use crate::exit::Problem;
use crate::output;

/// How much of a file with a secret is read.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Settings that no argument may set, each with the option to use instead.
const SECRETS: [(&str, &str); 2] = [("password", "--password-file"), ("token", "--token-file")];

/// Where the server is, and how to reach it.
#[derive(Args, Debug)]
pub(crate) struct Server {
    /// URL of the server, such as https://influx.example.com:8086 [env: INFLUXDB_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// User name [env: INFLUXDB_USER]; the password is INFLUXDB_PASSWORD or in --password-file
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File whose first line is the password [env: INFLUXDB_PASSWORD]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File whose first line is the token, on InfluxDB 2 and 3 [env: INFLUXDB_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Organisation, on InfluxDB 2 [env: INFLUXDB_ORG]
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// PEM file of certificates to trust besides the platform's [env: INFLUXDB_CA_FILE]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// Any other setting, such as timeout=30000; `check` lists them; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Server {
    /// `base`, changed by the environment except the `ignored` variables, then by the options.
    pub(crate) fn config(&self, base: Config, ignored: &[&str]) -> Result<Config, Problem> {
        let lookup = |variable: &str| {
            if ignored.contains(&variable) { None } else { std::env::var_os(variable) }
        };
        let mut config = with_environment(base, lookup);
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
                // Not shown, as it may be a secret.
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

/// Which spool.
#[derive(Args, Debug)]
pub(crate) struct Spool {
    /// Directory of the spool [env: INFLUXDB_SPOOL]
    #[arg(long = "spool", value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Spool {
    pub(crate) fn directory(&self) -> Result<Directory, Problem> {
        let directory = spool(self.directory.as_ref())
            .ok_or("no spool: pass its directory as --spool, or set INFLUXDB_SPOOL")?;
        let shown = shown(&directory);
        // A directory that does not exist would look like an empty spool.
        fs::read_dir(&directory).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        Ok(Directory::new(directory))
    }
}

/// The directory of a spool, from its option or else from the environment.
pub(crate) fn spool(option: Option<&PathBuf>) -> Option<PathBuf> {
    let from_environment = || std::env::var_os("INFLUXDB_SPOOL").map(PathBuf::from);
    let directory = option.cloned().or_else(from_environment);
    directory.filter(|directory| !directory.as_os_str().is_empty())
}

/// How results are printed.
#[derive(Args, Debug)]
pub(crate) struct Output {
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Output {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result, as an object or as text.
    pub(crate) fn print(
        &self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        output::print(|out| if self.json { writeln!(out, "{}", json()) } else { text(out) })
    }
}

/// How a command delivers lines, and reports on it.
#[derive(Args, Debug)]
pub(crate) struct Delivery {
    /// Give up when the server has accepted nothing for that long; 0 never gives up
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) give_up_after: u64,
    /// No progress, and a summary only if a line was not delivered
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

fn set(config: Config, name: &str, value: &str) -> Result<Config, Problem> {
    if let Some((_, option)) = SECRETS.iter().find(|(secret, _)| *secret == name) {
        let variable = name.to_uppercase();
        return Err(format!(
            "--set {name}: other users of this machine can read arguments; use \
             INFLUXDB_{variable} or {option}"
        )
        .into());
    }
    if name == "url" && has_password(value) {
        return Err("the URL contains a password, and other users of this machine can read \
                    arguments: use INFLUXDB_URL, INFLUXDB_PASSWORD or --password-file"
            .into());
    }
    Ok(config.set(name, value))
}

pub(crate) fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|pair| pair.starts_with("p=")) {
        return true;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn secret(file: &Path) -> Result<String, Problem> {
    let shown = shown(file);
    let mut text = String::new();
    // Not whole: it may be a device without an end.
    let opened = fs::File::open(file).map(|file| file.take(MAX_SECRET_BYTES));
    let read = opened.and_then(|mut file| file.read_to_string(&mut text));
    if read.map_err(|error| format!("{shown} cannot be read: {error}"))? as u64 == MAX_SECRET_BYTES
    {
        return Err(format!("{shown} is too long: expected a secret in its first line").into());
    }
    match text.lines().next() {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(format!("{shown} is empty: expected a secret in its first line").into()),
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
