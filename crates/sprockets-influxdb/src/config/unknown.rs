//! Environment variables that look like settings of this client, and that nothing reads.

use super::types::{Origin, Setting};
use crate::printable::one_line;

/// Variables that the middlewares and the command `forward` read.
const READ_ELSEWHERE: [&str; 3] =
    ["INFLUXDB_NATS_URL", "INFLUXDB_TAG_CORRELATION_ID", "INFLUXDB_TAG_REMOTE_IP"];

/// Names that other clients, the command `influx` and server images use, and ours for the same.
const ELSEWHERE: [(&str, &str); 34] = [
    ("INFLUXDB3_AUTH_TOKEN", "INFLUXDB_TOKEN"),
    ("INFLUXDB3_DATABASE", "INFLUXDB_DATABASE"),
    ("INFLUXDB3_DATABASE_NAME", "INFLUXDB_DATABASE"),
    ("INFLUXDB3_HOST_URL", "INFLUXDB_URL"),
    ("INFLUXDB3_TLS_CA", "INFLUXDB_CA_FILE"),
    ("INFLUXDB_DATABASE_NAME", "INFLUXDB_DATABASE"),
    ("INFLUXDB_DB", "INFLUXDB_DATABASE"),
    ("INFLUXDB_DBNAME", "INFLUXDB_DATABASE"),
    ("INFLUXDB_ENVIRONMENT", "ENVIRONMENT"),
    ("INFLUXDB_HOSTNAME", "INFLUXDB_HOST"),
    ("INFLUXDB_HOST_URL", "INFLUXDB_URL"),
    ("INFLUXDB_ORGANIZATION", "INFLUXDB_ORG"),
    ("INFLUXDB_USERNAME", "INFLUXDB_USER"),
    ("INFLUXDB_USER_PASSWORD", "INFLUXDB_PASSWORD"),
    ("INFLUXDB_V2_BUCKET", "INFLUXDB_DATABASE"),
    ("INFLUXDB_V2_ORG", "INFLUXDB_ORG"),
    ("INFLUXDB_V2_SSL_CA_CERT", "INFLUXDB_CA_FILE"),
    ("INFLUXDB_V2_TIMEOUT", "INFLUXDB_TIMEOUT"),
    ("INFLUXDB_V2_TOKEN", "INFLUXDB_TOKEN"),
    ("INFLUXDB_V2_URL", "INFLUXDB_URL"),
    ("INFLUX_BUCKET", "INFLUXDB_DATABASE"),
    ("INFLUX_BUCKET_NAME", "INFLUXDB_DATABASE"),
    ("INFLUX_DATABASE", "INFLUXDB_DATABASE"),
    ("INFLUX_DB", "INFLUXDB_DATABASE"),
    ("INFLUX_HOST", "INFLUXDB_URL"),
    ("INFLUX_ORG", "INFLUXDB_ORG"),
    ("INFLUX_PASSWORD", "INFLUXDB_PASSWORD"),
    ("INFLUX_PORT", "INFLUXDB_PORT"),
    ("INFLUX_PRECISION", "INFLUXDB_PRECISION"),
    ("INFLUX_TOKEN", "INFLUXDB_TOKEN"),
    ("INFLUX_URL", "INFLUXDB_URL"),
    ("INFLUX_USER", "INFLUXDB_USER"),
    ("INFLUX_USERNAME", "INFLUXDB_USER"),
    ("INFLUX_WRITE_TIMEOUT", "INFLUXDB_TIMEOUT"),
];

