//! What the page shows, as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use gethostname::gethostname;
use serde_json::{Map, Value, json};

use super::spool::summary;
use crate::client::Client;
use crate::config::{Setting, SettingValue};
use crate::stats::Stats;

/// What the page shows, as JSON. Reads the directory of the spool.
///
/// | key | |
/// |---|---|
/// | `stats` | the counters, by their names in [`Stats`](crate::Stats) |
/// | `settings` | the value in force of each setting, secrets masked, durations in milliseconds |
/// | `spool` | a summary of its directory; `null` without one |
/// | `version`, `process`, `hostname`, `time` | which process this is, and when (seconds) |
pub fn snapshot(client: &Client) -> String {
    let settings = client.settings();
    let directory = settings.iter().find(|setting| setting.name() == "spool");
    let directory = directory.map(|setting| setting.value().to_string());
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "process": std::process::id(),
        "hostname": gethostname().to_string_lossy(),
        "time": time.as_secs_f64(),
        "stats": counters(&client.stats()),
        "settings": settings.iter().map(value).collect::<Map<_, _>>(),
        "spool": directory.filter(|path| !path.is_empty()).map(|path| summary(&path)),
    })
    .to_string()
}

fn counters(stats: &Stats) -> Value {
    let by_reason = stats.dropped.iter().map(|(reason, count)| (reason.to_string(), count.into()));
    let counters = stats.counters().map(|(name, count)| (name.to_owned(), count.into()));
    let mut json: Map<_, _> = counters.collect();
    json.insert("dropped".to_owned(), Value::Object(by_reason.collect()));
    json.insert("last_error".to_owned(), json!(stats.last_error));
    let at = stats.last_error_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    json.insert("last_error_at".to_owned(), json!(at.map(|at| at.as_secs_f64())));
    Value::Object(json)
}

fn value(setting: &Setting) -> (String, Value) {
    let value = match setting.value() {
        SettingValue::Unset => Value::Null,
        SettingValue::Boolean(value) => json!(value),
        SettingValue::Integer(number) => json!(number),
        SettingValue::Float(number) => json!(number),
        SettingValue::Duration(duration) => json!(duration.as_secs_f64() * 1e3),
        SettingValue::Tags(tags) => {
            let tags = tags.iter().map(|(name, value)| (name.clone(), json!(value)));
            Value::Object(tags.collect())
        }
        other => json!(other.to_string()),
    };
    (setting.name().to_owned(), value)
}
