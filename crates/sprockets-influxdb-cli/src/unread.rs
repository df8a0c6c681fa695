//! Environment variables that look like settings of this client, and that nothing reads.

use std::collections::BTreeSet;
use std::sync::Mutex;

use sprockets_influxdb::Config;

/// Variables that the middlewares read.
const OF_MIDDLEWARES: [&str; 2] = ["INFLUXDB_TAG_CORRELATION_ID", "INFLUXDB_TAG_REMOTE_IP"];

/// Names that other clients, the command `influx` and server images use, and ours for the same.
const ELSEWHERE: [(&str, &str); 30] = [
    ("INFLUXDB3_AUTH_TOKEN", "INFLUXDB_TOKEN"),
    ("INFLUXDB3_DATABASE_NAME", "INFLUXDB_DATABASE"),
    ("INFLUXDB3_HOST_URL", "INFLUXDB_URL"),
    ("INFLUXDB3_TLS_CA", "INFLUXDB_CA_FILE"),
    ("INFLUXDB_ADMIN_PASSWORD", "INFLUXDB_PASSWORD"),
    ("INFLUXDB_ADMIN_TOKEN", "INFLUXDB_TOKEN"),
    ("INFLUXDB_ADMIN_USER", "INFLUXDB_USER"),
    ("INFLUXDB_DB", "INFLUXDB_DATABASE"),
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
    ("INFLUX_HOST", "INFLUXDB_URL"),
    ("INFLUX_ORG", "INFLUXDB_ORG"),
    ("INFLUX_PASSWORD", "INFLUXDB_PASSWORD"),
    ("INFLUX_PRECISION", "INFLUXDB_PRECISION"),
    ("INFLUX_TOKEN", "INFLUXDB_TOKEN"),
    ("INFLUX_URL", "INFLUXDB_URL"),
    ("INFLUX_USER", "INFLUXDB_USER"),
    ("INFLUX_USERNAME", "INFLUXDB_USER"),
    ("INFLUX_WRITE_TIMEOUT", "INFLUXDB_TIMEOUT"),
];

/// A warning for each variable that nothing reads. Values are never shown.
pub(crate) fn warnings(variables: impl IntoIterator<Item = String>) -> Vec<String> {
    let read = read();
    let mut unread: Vec<_> = variables
        .into_iter()
        .filter(|name| name.to_uppercase().starts_with("INFLUX"))
        .filter(|name| !read.contains(name.as_str()) && !is_kubernetes(name))
        .collect();
    unread.sort_unstable();
    unread.iter().map(|name| warning(name, &read)).collect()
}

/// The variables of this process.
pub(crate) fn of_process() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// Every variable that is read.
fn read() -> BTreeSet<String> {
    let read = Mutex::new(BTreeSet::from(OF_MIDDLEWARES.map(str::to_owned)));
    let _ = Config::new().with_lookup(|variable| {
        if let Ok(mut read) = read.lock() {
            read.insert(variable.to_owned());
        }
        None
    });
    read.into_inner().unwrap_or_default()
}

fn warning(name: &str, read: &BTreeSet<String>) -> String {
    let upper = name.to_uppercase();
    let advice = match ELSEWHERE.iter().find(|(theirs, _)| *theirs == upper) {
        Some((_, ours)) => format!("set {ours}"),
        None => match nearest(&upper, read) {
            Some(ours) => format!("did you mean {ours}?"),
            None => "no setting has this name".to_owned(),
        },
    };
    format!("{name} is set, and nothing reads it: {advice}")
}

/// Kubernetes sets these for each service, such as one that is named `influxdb`.
fn is_kubernetes(name: &str) -> bool {
    let is_address = |rest: &str| {
        rest.is_empty() || rest.starts_with('_') && (rest.contains("_TCP") || rest.contains("_UDP"))
    };
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.rsplit_once("_PORT").is_some_and(|(_, rest)| is_address(rest))
        || name.split_once("_PORT").is_some_and(|(_, rest)| is_address(rest))
}

/// The variable with the most similar name, if one is similar.
fn nearest<'r>(name: &str, read: &'r BTreeSet<String>) -> Option<&'r str> {
    const MAX_DISTANCE: usize = 3;
    read.iter()
        .map(|known| (distance(name, known), known.as_str()))
        .min()
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
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
mod tests {
    use super::*;

    fn advice(name: &str) -> String {
        warnings([name.to_owned()]).join("")
    }

    #[test]
    fn misspelt_and_foreign_names_are_reported_with_ours() {
        for (name, expected) in [
            ("INFLUXDB_MAX_BATCHSIZE", "did you mean INFLUXDB_MAX_BATCH_SIZE?"),
            ("INFLUXDB_TIMOUT", "did you mean INFLUXDB_TIMEOUT?"),
            ("influxdb_url", "did you mean INFLUXDB_URL?"),
            ("INFLUX_DB_URL", "did you mean INFLUXDB_URL?"),
            ("INFLUXDB_V2_TOKEN", "set INFLUXDB_TOKEN"),
            ("INFLUXDB3_HOST_URL", "set INFLUXDB_URL"),
            ("INFLUX_URL", "set INFLUXDB_URL"),
            ("INFLUXDB_V2_BUCKET", "set INFLUXDB_DATABASE"),
            ("INFLUXDB_SOMETHING_ELSE_ENTIRELY", "no setting has this name"),
        ] {
            let message = advice(name);
            assert!(message.starts_with(&format!("{name} is set")), "{message}");
            assert!(message.ends_with(expected), "{message}");
        }
    }

    #[test]
    fn variables_that_are_read_and_those_of_kubernetes_are_not_reported() {
        for name in [
            "INFLUXDB_URL",
            "INFLUXDB_PORT",
            "INFLUXDB_TAG_REMOTE_IP",
            "INFLUXDB_SERVICE_HOST",
            "INFLUXDB_SERVICE_PORT",
            "INFLUXDB_SERVICE_PORT_HTTP",
            "INFLUXDB_PORT_8086_TCP",
            "INFLUXDB_PORT_8086_TCP_ADDR",
            "INFLUXDB_HEADLESS_PORT",
            "PATH",
            "ENVIRONMENT",
        ] {
            assert_eq!(advice(name), "");
        }
    }

    #[test]
    fn the_names_used_elsewhere_are_sorted_and_ours_are_read() {
        assert!(ELSEWHERE.is_sorted());
        let read = read();
        for (theirs, ours) in ELSEWHERE {
            assert!(!read.contains(theirs), "{theirs}");
            assert!(read.contains(ours), "{ours}");
        }
    }
}
