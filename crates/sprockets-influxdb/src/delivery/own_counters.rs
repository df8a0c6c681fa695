//! The client's own counters, as measurements in a database of the user's choice.
//!
//! Such a point is sent directly. It is neither buffered nor retried, and no counter counts it, so
//! that the points do not report themselves. A point that cannot be sent costs nothing but
//! resolution: the counters of the next one are sums since the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::buffer::Batch;
use crate::config::Precision;
use crate::measurement::{BaseTags, Measurement};
use crate::stats::Stats;
use crate::sync::{Mutex, lock};

/// The name of the measurement.
const NAME: &str = "sprockets_influxdb";

/// The first point comes as early as the first batch. Points come no more often either.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Where the client's own counters go, and how often.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnCounters {
    pub(crate) database: Arc<str>,
    pub(crate) precision: Precision,
    pub(crate) interval: Duration,
}

/// When the next point is due.
#[derive(Default)]
pub(super) struct OwnSchedule {
    next: Mutex<Option<Duration>>,
    has_ended: AtomicBool,
}

impl OwnCounters {
    /// The point, as a batch.
    pub(super) fn batch(&self, stats: &Stats) -> Batch {
        let hostname = gethostname::gethostname();
        let mut point = Measurement::new(&self.database, NAME);
        point.set_tag("hostname", hostname.to_string_lossy());
        // No process counts as far as `i64::MAX`.
        let integer = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (name, count) in stats.counters() {
            point.set_field(name, integer(count));
        }
        point.set_field("pid", integer(std::process::id().into()));
        for (reason, count) in stats.dropped.iter() {
            point.set_field(format!("dropped_{reason}"), integer(count));
        }
        if let Some(error) = &stats.last_error {
            point.set_field("last_error", error.as_str());
        }
        let mut line = Vec::new();
        let no_base_tags = BaseTags::new([]);
        point.line(&no_base_tags, self.precision.divisor()).write_to(&mut line);
        Batch::of_line(self.database.clone(), self.precision, &line)
    }
}

impl OwnSchedule {
    /// When the next point is due: `now`, for one caller, if it is due.
    pub(super) fn next(&self, now: Duration, interval: Duration) -> Option<Duration> {
        if self.has_ended() {
            return None;
        }
        let mut next = lock(&self.next);
        let due = *next.get_or_insert(now + FIRST_INTERVAL);
        if due <= now {
            *next = Some(now.saturating_add(interval.max(FIRST_INTERVAL)));
            return Some(now);
        }
        Some(due)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// No more points are due. Returns whether this is the first call.
    pub(super) fn end(&self) -> bool {
        !self.has_ended.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::DropReason;

    #[test]
    fn a_point_has_every_counter_and_no_unbounded_tag() {
        let own = OwnCounters {
            database: "self".into(),
            precision: Precision::Seconds,
            interval: Duration::from_secs(60),
        };
        let mut stats =
            Stats { added: 7, last_error: Some("no \"db\"".into()), ..Stats::default() };
        stats.dropped.add(DropReason::Newest, 2);
        let batch = own.batch(&stats);
        assert_eq!((batch.database(), batch.lines()), ("self", 1));
        let line = String::from_utf8(batch.iter_lines().next().unwrap().to_vec()).unwrap();
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        assert!(line.starts_with(&format!("{NAME},hostname={hostname} added=7i,")), "{line}");
        let fields = ["dropped=2i", "dropped_newest=2i", "dropped_closed=0i", "pending=0i"];
        let pid = format!("pid={}i", std::process::id());
        for field in fields.into_iter().chain([pid.as_str(), r#"last_error="no \"db\"" 1"#]) {
            assert!(line.contains(&format!(",{field}")), "{field}: {line}");
        }
        let timestamp = line.rsplit(' ').next().unwrap();
        assert_eq!(timestamp.len(), 10, "in seconds: {timestamp}");
    }

    #[test]
    fn points_come_after_a_second_and_then_each_interval_until_the_end() {
        let schedule = OwnSchedule::default();
        let seconds = Duration::from_secs;
        let next = |now| schedule.next(seconds(now), seconds(60)).map(|next| next.as_secs());
        assert_eq!(next(5), Some(6));
        assert_eq!(next(6), Some(6), "due");
        assert_eq!(next(6), Some(66), "for one caller");
        assert_eq!(next(70), Some(70));
        assert_eq!(next(71), Some(130));
        assert!(schedule.end() && !schedule.end());
        assert_eq!(next(200), None);
    }
}
