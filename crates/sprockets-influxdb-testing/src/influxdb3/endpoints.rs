//! The endpoints of InfluxDB 3 that are not writes.

use serde_json::json;

use super::catalog::Catalog;
use super::edition::Edition;
use super::failure::Failure;
use super::json::{array, object};
use crate::dialect::Dialect;
use crate::http::{Head, Reply};

const REVISION: &str = "0000000000";
const PROCESS: &str = "00000000-0000-4000-8000-000000000000";

/// The reply to a request that is let in.
pub(crate) fn answer(edition: Edition, catalog: &Catalog, head: &Head) -> Reply {
    let reply = match (head.method.as_str(), head.path.as_str()) {
        ("OPTIONS", _) => {
            return Reply::new(204)
                .header("Access-Control-Allow-Origin", "*")
                .header("Access-Control-Allow-Methods", "*")
                .header("Access-Control-Allow-Headers", "*")
                .header("Access-Control-Max-Age", "86400");
        }
        ("GET" | "POST", "/ping") => Ok(ping(edition)),
        ("GET", "/health" | "/api/v1/health") => Ok(health(edition)),
        ("GET", "/api/v3/configure/database") => databases(catalog, head),
        ("GET" | "POST", "/api/v3/query_influxql") => query(catalog, head, false),
        ("GET" | "POST", "/query") => query(catalog, head, true),
        _ => Ok(Reply::new(404).body("not found")),
    };
    match reply {
        Ok(reply) => with_origin(reply),
        Err(failure) => failure.reply(Dialect::V3),
    }
}

/// Adds what every reply has that is not an error.
pub(crate) fn with_origin(reply: Reply) -> Reply {
    reply.header("Access-Control-Allow-Origin", "*")
}

fn ping(edition: Edition) -> Reply {
    let version = edition.version();
    let mut members = vec![
        ("version", version.into()),
        ("revision", REVISION.into()),
        ("process_id", PROCESS.into()),
    ];
    if edition == Edition::V3_10 {
        members.insert(0, ("product_name", "InfluxDB 3 Core".into()));
    }
    let body = object(&members);
    Reply::new(200)
        .header("Content-Type", "application/json")
        .header("Request-Id", PROCESS)
        .header("X-Influxdb-Build", "Core")
        .header("X-Influxdb-Version", version)
        .header("X-Request-Id", PROCESS)
        .body(body)
}

fn health(edition: Edition) -> Reply {
    let reply = match edition {
        Edition::V3_6 => Reply::new(200),
        Edition::V3_10 => Reply::new(200).header("Content-Type", "text/plain; charset=utf-8"),
    };
    reply.body("OK")
}

/// `_internal`, which no limit counts, and the others.
fn names(catalog: &Catalog) -> impl Iterator<Item = &str> {
    ["_internal"].into_iter().chain(catalog.databases())
}

fn databases(catalog: &Catalog, head: &Head) -> Result<Reply, Failure> {
    match head.parameter("format") {
        None => Err(Failure::text("serde error: missing field `format`")),
        Some("json") => {
            let rows = names(catalog).map(|name| object(&[("iox::database", name.into())]));
            Ok(json_reply(array(rows)))
        }
        Some(other) => {
            let message = format!("the scripted server has no format `{other}`, only `json`");
            Err(Failure::text(message))
        }
    }
}

/// `SHOW DATABASES`, the only statement that is played. The names of the series and its columns on
/// `/query` were not measured.
fn query(catalog: &Catalog, head: &Head, is_v1: bool) -> Result<Reply, Failure> {
    let Some(statement) = head.parameter("q") else {
        let missing = if is_v1 {
            "missing query parameter 'q'"
        } else {
            "missing query parameters 'db' and 'q'"
        };
        return Err(Failure::text(missing));
    };
    if !statement.trim().trim_end_matches(';').eq_ignore_ascii_case("show databases") {
        let message =
            format!("the scripted server has no statement but SHOW DATABASES: {statement}");
        return Err(Failure::text(message));
    }
    if is_v1 {
        let rows: Vec<_> = names(catalog).map(|name| json!([name, false])).collect();
        let columns = ["iox::database", "deleted"];
        let series = json!([{ "name": "databases", "columns": columns, "values": rows }]);
        let results = json!({ "results": [{ "statement_id": 0, "series": series }] });
        return Ok(json_reply(results.to_string()));
    }
    let row = |name: &str| object(&[("iox::database", name.into()), ("deleted", false.into())]);
    Ok(json_reply(array(names(catalog).map(row))))
}

fn json_reply(body: String) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(body)
}
