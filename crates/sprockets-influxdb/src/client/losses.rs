//! What a client lost: the last lines of its log.

use super::core::Core;
use crate::config::Values;
use crate::printable::{grouped, plural};
use crate::stats::{DropReason, Stats};

/// Logs what clients that end leave in the spool, and what they lost since their start. The advice
/// is about the first that lost something.
pub(super) fn log<'a>(cores: impl IntoIterator<Item = &'a Core>) {
    let mut sum = Stats::default();
    let mut loser = None;
    for core in cores {
        // Before the sum of all losses, which has the reasons too.
        core.log_drops();
        let stats = core.buffer.stats();
        let snapshot = core.snapshot.load_full();
        if loser.is_none() && lost(&stats, &snapshot.settings.values).is_some() {
            loser = Some(snapshot);
            sum.last_error = stats.last_error;
        }
        sum.pending += stats.pending;
        sum.spooled += stats.spooled;
        sum.rejected += stats.rejected;
        sum.dropped.add_all(&stats.dropped);
    }
    if let Some(spooled) = spooled(&sum) {
        tracing::warn!("{spooled}");
    }
    if let Some(lost) = loser.and_then(|loser| lost(&sum, &loser.settings.values)) {
        tracing::error!("{lost}");
    }
}

/// What is in the spool, for the next process.
fn spooled(stats: &Stats) -> Option<String> {
    let waiting = plural(stats.spooled, "measurement waits", "measurements wait");
    (stats.spooled > 0).then(|| format!("{waiting} in the spool for the next process"))
}

/// What was lost since the start, by reason, and the settings that prevent it.
fn lost(stats: &Stats, values: &Values) -> Option<String> {
    let pending = stats.pending.saturating_sub(stats.spooled);
    let dropped = stats.dropped.iter().filter(|(reason, _)| *reason != DropReason::Disabled);
    let mut parts: Vec<(u64, String)> =
        dropped.map(|(reason, count)| (count, format!("dropped ({reason})"))).collect();
    parts.push((stats.rejected, "rejected by the server".to_owned()));
    parts.push((pending, "not delivered when the client ended".to_owned()));
    parts.retain(|(count, _)| *count > 0);
    let total = parts.iter().map(|(count, _)| count).sum();
    let are_lost = plural(total, "measurement is lost", "measurements are lost");
    let what = match &parts[..] {
        [] => return None,
        [(_, what)] => what.clone(),
        parts => {
            let parts = parts.iter().map(|(count, what)| format!("{} {what}", grouped(*count)));
            parts.collect::<Vec<_>>().join(", ")
        }
    };
    let advice = advice(stats, pending, values);
    Some(if advice.is_empty() {
        format!("{are_lost}: {what}")
    } else {
        format!("{are_lost}: {what}. {}", advice.join(". "))
    })
}

/// Sentences without their full stops: what prevents which loss.
fn advice(stats: &Stats, pending: u64, values: &Values) -> Vec<String> {
    let count = |reason| stats.dropped.count(reason);
    let has_spool = values.spool.value.is_some();
    let spool = if has_spool {
        format!("raise {}", values.name("spool_max_bytes"))
    } else {
        format!("set {} to keep them on disk", values.name("spool"))
    };
    let mut advice = Vec::new();
    if count(DropReason::Newest) + count(DropReason::Oldest) > 0 {
        let block = values.name("overflow").set_to("block");
        advice.push(format!("Against a full buffer, {block} to wait for room, or {spool}"));
    }
    if count(DropReason::BlockTimeout) > 0 {
        let raise = match stats.last_error {
            // A longer wait does not help against a server that fails.
            Some(_) => String::new(),
            None => format!("raise {}, or ", values.name("block_timeout")),
        };
        advice.push(format!("Against the timeout, {raise}{spool}"));
    }
    if count(DropReason::Closed) > 0 {
        advice.push("Add no measurement after the shutdown".to_owned());
    }
    if pending > 0 && !has_spool {
        let timeout = values.name("shutdown_timeout");
        advice.push(match &stats.last_error {
            Some(error) => format!("Against losses at the end, {spool}. The last error: {error}"),
            None => format!("Against losses at the end, {spool}, or raise {timeout}"),
        });
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn lost(config: Config, change: impl FnOnce(&mut Stats)) -> String {
        let mut stats = Stats::default();
        change(&mut stats);
        super::lost(&stats, &config.resolve().unwrap().values).unwrap_or_default()
    }

    #[test]
    fn everything_that_was_lost_is_named_by_reason_with_its_remedy() {
        let config = Config::new;
        assert_eq!(lost(config(), |_| {}), "");
        assert_eq!(lost(config(), |stats| stats.dropped.add(DropReason::Disabled, 7)), "");
        assert_eq!(
            lost(config(), |stats| stats.pending = 1),
            "1 measurement is lost: not delivered when the client ended. Against losses at the \
             end, set INFLUXDB_SPOOL to keep them on disk, or raise INFLUXDB_SHUTDOWN_TIMEOUT"
        );
        assert_eq!(
            lost(config(), |stats| {
                stats.pending = 1;
                stats.last_error = Some("404: no such database".to_owned());
            }),
            "1 measurement is lost: not delivered when the client ended. Against losses at the \
             end, set INFLUXDB_SPOOL to keep them on disk. The last error: 404: no such database"
        );
        assert_eq!(lost(config(), |stats| (stats.pending, stats.spooled) = (2, 2)), "");
        assert_eq!(
            lost(config(), |stats| {
                stats.dropped.add(DropReason::Newest, 26_080);
                stats.rejected = 2;
            }),
            "26,082 measurements are lost: 26,080 dropped (newest), 2 rejected by the server. \
             Against a full buffer, set INFLUXDB_OVERFLOW=block to wait for room, or set \
             INFLUXDB_SPOOL to keep them on disk"
        );
        assert_eq!(
            lost(config().spool("/s").set("overflow", "oldest"), |stats| {
                stats.dropped.add(DropReason::Oldest, 2);
                stats.pending = 1;
            }),
            "3 measurements are lost: 2 dropped (oldest), 1 not delivered when the client ended. \
             Against a full buffer, set the argument overflow to block to wait for room, or raise \
             INFLUXDB_SPOOL_MAX_BYTES"
        );
        assert_eq!(
            lost(config(), |stats| {
                stats.dropped.add(DropReason::BlockTimeout, 1);
                stats.dropped.add(DropReason::Closed, 1);
            }),
            "2 measurements are lost: 1 dropped (closed), 1 dropped (block_timeout). Against the \
             timeout, raise INFLUXDB_BLOCK_TIMEOUT, or set INFLUXDB_SPOOL to keep them on disk. \
             Add no measurement after the shutdown"
        );
    }
}
