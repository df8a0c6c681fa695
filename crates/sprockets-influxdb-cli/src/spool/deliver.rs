//! `spool deliver`: delivers the lines of processes that have ended.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use sprockets_influxdb::Stats;
use sprockets_influxdb::internal::{self, shown};
use sprockets_influxdb::spool::{Directory, SlotInfo};

use crate::args;
use crate::exit::Problem;
use crate::format::counted;
use crate::progress::{Progress, Size};
use crate::report::Report;
use crate::wait::{self, IGNORED_VARIABLES, Wait};

/// How often to look whether all lines are decided.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Deliver the lines in a spool whose processes have ended
///
/// Lines are sent as applications send them: in batches, retried until the server has accepted or
/// rejected each. Rejected lines go to the quarantine. Running processes deliver their own lines.
/// Lines of other users stay, unless --any-user allows them. Lines that are not delivered stay in
/// the spool. Files in `damaged` are skipped: what could be read of them was delivered before.
///
/// The first Ctrl-C ends it within the shutdown timeout, the second at once.
///
/// Exit code: 0 if every line was delivered, 1 if one was not, 2 if an argument, a setting or the
/// directory cannot be used, 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// Also take over files of other users: anyone who may write to the spool then decides what is
    /// sent with the credentials of this command
    #[arg(long)]
    any_user: bool,
    #[command(flatten)]
    server: args::Server,
    #[command(flatten)]
    delivery: args::Delivery,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let directory = options.spool.directory()?;
    let damaged_before = directory.damaged()?.into_iter().map(|file| file.path).collect();
    let slots = directory.slots()?;
    let alive = slots.iter().filter(|slot| slot.is_alive).count() as u64;
    let is_foreign = |slot: &&SlotInfo| !options.any_user && !slot.is_of_this_user();
    let foreign = slots.iter().filter(is_foreign).count() as u64;
    let config = options.server.config(wait::config(), &IGNORED_VARIABLES)?;
    let config = config.spool(directory.path());
    let progress = Progress::new(options.delivery.quiet, Size::Lines(0));
    let client = wait::client(config, &progress)?;
    if options.any_user {
        internal::recover_from_any_user(&client);
    }

    let started = Instant::now();
    let mut wait = Wait::new(&client, progress, options.delivery.give_up_after);
    while !client.recover(POLL_INTERVAL) && !wait.is_over() {}
    loop {
        let stats = client.stats();
        if stats.pending == 0 || wait.is_over() {
            break;
        }
        wait.progress().set_size(Size::Lines(stats.recovered));
        thread::sleep(POLL_INTERVAL);
    }
    client.shutdown(wait.shutdown_timeout());
    let ended_early = wait.stop().map(|stop| stop.to_string());
    drop(wait);
    let stats = client.stats();
    // Releases the client's part of the spool, so that what remains there belongs to nobody.
    drop(client);

    let mut remains = Remains::find(&directory, &damaged_before)?;
    // A request that is under way still has its lines.
    remains.lines = remains.lines.max(stats.pending);
    let mut report = report(&stats, &remains, alive, started.elapsed(), ended_early);
    if foreign > 0 {
        let slots = counted(foreign, "slot");
        report.notes.push(format!("{slots} of other users: --any-user delivers them as well"));
    }
    report.print(options.delivery.quiet, &options.delivery.output)?;
    Ok(report.exit_code())
}

/// What is in the spool afterwards, and belongs to no running process.
#[derive(Default)]
struct Remains {
    lines: u64,
    /// Files of which not every line could be delivered, and why.
    damaged: Vec<(PathBuf, String)>,
}

impl Remains {
    fn find(directory: &Directory, damaged_before: &BTreeSet<PathBuf>) -> io::Result<Self> {
        let mut remains = Self::default();
        for file in directory.damaged()? {
            if !damaged_before.contains(&file.path) {
                let reason = file.reason.unwrap_or_default();
                remains.damaged.push((file.path, format!("set aside: {reason}")));
            }
        }
        for slot in directory.slots()?.into_iter().filter(|slot| !slot.is_alive) {
            for file in slot.files {
                match file.read() {
                    Ok(content) => remains.lines += content.map_or(0, |of| of.len() as u64),
                    Err(error) => remains.damaged.push((file.path, format!("left alone: {error}"))),
                }
            }
        }
        Ok(remains)
    }
}

fn report(
    stats: &Stats,
    remains: &Remains,
    alive: u64,
    elapsed: Duration,
    ended_early: Option<String>,
) -> Report {
    let (found, seconds) = (counted(stats.recovered, "line"), elapsed.as_secs_f64());
    let failures = remains.damaged.iter();
    let failures =
        failures.map(|(path, problem)| ("damaged", format!("{}: {problem}", shown(path))));
    let damaged = remains.damaged.iter();
    let damaged = damaged.map(|(file, problem)| json!({ "file": file, "problem": problem }));
    let note = match alive {
        0 => None,
        1 => Some("1 process is running: it delivers its own lines".to_owned()),
        alive => Some(format!("{alive} processes are running: they deliver their own lines")),
    };
    Report {
        heading: format!("{found} found, of processes that have ended; {seconds:.1} s"),
        delivered: stats.delivered,
        undelivered: vec![
            ("rejected", stats.rejected, "rejected by the server: see `quarantine list`"),
            ("dropped", stats.dropped.total(), "lost, as their files are damaged"),
            ("pending", remains.lines, "not delivered: they stay in the spool"),
        ],
        failures: failures.collect(),
        last_error: stats.last_error.clone(),
        ended_early,
        notes: note.into_iter().collect(),
        json: json!({
            "recovered": stats.recovered,
            "requests": stats.batches,
            "retries": stats.retries,
            "bytes_sent": stats.bytes_sent,
            "seconds": seconds,
            "alive": alive,
            "damaged": damaged.collect::<Vec<_>>(),
        }),
    }
}
