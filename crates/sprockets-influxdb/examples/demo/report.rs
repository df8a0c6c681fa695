//! The report: the requests that the database has, and the counters of the client beside them.

use sprockets_influxdb::Stats;

use super::load::Sent;
use super::summary::{Endpoint, STEP, Summary};

/// The columns of the longest bar.
const BAR: f64 = 30.0;

/// One row for each endpoint, and a chart over time.
pub(crate) fn requests(summary: &Summary) {
    let slowest = summary.endpoints.iter().map(|endpoint| endpoint.percentiles[2]);
    let slowest = slowest.fold(f64::MIN_POSITIVE, f64::max);
    println!();
    println!("{:<19} requests  errors  p50 ms  p95 ms  p99 ms  █ p50  ▓ p95  ░ p99", "endpoint");
    for row in &summary.endpoints {
        let Endpoint { endpoint, method, requests, errors, percentiles } = row;
        let [p50, p95, p99] = percentiles.map(|seconds| format!("{:>7.2}", seconds * 1e3));
        println!(
            "{:<19} {:>8} {:>7} {p50} {p95} {p99}  {}",
            format!("{method:<4} {endpoint}"),
            thousands(*requests),
            thousands(*errors),
            bar(*percentiles, slowest),
        );
    }
    let errors = summary.endpoints.iter().map(|endpoint| endpoint.errors).sum();
    println!("{:<19} {:>8} {:>7}", "all", thousands(summary.stored), thousands(errors));
    println!();
    let most = summary.over_time.iter().copied().max().unwrap_or_default();
    println!(
        "over time           {}  at most {} in {} ms",
        sparkline(&summary.over_time, most),
        thousands(most),
        STEP.as_millis(),
    );
}

/// Prints what to look at, and what to run, after the demo.
pub(crate) fn next_steps() {
    println!();
    println!("see requests in Grafana: docker compose -f examples/grafana/compose.yaml up");
    println!("record your own service: docs/quickstart.md, and sprockets-influxdb check");
}

/// Prints the counters beside what should equal them. Returns whether they are equal.
pub(crate) fn counters(sent: &Sent, stats: &Stats, stored: Option<u64>) -> bool {
    let row = |name: &str, count: u64| println!("{name:<19} {:>8}", thousands(count));
    let compare = |name: &str, count: u64, other: Option<u64>, what: &str| {
        let sign = if Some(count) == other { '=' } else { '≠' };
        let other = other.map_or_else(|| "?".to_owned(), thousands);
        println!("{name:<19} {:>8}  {sign} {other:>8} {what}", thousands(count));
    };
    println!();
    println!("counters");
    compare("added", stats.added, Some(sent.answered), "requests answered");
    compare("  delivered", stats.delivered, stored, "points in the database");
    row("  rejected", stats.rejected);
    row("  sampled out", stats.sampled_out);
    row("  dropped", stats.dropped.total());
    row("  pending", stats.pending);
    println!();

    let problems = problems(sent, stats, stored);
    if problems.is_empty() {
        println!(
            "equal: {} points in {} writes ({} repeated), {} KB",
            thousands(stats.delivered),
            thousands(stats.batches),
            thousands(stats.retries),
            thousands(stats.bytes_sent / 1000),
        );
    }
    for problem in &problems {
        println!("NOT EQUAL: {problem}");
    }
    if let Some(error) = stats.last_error.as_ref().filter(|_| !problems.is_empty()) {
        println!("the client's last error: {error}");
    }
    problems.is_empty()
}

fn problems(sent: &Sent, stats: &Stats, stored: Option<u64>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let Stats { added, delivered, dropped, pending, .. } = stats;
    check(sent.unanswered == 0, format!("{} requests were not answered", sent.unanswered));
    check(*added == sent.answered, format!("{added} added of {} requests", sent.answered));
    check(stats.is_balanced(), "the counters do not balance".to_owned());
    check(*pending == 0, format!("{pending} are not delivered in time"));
    check(*delivered > 0, format!("nothing is delivered (dropped: {dropped:?})"));
    if let Some(stored) = stored {
        check(*delivered == stored, format!("{delivered} delivered, {stored} in the database"));
    } else {
        check(false, "what is in the database cannot be read".to_owned());
    }
    problems
}

/// `12,345`
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The percentiles on one scale for all rows, one drawn on from where the last one ends.
fn bar(percentiles: [f64; 3], longest: f64) -> String {
    let mut bar = String::new();
    let mut drawn = 0;
    for (percentile, mark) in percentiles.into_iter().zip(["█", "▓", "░"]) {
        let columns = (percentile / longest * BAR).round() as usize;
        bar.push_str(&mark.repeat(columns.saturating_sub(drawn)));
        drawn = drawn.max(columns);
    }
    bar
}

fn sparkline(counts: &[u64], most: u64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    counts.iter().map(|count| LEVELS[(count * 7).div_ceil(most.max(1)).min(7) as usize]).collect()
}