/// Beginnings of the variables that configure the server. They get into the environment of an
/// application where containers share a file of variables.
const OF_SERVERS: [&str; 23] = [
    "INFLUXDB_ADMIN_",
    "INFLUXDB_BIND_",
    "INFLUXDB_COLLECTD_",
    "INFLUXDB_CONFIG_",
    "INFLUXDB_CONTINUOUS_QUERIES_",
    "INFLUXDB_COORDINATOR_",
    "INFLUXDB_DATA_",
    "INFLUXDB_GRAPHITE_",
    "INFLUXDB_HTTP_",
    "INFLUXDB_INIT_",
    "INFLUXDB_LOGGING_",
    "INFLUXDB_META_",
    "INFLUXDB_MONITOR_",
    "INFLUXDB_OPENTSDB_",
    "INFLUXDB_READ_USER",
    "INFLUXDB_REPORTING_",
    "INFLUXDB_RETENTION_",
    "INFLUXDB_SHARD_PRECREATION_",
    "INFLUXDB_SUBSCRIBER_",
    "INFLUXDB_TLS_",
    "INFLUXDB_UDP_",
    "INFLUXDB_VERSION",
    "INFLUXDB_WRITE_USER",
];

const PREFIX: &str = "INFLUXDB_";

/// The names among these variables that may be meant for this client.
pub(super) fn candidates(variables: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let is_one = |(name, value): &(String, String)| {
        let name = name.to_uppercase();
        !value.is_empty() && name.starts_with("INFLUX") && !is_link(&name, value)
    };
    variables.into_iter().filter(is_one).map(|(name, _)| name).collect()
}

/// A warning for each of these variables that nothing reads. Values are never shown. A name of
/// another client is not reported where ours for the same is set: then it is meant for that client.
pub(super) fn warnings(names: &[String], settings: &[Setting]) -> Vec<String> {
    let known: Vec<&str> = settings
        .iter()
        .flat_map(|setting| [setting.variable(), setting.alias()])
        .flatten()
        .chain(READ_ELSEWHERE)
        .collect();
    let is_set = |variable: &str| {
        let setting = settings.iter().find(|setting| setting.variable() == Some(variable));
        setting.is_some_and(|setting| setting.origin() != Origin::Default)
    };
    let mut unknown: Vec<&String> =
        names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    unknown.sort_unstable();
    unknown
        .into_iter()
        .filter_map(|name| {
            let advice = advice(&name.to_uppercase(), &known, is_set)?;
            Some(format!("{} is set, and nothing reads it: {advice}", one_line(name)))
        })
        .collect()
}

/// What to do about an unknown name in upper case. `None` if it is somebody else's.
fn advice(name: &str, known: &[&str], is_set: impl Fn(&str) -> bool) -> Option<String> {
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name) {
        return (!is_set(ours)).then(|| format!("set {ours}"));
    }
    if let Some(ours) = nearest(name, known) {
        return Some(format!("did you mean {ours}?"));
    }
    let is_ours = name.starts_with(PREFIX) && !OF_SERVERS.iter().any(|of| name.starts_with(of));
    is_ours.then(|| "no setting has this name".to_owned())
}

/// Whether Kubernetes sets it for a service whose name begins with `influx`, or Docker for a linked
/// container.
fn is_link(name: &str, value: &str) -> bool {
    let is_address = |rest: &str| {
        rest.is_empty() || rest.starts_with('_') && (rest.contains("_TCP") || rest.contains("_UDP"))
    };
    let is_port = name != "INFLUXDB_PORT" && name != "INFLUX_PORT" || value.contains("://");
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.starts_with("INFLUXDB_ENV_")
        || name.starts_with("INFLUX_ENV_")
        || name.ends_with("_NAME") && value.starts_with('/')
        || is_port && name.rsplit_once("_PORT").is_some_and(|(_, rest)| is_address(rest))
        || is_port && name.split_once("_PORT").is_some_and(|(_, rest)| is_address(rest))
}

/// The variable with the most similar name, if one is similar.
fn nearest<'r>(name: &str, known: &[&'r str]) -> Option<&'r str> {
    const MAX_DISTANCE: usize = 3;
    let own_part = name.len().saturating_sub(PREFIX.len());
    let max = MAX_DISTANCE.min(own_part / 2);
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= max)
        .map(|(_, known)| known)
}

/// How many characters have to be inserted, removed or replaced to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
