//! What a server has of one run, whichever server it is.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sprockets_influxdb::testing::{Point, Value};

use super::service::MEASUREMENT;

/// The width of a column of the chart over time.
pub(crate) const STEP: Duration = Duration::from_millis(250);

/// The points of a run.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// How many there are.
    pub(crate) stored: u64,
    /// By endpoint, then method.
    pub(crate) endpoints: Vec<Endpoint>,
    /// How many in each [`STEP`].
    pub(crate) over_time: Vec<u64>,
}

/// The points of an endpoint and a method.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) endpoint: String,
    pub(crate) method: String,
    pub(crate) requests: u64,
    /// Those with a status of 500 and above.
    pub(crate) errors: u64,
    /// 50, 95 and 99 of 100 requests took no longer; in seconds.
    pub(crate) percentiles: [f64; 3],
}

/// When the requests were made, but for a few that came late.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
}

impl Span {
    /// In nanoseconds since the Unix epoch.
    pub(crate) fn nanoseconds(self) -> (u128, u128) {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        (since(self.start).as_nanos(), since(self.end).as_nanos())
    }
}

impl Summary {
    /// From the points themselves: what InfluxQL computes elsewhere, by the same rules.
    pub(crate) fn of_points(points: &[Point], run: &str, span: Span) -> Self {
        let mine =
            |point: &&Point| point.measurement == MEASUREMENT && point.tag("run") == Some(run);
        let (start, end) = span.nanoseconds();
        let steps = (end - start).div_ceil(STEP.as_nanos());
        let mut summary = Self { over_time: vec![0; steps as usize], ..Self::default() };
        let mut durations = BTreeMap::<_, Vec<f64>>::new();
        let mut errors = BTreeMap::new();
        for point in points.iter().filter(mine) {
            let key = (tag(point, "endpoint"), tag(point, "method"));
            let Some(Value::Float(duration)) = point.field("duration") else { continue };
            summary.stored += 1;
            durations.entry(key.clone()).or_default().push(*duration);
            *errors.entry(key).or_default() +=
                u64::from(tag(point, "status_code").starts_with('5'));
            let step = (point.timestamp as u128).saturating_sub(start) / STEP.as_nanos();
            if let Some(count) = summary.over_time.get_mut(step as usize) {
                *count += 1;
            }
        }
        let endpoints = durations.into_iter().map(|(key, mut durations)| {
            durations.sort_by(f64::total_cmp);
            Endpoint {
                requests: durations.len() as u64,
                errors: errors[&key],
                percentiles: [50.0, 95.0, 99.0].map(|percent| percentile(&durations, percent)),
                endpoint: key.0,
                method: key.1,
            }
        });
        summary.endpoints = endpoints.collect();
        summary
    }
}

fn tag(point: &Point, key: &str) -> String {
    point.tag(key).unwrap_or_default().to_owned()
}

/// The nearest of some sorted numbers, of which there is at least one.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (sorted.len() as f64 * percent / 100.0).round() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}
