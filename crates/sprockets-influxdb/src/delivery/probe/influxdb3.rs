//! InfluxDB 3, whatever API is set. An empty write would create the database, of which there may
//! be five.

use serde_json::Value;

use crate::config::{Api, Auth, Server};
use crate::delivery::check::{Check, Finding};
use crate::delivery::disposition::Disposition;
use crate::delivery::http::HttpTransport;
use crate::delivery::sanitize::{Secrets, sanitize};

const DATABASES: &str = "api/v3/configure/database?format=json";

/// Checks a server if it is an InfluxDB 3. `Err` says why there is no reply.
pub(super) fn check(
    transport: &HttpTransport,
    server: &Server,
    database: Option<&str>,
) -> Result<Option<Check>, Disposition> {
    let ping = transport.get("ping")?;
    let version = ping.version.or_else(|| {
        let body: Value = serde_json::from_slice(&ping.body).ok()?;
        Some(body.get("version")?.as_str()?.to_owned())
    });
    let version = version.map(|version| sanitize(&version, &Secrets::of(server)));
    // With authentication even a ping may be rejected.
    let is_malformed = ping.status == 400
        && String::from_utf8_lossy(&ping.body).contains("Authorization header was malformed");
    let is_known =
        is_malformed || version.as_ref().is_some_and(|version| version.starts_with("3."));
    if version.is_some() && !is_known {
        return Ok(None);
    }
    // A proxy may hide the ping.
    let answer = transport.get(DATABASES)?;
    let names = if answer.status == 200 { names(&answer.body) } else { None };
    if !is_known && names.is_none() {
        return Ok(None);
    }
    let peer = transport.description();
    let rejected = || Finding::Unknown("the server rejected the request before".to_owned());
    let (authentication, database) = match (answer.status, names, database) {
        (400 | 401, ..) => (Finding::Failed(credentials(server, answer.status)), rejected()),
        (_, _, None) => (Finding::Passed, Finding::no_database()),
        (_, Some(names), Some(name)) => (Finding::Passed, find(&names, server, name)),
        (status, None, Some(_)) => {
            let reason = format!("the server does not list its databases (it replied {status})");
            (Finding::Passed, Finding::Unknown(reason))
        }
    };
    let server = match version {
        Some(version) => format!("InfluxDB {version} at {peer}"),
        None => format!("an InfluxDB 3 at {peer}"),
    };
    Ok(Some(Check { server, connection: Finding::Passed, authentication, database }))
}

/// The names of the databases in a list of them.
fn names(body: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let name = |database: &Value| Some(database.get("iox::database")?.as_str()?.to_owned());
    list.as_array()?.iter().map(name).collect()
}

fn find(names: &[String], server: &Server, database: &str) -> Finding {
    let name = match server.retention_policy.as_deref() {
        None | Some("autogen" | "default") => database.to_owned(),
        Some(policy) => format!("{database}/{policy}"),
    };
    if names.contains(&name) {
        return Finding::Passed;
    }
    Finding::Unknown(format!(
        "the database {name:?} does not exist yet: InfluxDB 3 creates it with the first write; \
         check its spelling"
    ))
}

fn credentials(server: &Server, status: u16) -> String {
    let names = &server.names;
    match (&server.auth, status) {
        (Auth::None, _) | (_, 401) => names.rejected_credentials(Api::V3),
        _ => format!(
            "the server could not read the credentials: check {}, expected {}",
            names.credentials(),
            names.credentials_form()
        ),
    }
}
