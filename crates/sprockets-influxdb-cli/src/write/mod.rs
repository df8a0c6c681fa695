//! `write`: line protocol from files, through the same client that applications use. One thread reads and adds; this one
//! shows how far it is, and decides when enough is enough. The buffer blocks when it is full, so memory is bounded
//! however large the files are.

mod dry_run;
mod gate;
mod import;
mod input;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use sprockets_influxdb::{Api, Client, Config, Precision, SettingValue};

use self::gate::Gate;
use self::import::{Counts, Ended, Import};
use self::input::Inputs;
use self::summary::{Refusals, Summary};
use crate::patience::{self, NOT_FOR_FILES, Stall, Stop, TICK};
use crate::progress::{Done, Progress, Size};
use crate::{Problem, exit, options, signals, warnings};

/// Write line protocol from files, or from the standard input, into InfluxDB
///
/// Lines are sent in batches, repeated until the server has decided, and lines that it refuses are left out. What is no
/// line protocol is reported with its place, and the rest goes on. A line without a timestamp gets one, so that equal
/// lines do not overwrite each other. Files may be compressed by gzip. INFLUXDB_ENABLED, INFLUXDB_INTERVAL,
/// INFLUXDB_OVERFLOW, INFLUXDB_BLOCK_TIMEOUT and INFLUXDB_SAMPLE_PROBABILITY are not heeded.
///
/// The first Ctrl-C ends the reading, and what was read is delivered within the shutdown timeout; the second ends at
/// once.
///
/// Ends with 0 if every line was delivered, 1 if one was not, 2 if an argument, a setting or a file cannot be used, and
/// 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Files of line protocol; `-`, or none: the standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The database (bucket, on InfluxDB 2) to write to; without it, comments `# CONTEXT-DATABASE: NAME` say so
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Of the timestamps in the files: ns, us, ms or s
    #[arg(long, value_name = "UNIT", default_value = "ns")]
    precision: Precision,
    /// Most lines in one request (INFLUXDB_MAX_BATCH_SIZE)
    #[arg(long, value_name = "LINES")]
    max_batch_size: Option<usize>,
    /// Give up when the server has taken nothing for so many seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    give_up_after: u64,
    #[command(flatten)]
    server: options::Server,
    /// Write nothing: print what would be written, and report what is no line protocol
    #[arg(long)]
    dry_run: bool,
    /// No progress, and no summary unless a line was not delivered
    #[arg(long, short)]
    quiet: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

/// What the reading thread and the signals tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line that is no line protocol, in words.
    Invalid(String),
    /// Everything was read, or something forbids to go on.
    Ended(Ended),
    /// All that was read is decided.
    Flushed,
    Interrupted,
}

pub(crate) fn run(options: Options) -> Result<u8, Problem> {
    let refusals = Arc::new(Refusals::default());
    let config = options.config(refusals.clone())?;
    // Judged before a file is opened.
    let settings = config.settings()?;
    let inputs = Inputs::new(&options.files)?;
    if options.dry_run {
        let v1 = SettingValue::Api(Api::V1);
        let is_v1 = settings.iter().any(|setting| *setting.value() == v1);
        return dry_run::run(&options, inputs, is_v1);
    }

    let (client, told) = warnings::collect(|| Client::new(config));
    let client = client?;
    let mut progress =
        Progress::new(options.quiet, inputs.size().map_or(Size::Unknown, Size::Bytes));
    for warning in told {
        progress.say(&format!("warning: {warning}"));
    }
    let (events, inbox) = channel();
    let interrupted = events.clone();
    // Nobody listens once the command is over.
    signals::tell(move || drop(interrupted.send(Event::Interrupted)));
    let (gate, counts) = (Arc::new(Gate::default()), Arc::new(Counts::new(inputs.counter())));
    let import = Import {
        client: client.clone(),
        database: options.database.clone(),
        precision: options.precision,
        gate: gate.clone(),
        counts: counts.clone(),
        events,
    };
    let started = Instant::now();
    thread::Builder::new().name("influxdb-import".into()).spawn(move || import.run(inputs))?;

    let watch = Watch { client: &client, counts: &counts, gate: &gate, options: &options };
    let (stop, ended) = watch.run(&inbox, &mut progress);
    progress.clear();
    signals::forget();
    if let (Some(Ended::Unusable(problem)), 0) = (&ended, counts.lines.load(Ordering::Relaxed)) {
        return Err(problem.clone().into());
    }
    let summary =
        Summary::new(&client.stats(), &counts, &refusals, started.elapsed(), stop, ended.as_ref());
    if options.json || !options.quiet || !summary.is_delivered() {
        summary.print(options.json);
    }
    Ok(if summary.is_delivered() { exit::OK } else { exit::FAILED })
}

impl Options {
    fn config(&self, refusals: Arc<Refusals>) -> Result<Config, Problem> {
        let base = patience::config().on_rejected(move |rejected| refusals.note(rejected));
        let config = self.server.config(base, &NOT_FOR_FILES)?;
        Ok(match self.max_batch_size {
            Some(size) => config.max_batch_size(size),
            None => config,
        })
    }
}

/// What becomes of the import, seen from outside.
struct Watch<'a> {
    client: &'a Client,
    counts: &'a Counts,
    gate: &'a Gate,
    options: &'a Options,
}

impl Watch<'_> {
    /// Waits until all is decided, somebody interrupts it, or the server has taken nothing for too long.
    fn run(
        &self,
        inbox: &Receiver<Event>,
        progress: &mut Progress,
    ) -> (Option<Stop>, Option<Ended>) {
        let mut ended = None;
        let mut stall = Stall::new(self.options.give_up_after);
        let stop = loop {
            match inbox.recv_timeout(TICK) {
                Ok(Event::Invalid(text)) => progress.say(&text),
                Ok(Event::Ended(how)) => ended = Some(how),
                Ok(Event::Flushed) | Err(RecvTimeoutError::Disconnected) => break None,
                Ok(Event::Interrupted) => break Some(Stop::Interrupted),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Each of many bad lines is an event.
            if !progress.is_due() {
                continue;
            }
            let stats = self.client.stats();
            progress.update(&Done {
                count: self.counts.bytes.load(Ordering::Relaxed),
                lines: self.counts.lines.load(Ordering::Relaxed),
                invalid: self.counts.invalid.load(Ordering::Relaxed),
                stats: &stats,
            });
            if stall.is_too_long(stats.pending, stats.delivered + stats.rejected) {
                break Some(Stop::GaveUp);
            }
        };
        if let Some(stop) = stop {
            let is_hopeless = stop == Stop::GaveUp;
            let timeout = if is_hopeless { Duration::ZERO } else { self.client.shutdown_timeout() };
            if !is_hopeless {
                progress.say("interrupted: delivering what was read");
            }
            let deadline = Instant::now() + timeout;
            self.gate.close(deadline);
            self.client.shutdown(deadline.saturating_duration_since(Instant::now()));
            // Whoever waited for room has been let go.
            self.gate.close(Instant::now() + Duration::from_secs(1));
        }
        for event in inbox.try_iter() {
            match event {
                Event::Invalid(text) => progress.say(&text),
                Event::Ended(how) => ended = Some(how),
                Event::Flushed | Event::Interrupted => {}
            }
        }
        (stop, ended)
    }
}
