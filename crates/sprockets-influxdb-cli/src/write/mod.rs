//! `write`: line protocol from files, through the same client that applications use.
//!
//! One thread reads and adds lines; this one shows progress and decides when to give up. The
//! buffer blocks when it is full, so memory is bounded however large the files are.

mod add_guard;
mod dry_run;
mod first_rejected;
mod gzip;
mod import;
mod input;
mod source;
mod targets;
mod unit;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use sprockets_influxdb::{Api, Client, Config, DropReason, SettingValue};

use self::add_guard::AddGuard;
use self::dry_run::DryRun;
use self::first_rejected::{FirstRejected, RejectedLine};
use self::import::{Counts, Event, Import};
use self::input::Inputs;
use self::source::{Databases, Ended};
use self::targets::Policies;
use self::unit::Unit;
use crate::args;
use crate::exit::Problem;
use crate::format::counted;
use crate::progress::{Position, Progress, Size, TICK};
use crate::report::Report;
use crate::wait::{self, IGNORED_VARIABLES, Wait};

/// Write line protocol from files or standard input to InfluxDB
///
/// Lines are sent in batches and retried until the server has accepted or rejected each. Invalid
/// lines are reported with their file and line number, and the others are sent. A line without a
/// timestamp gets a unique one, so that equal lines do not overwrite each other. Files may be
/// compressed with gzip.
///
/// Files of `influx_inspect export` name the database and the retention policy of their lines. On
/// InfluxDB 2 and 3 the retention policy becomes a part of the name, as in `db/policy`, unless it
/// is `autogen`. `--set retention_policy=NAME` takes precedence. Lines of a database that cannot be
/// written to are skipped, and the others are sent.
///
/// Ignored: INFLUXDB_ENABLED, INFLUXDB_INTERVAL, INFLUXDB_OVERFLOW, INFLUXDB_BLOCK_TIMEOUT,
/// INFLUXDB_SAMPLE_PROBABILITY and INFLUXDB_SELF_DATABASE.
///
/// The first Ctrl-C stops reading, and delivers within the shutdown timeout what was read. The
/// second ends at once.
///
/// Exit code: 0 if every line was delivered, 1 if one was not, 2 if an argument, a setting or a
/// file cannot be used, 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Files of line protocol; `-` or none: standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Database (bucket, on InfluxDB 2); default: what comments `# CONTEXT-DATABASE: NAME` say
    /// [env: INFLUXDB_DATABASE, for lines without such a comment]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Unit of the timestamps in the files: ns, us, ms, s, m (minutes) or h (hours)
    #[arg(long, value_name = "UNIT", default_value = "ns")]
    precision: Unit,
    /// Maximum number of lines in one request [env: INFLUXDB_MAX_BATCH_SIZE]
    #[arg(long, value_name = "LINES")]
    max_batch_size: Option<usize>,
    #[command(flatten)]
    server: args::Server,
    /// Send nothing: print the lines that would be sent, and report invalid ones
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    delivery: args::Delivery,
}

pub(crate) fn run(options: Options) -> Result<u8, Problem> {
    let first_rejected = Arc::new(FirstRejected::default());
    let config = options.config(first_rejected.clone())?;
    // Fails on unusable settings before a file is opened.
    let settings = config.settings()?;
    let databases = Databases {
        argument: options.database.clone(),
        default: settings
            .iter()
            .find(|setting| setting.name() == "database" && !setting.value().is_unset())
            .map(|setting| setting.value().to_string()),
    };
    let inputs = Inputs::new(&options.files)?;
    if options.dry_run {
        let v1 = SettingValue::Api(Api::V1);
        let dry_run = DryRun {
            databases,
            unit: options.precision,
            policies: Policies::of(&settings),
            is_v1: settings.iter().any(|setting| *setting.value() == v1),
            quiet: options.delivery.quiet,
        };
        return dry_run.run(inputs);
    }

    let size = inputs.size().map_or(Size::Unknown, Size::Bytes);
    let progress = Progress::new(options.delivery.quiet, size);
    let client = wait::client(config, &progress)?;
    let (events, inbox) = channel();
    let (guard, counts) = (Arc::new(AddGuard::default()), Arc::new(Counts::new(inputs.counter())));
    let position = |_: &_| Position {
        count: counts.bytes.load(Ordering::Relaxed),
        lines: counts.lines.load(Ordering::Relaxed),
        invalid: counts.invalid.load(Ordering::Relaxed),
    };
    let interrupted = events.clone();
    // Fails only after the command is over.
    let on_signal = move || drop(interrupted.send(Event::Interrupted));
    let give_up_after = options.delivery.give_up_after;
    let mut wait = Wait::with_position(&client, progress, give_up_after, position, on_signal);
    let import = Import {
        client: client.clone(),
        databases,
        unit: options.precision,
        policies: Policies::of(&settings),
        guard: guard.clone(),
        counts: counts.clone(),
        events,
    };
    let started = Instant::now();
    thread::Builder::new().name("influxdb-import".into()).spawn(move || import.run(inputs))?;

    let mut skipped = Vec::new();
    let ended = wait_for(&mut wait, &client, &guard, &inbox, &mut skipped);
    let stop = wait.stop();
    drop(wait);
    if let (Some(Ended::Unusable(problem)), 0) = (&ended, counts.lines.load(Ordering::Relaxed)) {
        return Err(problem.clone().into());
    }
    let ended_early = match ended {
        Some(Ended::Failed(problem) | Ended::Unusable(problem)) => Some(problem),
        _ => stop.map(|stop| stop.to_string()),
    };
    let mut report = report(&client, &counts, &first_rejected, started.elapsed(), ended_early);
    report.json["skipped_because"] = json!(skipped);
    report.failures.extend(skipped.into_iter().map(|why| ("skipped", why)));
    // The exit code tells the result even if the output cannot be written.
    let _ = report.print(options.delivery.quiet, &options.delivery.output);
    Ok(report.exit_code())
}

