//! `spool list`: whose lines wait, and how many.

use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use sprockets_influxdb::spool::{Directory, FileKind, SlotInfo};

use crate::format::{age, counted, print, print_json, seconds};
use crate::{Problem, args, exit, terminal};

/// List the processes with lines in the spool, alive or not, and what is damaged or refused
///
/// Lines of a process that is alive are delivered by itself; those of one that is not by the next client of the same
/// spool, or by `spool deliver`.
///
/// Ends with 0, or 2 if an argument or the directory cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// So much of something.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    files: u64,
    lines: u64,
    bytes: u64,
    oldest: Option<SystemTime>,
}

impl Amount {
    fn add(&mut self, lines: usize, bytes: u64, modified: Option<SystemTime>) {
        self.files += 1;
        self.lines += lines as u64;
        self.bytes += bytes;
        self.oldest = self.oldest.into_iter().chain(modified).min();
    }

    fn of_slot(slot: &SlotInfo) -> Self {
        let mut amount = Self::default();
        for file in &slot.files {
            let lines = match file.kind {
                FileKind::Sealed(lines) => lines,
                // What cannot be read, `verify` tells.
                _ => file.read().ok().flatten().map_or(0, |content| content.len()),
            };
            amount.add(lines, file.bytes, file.modified);
        }
        amount
    }

    fn json(&self) -> Value {
        json!({
            "files": self.files,
            "lines": self.lines,
            "bytes": self.bytes,
            "oldest_seconds": seconds(self.oldest),
        })
    }
}

struct Found {
    slots: Vec<(SlotInfo, Amount)>,
    damaged: Amount,
    quarantine: Amount,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let directory = options.spool.directory()?;
    let found = Found::of(&directory)?;
    if options.json {
        print_json(&found.json(&directory))?;
    } else {
        print(|out| found.write_to(out))?;
    }
    Ok(exit::OK)
}

impl Found {
    fn of(directory: &Directory) -> io::Result<Self> {
        let slots = directory.slots()?.into_iter().map(|slot| {
            let amount = Amount::of_slot(&slot);
            (slot, amount)
        });
        let (mut damaged, mut quarantine) = (Amount::default(), Amount::default());
        for file in directory.damaged()? {
            let lines = file.read().ok().flatten().map_or(0, |content| content.len());
            damaged.add(lines, file.bytes, file.modified);
        }
        for file in directory.quarantine()? {
            quarantine.add(file.read()?.len(), file.bytes, file.modified);
        }
        Ok(Self { slots: slots.collect(), damaged, quarantine })
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        if self.slots.is_empty() {
            writeln!(out, "no line waits")?;
        } else {
            let head = format!(
                "{:<24} {:>10} {:<5} {:>6} {:>12} {:>12}  {}",
                "slot", "process", "alive", "files", "lines", "bytes", "age"
            );
            writeln!(out, "{}", style.faint(&head))?;
        }
        for (slot, amount) in &self.slots {
            let process = slot.process.map_or("-".to_owned(), |process| process.to_string());
            let alive = format!("{:<5}", if slot.is_alive { "yes" } else { "no" });
            let alive = if slot.is_alive { style.good(&alive) } else { style.doubtful(&alive) };
            writeln!(
                out,
                "{:<24} {process:>10} {alive} {:>6} {:>12} {:>12}  {}",
                slot.name,
                amount.files,
                HumanCount(amount.lines).to_string(),
                HumanBytes(amount.bytes).to_string(),
                age(amount.oldest),
            )?;
            for stray in &slot.strays {
                writeln!(out, "  {} is no file of a spool", stray.display())?;
            }
        }
        for (name, amount, what) in [
            ("damaged/", &self.damaged, "could be read"),
            ("quarantine/", &self.quarantine, "refused by a server"),
        ] {
            if amount.files > 0 {
                let (files, lines) = (counted(amount.files, "file"), counted(amount.lines, "line"));
                let bytes = HumanBytes(amount.bytes);
                writeln!(out, "{}  {files}, {bytes}; {lines} {what}", style.doubtful(name))?;
            }
        }
        Ok(())
    }

    fn json(&self, directory: &Directory) -> Value {
        let slots = self.slots.iter().map(|(slot, amount)| {
            let mut json = amount.json();
            json["slot"] = json!(slot.name);
            json["process"] = json!(slot.process);
            json["alive"] = json!(slot.is_alive);
            json["strays"] = json!(slot.strays);
            json
        });
        json!({
            "spool": directory.path(),
            "slots": slots.collect::<Vec<_>>(),
            "damaged": self.damaged.json(),
            "quarantine": self.quarantine.json(),
        })
    }
}
