//! Random replies, as they come over the wire: of an InfluxDB with some bad lines, of other servers
//! that store nothing, and none at all. What is delivered is stored, and only bad lines are
//! rejected.

use std::sync::LazyLock;
use std::time::SystemTime;

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::config::{Api, Config, Names};
use crate::delivery::response::{Reply, classify};
use crate::delivery::sanitize::Secrets;

static NAMES: LazyLock<Names> = LazyLock::new(|| Config::new().resolve().unwrap().server.names);

type Stored = Arc<Mutex<HashSet<String>>>;

/// Who answers a request.
#[derive(Clone, Copy)]
enum Sender {
    InfluxDb,
    /// InfluxDB, but the reply gets lost.
    Nobody,
    /// The connection closes before the server has the request.
    Closed,
    Foreign,
}

#[test]
fn what_is_delivered_is_stored_whatever_the_replies_are() {
    for seed in 0..60 {
        fastrand::seed(seed);
        play(seed);
    }
}

fn play(seed: u64) {
    let (api, foreign) = ([Api::V1, Api::V2, Api::V3][seed as usize % 3], fastrand::u32(0..60));
    let stored = Stored::default();
    let theirs = stored.clone();
    let simulation = Simulation::new(move |batch, now| {
        let number = fastrand::u32(..100);
        let by = match number {
            _ if now.as_secs() > 1_000 => Sender::InfluxDb,
            _ if number < foreign => Sender::Foreign,
            _ if number < foreign + 5 => Sender::Nobody,
            _ if number < foreign + 10 => Sender::Closed,
            _ => Sender::InfluxDb,
        };
        answer(by, api, batch, &theirs)
    });
    let (mut good, mut bad) = (0, HashSet::new());
    for second in 0..200 {
        for n in 0..fastrand::u32(..40) {
            let database = if fastrand::bool() { "db" } else { "other" };
            let is_bad = fastrand::u32(..50) == 0;
            let line = format!("{} n={n}i,s={second}i", if is_bad { "bad" } else { "good" });
            simulation.add(database, &line);
            if is_bad {
                bad.insert(line);
            } else {
                good += 1;
            }
        }
        simulation.submit();
        simulation.run_until(second);
        if fastrand::u32(..5) == 0 {
            let ago = Duration::from_millis(fastrand::u64(..2_000));
            simulation.sender.retry_now(simulation.clock.now().saturating_sub(ago));
        }
        let (delivered, stored) = (simulation.stats().delivered, stored.lock().unwrap().len());
        assert!(delivered <= stored as u64, "seed {seed}: {delivered} of {stored}");
    }
    simulation.run_until(10_000);
    let stats = simulation.stats();
    let decided = (stats.delivered, stats.rejected, stats.pending);
    assert_eq!(decided, (good, bad.len() as u64, 0), "seed {seed}: {stats:?}");
    assert_eq!(stored.lock().unwrap().len() as u64, good, "seed {seed}");
    assert_eq!(HashSet::from_iter(simulation.rejected()), bad, "seed {seed}");
}

fn answer(by: Sender, api: Api, batch: &Batch, stored: &Stored) -> Disposition {
    let (status, body) = match by {
        Sender::Closed => return retry(Cause::Unknown, Scope::Server, None),
        Sender::Nobody => {
            influxdb(api, batch, stored);
            return retry(Cause::Timeout, Scope::Server, None);
        }
        Sender::InfluxDb => influxdb(api, batch, stored),
        Sender::Foreign => foreign(),
    };
    let mut headers = HeaderMap::new();
    if matches!(by, Sender::InfluxDb) && api != Api::V3 {
        let version = HeaderName::from_static("x-influxdb-version");
        headers.insert(version, HeaderValue::from_static("1.8.10"));
    }
    let reply = Reply {
        api,
        status,
        headers: &headers,
        body: body.as_bytes(),
        truncated: false,
        now: SystemTime::UNIX_EPOCH,
        secrets: &Secrets::default(),
        names: &NAMES,
    };
    classify(&reply, batch).disposition
}

/// Stores what the API stores, and says what it says.
fn influxdb(api: Api, batch: &Batch, stored: &Stored) -> (u16, String) {
    let lines = || batch.iter_lines().map(|line| String::from_utf8(line.to_vec()).unwrap());
    let key = |line: &str| format!("{}: {line}", batch.database());
    let bad: Vec<_> = lines().enumerate().filter(|(_, line)| line.starts_with("bad")).collect();
    // v2 stores nothing of a batch with a line that it cannot parse, v1 the others.
    if bad.is_empty() || api != Api::V2 {
        let good = lines().filter(|line| !line.starts_with("bad"));
        stored.lock().unwrap().extend(good.map(|line| key(&line)));
    }
    if bad.is_empty() {
        return (204, String::new());
    }
    let entries: Vec<_> =
        bad.iter().map(|(_, line)| format!("unable to parse '{line}': no")).collect();
    let entries = entries.join("\n");
    let is_named = fastrand::bool();
    let body = match api {
        Api::V1 if is_named && bad.len() < batch.lines() => {
            serde_json::json!({ "error": format!("partial write: {entries} dropped=0") })
        }
        Api::V1 if is_named => serde_json::json!({ "error": entries }),
        Api::V1 => {
            let text = "partial write: points beyond retention policy dropped=";
            serde_json::json!({ "error": format!("{text}{}", bad.len()) })
        }
        Api::V2 if is_named => serde_json::json!({ "code": "invalid", "message": entries }),
        Api::V2 => serde_json::json!({ "code": "invalid", "message": "write buffer error: no" }),
        _ => {
            let data: Vec<_> = bad
                .iter()
                .map(|(index, _)| {
                    serde_json::json!({ "error_message": "no", "line_number": index + 1 })
                })
                .collect();
            serde_json::json!({ "error": "partial write of line protocol occurred", "data": data })
        }
    };
    (400, body.to_string())
}

fn foreign() -> (u16, String) {
    const STATUSES: [u16; 24] = [
        200, 201, 206, 299, 302, 400, 401, 403, 404, 405, 408, 411, 413, 418, 422, 429, 431, 500,
        501, 502, 503, 504, 511, 520,
    ];
    let page = "<!DOCTYPE html><html><title>partial write: unable to parse 'good n=1i,s=1i': no";
    let bodies = ["", page, r#"{"error":"bad request"}"#, r#"{"message":"Forbidden"}"#, "ok"];
    let status = STATUSES[fastrand::usize(..STATUSES.len())];
    (status, bodies[fastrand::usize(..bodies.len())].to_owned())
}