impl Options {
    fn config(&self, first_rejected: Arc<FirstRejected>) -> Result<Config, Problem> {
        let base = wait::config().on_rejected(move |rejected| first_rejected.add(rejected));
        let config = self.server.config(base, &IGNORED_VARIABLES)?;
        Ok(match self.max_batch_size {
            Some(size) => config.max_batch_size(size),
            None => config,
        })
    }
}

/// Waits until all lines are decided. If it has to stop before, it shuts the client down. Returns
/// how reading ended, if it did. `skipped` gets why inputs or databases were skipped.
fn wait_for(
    wait: &mut Wait<'_>,
    client: &Client,
    guard: &AddGuard,
    inbox: &Receiver<Event>,
    skipped: &mut Vec<String>,
) -> Option<Ended> {
    let mut ended = None;
    loop {
        match inbox.recv_timeout(TICK) {
            Ok(Event::Invalid(message)) => wait.progress().message(&message),
            Ok(Event::Skipped(why)) => skipped.push(why),
            Ok(Event::Ended(how)) => ended = Some(how),
            Ok(Event::Flushed) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(Event::Interrupted) | Err(RecvTimeoutError::Timeout) => {}
        }
        if wait.is_over() {
            break;
        }
    }
    if wait.stop().is_some() {
        let deadline = Instant::now() + wait.shutdown_timeout();
        guard.stop(deadline);
        client.shutdown(deadline.saturating_duration_since(Instant::now()));
        // The shutdown released the reading thread, if it was waiting for room.
        guard.stop(Instant::now() + Duration::from_secs(1));
    }
    for event in inbox.try_iter() {
        match event {
            Event::Invalid(message) => wait.progress().message(&message),
            Event::Skipped(why) => skipped.push(why),
            Event::Ended(how) => ended = Some(how),
            Event::Flushed | Event::Interrupted => {}
        }
    }
    ended
}

fn report(
    client: &Client,
    counts: &Counts,
    first_rejected: &FirstRejected,
    elapsed: Duration,
    ended_early: Option<String>,
) -> Report {
    let stats = client.stats();
    let lines = counts.lines.load(Ordering::Relaxed);
    let bytes_read = counts.bytes.load(Ordering::Relaxed);
    // Lines that the client refused as invalid are in `counts.invalid`.
    let dropped =
        stats.sampled_out + stats.dropped.total() - stats.dropped.count(DropReason::Invalid);
    let seconds = elapsed.as_secs_f64();
    let rate = (stats.delivered as f64 / seconds.max(1e-3)) as u64;
    let first_rejected = first_rejected.first();
    Report {
        heading: match &ended_early {
            // Some bytes were read ahead.
            Some(_) if lines == 0 => "nothing was sent".to_owned(),
            _ => format!(
                "{} read ({}) in {seconds:.1} s, {} delivered/s; sent {} in {} ({} retried)",
                counted(lines, "line"),
                HumanBytes(bytes_read),
                HumanCount(rate),
                HumanBytes(stats.bytes_sent),
                counted(stats.batches, "request"),
                HumanCount(stats.retries),
            ),
        },
        delivered: stats.delivered,
        undelivered: vec![
            ("rejected", stats.rejected, "rejected by the server"),
            ("invalid", counts.invalid.load(Ordering::Relaxed), "invalid, not sent"),
            ("skipped", counts.skipped.load(Ordering::Relaxed), "skipped, not sent"),
            ("dropped", dropped, "dropped, not sent"),
            ("pending", stats.pending, "not delivered"),
        ],
        failures: first_rejected.iter().map(|line| ("rejected", line.text())).collect(),
        last_error: stats.last_error,
        ended_early,
        notes: Vec::new(),
        json: json!({
            "lines": lines,
            "bytes_read": bytes_read,
            "bytes_sent": stats.bytes_sent,
            "requests": stats.batches,
            "retries": stats.retries,
            "seconds": seconds,
            "first_rejected": first_rejected.iter().map(RejectedLine::json).collect::<Vec<_>>(),
        }),
    }
}
