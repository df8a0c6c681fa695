//! `spool deliver`: what processes have left that are no more.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::HumanCount;
use serde_json::{Value, json};
use sprockets_influxdb::spool::{Directory, FileInfo};
use sprockets_influxdb::{Client, Stats};

use crate::format::{counted, print, print_json};
use crate::progress::{Progress, Size};
use crate::wait::{self, NOT_FOR_FILES, Stop, Watch};
use crate::{Problem, args, exit, terminal, warnings};

/// How often it is looked whether all is decided.
const LOOK: Duration = Duration::from_millis(20);

/// Deliver what processes that are no more have left in the spool
///
/// It is sent as applications send it: in batches, repeated until the server has decided; lines that it refuses go to the
/// quarantine. Processes that are alive deliver what is theirs. What was not delivered stays in the spool. Files set aside
/// in `damaged` are not looked at: what could be read of them was delivered.
///
/// The first Ctrl-C ends it after the shutdown timeout, the second at once.
///
/// Ends with 0 if every line was delivered, 1 if one was not, 2 if an argument, a setting or the directory cannot be used,
/// and 130 on a second Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    server: args::Server,
    /// Give up when the server has taken nothing for so many seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    give_up_after: u64,
    /// No progress, and no summary unless a line was not delivered
    #[arg(long, short)]
    quiet: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let directory = options.spool.directory()?;
    let set_aside = paths(&directory.damaged()?);
    let alive = directory.slots()?.iter().filter(|slot| slot.is_alive).count() as u64;
    let config = options.server.config(wait::config(), &NOT_FOR_FILES)?;
    let config = config.spool(directory.path());
    let (client, told) = warnings::collect(|| Client::new(config));
    let client = client?;
    let progress = Progress::new(options.quiet, Size::Lines(0));
    for warning in told {
        progress.say(&format!("warning: {warning}"));
    }

    let started = Instant::now();
    let mut watch = Watch::new(&client, progress, options.give_up_after);
    while !client.recover(LOOK) && !watch.is_over() {}
    loop {
        let stats = client.stats();
        if stats.pending == 0 || watch.is_over() {
            break;
        }
        watch.progress().set_size(Size::Lines(stats.recovered));
        thread::sleep(LOOK);
    }
    watch.shut_down();
    let stop = watch.stop;
    drop(watch);
    let stats = client.stats();
    // Before it is looked at what is left: it is nobody's then.
    drop(client);

    let mut outcome =
        Outcome { alive, elapsed: started.elapsed(), stop, waiting: 0, stats, left: Vec::new() };
    outcome.look(&directory, &set_aside)?;
    if options.json {
        print_json(&outcome.json())?;
    } else if !options.quiet || !outcome.is_delivered() {
        print(|out| outcome.write_to(out))?;
    }
    Ok(if outcome.is_delivered() { exit::OK } else { exit::FAILED })
}

struct Outcome {
    /// Processes that deliver what is theirs.
    alive: u64,
    elapsed: Duration,
    stop: Option<Stop>,
    stats: Stats,
    /// Lines that are nobody's when all is over.
    waiting: u64,
    /// Files of which not every line could be delivered, and why.
    left: Vec<(PathBuf, String)>,
}

impl Outcome {
    /// Looks for files with lines that nobody delivers.
    fn look(&mut self, directory: &Directory, set_aside: &BTreeSet<PathBuf>) -> io::Result<()> {
        for file in directory.damaged()? {
            if !set_aside.contains(&file.path) {
                let reason = file.reason.unwrap_or_default();
                self.left.push((file.path, format!("set aside: {reason}")));
            }
        }
        for slot in directory.slots()?.into_iter().filter(|slot| !slot.is_alive) {
            for file in slot.files {
                match file.read() {
                    Ok(content) => self.waiting += content.map_or(0, |of| of.len() as u64),
                    Err(error) => self.left.push((file.path, format!("left alone: {error}"))),
                }
            }
        }
        // A request that is under way still has its lines.
        self.waiting = self.waiting.max(self.stats.pending);
        Ok(())
    }

    fn is_delivered(&self) -> bool {
        let stats = &self.stats;
        let undelivered = stats.rejected + stats.dropped.total() + self.waiting;
        self.stop.is_none() && self.left.is_empty() && undelivered == 0
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let (style, stats) = (terminal::on_stdout(), &self.stats);
        let (lines, seconds) = (counted(stats.recovered, "line"), self.elapsed.as_secs_f64());
        writeln!(out, "{lines} found, of processes that are no more; {seconds:.1} s")?;
        writeln!(out, "  {} delivered", style.good(&HumanCount(stats.delivered).to_string()))?;
        for (count, what) in [
            (stats.rejected, "rejected by the server: see `quarantine list`"),
            (stats.dropped.total(), "lost, as their files are damaged"),
            (self.waiting, "not delivered: they stay in the spool"),
        ] {
            if count > 0 {
                writeln!(out, "  {} {what}", style.bad(&HumanCount(count).to_string()))?;
            }
        }
        for (path, problem) in &self.left {
            writeln!(out, "  {} {}: {problem}", style.bad("damaged:"), path.display())?;
        }
        if let (true, Some(error)) = (self.waiting + stats.rejected > 0, &stats.last_error) {
            writeln!(out, "  last error: {error}")?;
        }
        if let Some(stop) = self.stop {
            writeln!(out, "  {} {}", style.bad("ended early:"), stop.told())?;
        }
        match self.alive {
            0 => Ok(()),
            1 => writeln!(out, "  a process is alive: it delivers what is its own"),
            alive => writeln!(out, "  {alive} processes are alive: they deliver what is theirs"),
        }
    }

    fn json(&self) -> Value {
        let stats = &self.stats;
        let left = self.left.iter();
        let left = left.map(|(file, problem)| json!({ "file": file, "problem": problem }));
        json!({
            "ok": self.is_delivered(),
            "recovered": stats.recovered,
            "delivered": stats.delivered,
            "rejected": stats.rejected,
            "dropped": stats.dropped.total(),
            "pending": self.waiting,
            "requests": stats.batches,
            "retries": stats.retries,
            "bytes_sent": stats.bytes_sent,
            "seconds": self.elapsed.as_secs_f64(),
            "alive": self.alive,
            "damaged": left.collect::<Vec<_>>(),
            "last_error": stats.last_error,
            "problem": self.stop.map(Stop::told),
        })
    }
}

fn paths(files: &[FileInfo]) -> BTreeSet<PathBuf> {
    files.iter().map(|file| file.path.clone()).collect()
}
