//! `spool list`: the processes with lines in the spool, and how many.

use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};
use sprockets_influxdb::internal::{one_line, shown};
use sprockets_influxdb::spool::{Directory, FileKind, SlotInfo};

use crate::exit::{self, Problem};
use crate::format::{age, age_seconds, counted};
use crate::{args, terminal};

/// List the processes with lines in the spool, and damaged and rejected lines
///
/// A running process delivers its own lines. Those of a process that has ended are delivered by
/// the next client of the same spool, or by `spool deliver`.
///
/// Exit code: 0, or 2 if an argument or the directory cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    output: args::Output,
}

/// The sum over some files.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    files: u64,
    lines: u64,
    bytes: u64,
    oldest: Option<SystemTime>,
}

impl Total {
    fn add(&mut self, lines: usize, bytes: u64, modified: Option<SystemTime>) {
        self.files += 1;
        self.lines += lines as u64;
        self.bytes += bytes;
        self.oldest = self.oldest.into_iter().chain(modified).min();
    }

    fn of_slot(slot: &SlotInfo) -> Self {
        let mut total = Self::default();
        for file in &slot.files {
            let lines = match file.kind {
                FileKind::Sealed(lines) => lines,
                // `spool verify` reports files that cannot be read.
                _ => file.read().ok().flatten().map_or(0, |content| content.len()),
            };
            total.add(lines, file.bytes, file.modified);
        }
        total
    }

    fn json(&self) -> Value {
        json!({
            "files": self.files,
            "lines": self.lines,
            "bytes": self.bytes,
            "oldest_seconds": age_seconds(self.oldest),
        })
    }
}

struct Listing {
    slots: Vec<(SlotInfo, Total)>,
    damaged: Total,
    quarantine: Total,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let directory = options.spool.directory()?;
    let listing = Listing::of(&directory)?;
    options.output.print(|| listing.json(&directory), |out| listing.write_to(out))?;
    Ok(exit::OK)
}

impl Listing {
    fn of(directory: &Directory) -> io::Result<Self> {
        let slots = directory.slots()?.into_iter().map(|slot| {
            let total = Total::of_slot(&slot);
            (slot, total)
        });
        let (mut damaged, mut quarantine) = (Total::default(), Total::default());
        for file in directory.damaged()? {
            let lines = file.read().ok().flatten().map_or(0, |content| content.len());
            damaged.add(lines, file.bytes, file.modified);
        }
        for file in directory.quarantine()? {
            let lines = file.read().map_or(0, |entries| entries.len());
            quarantine.add(lines, file.bytes, file.modified);
        }
        Ok(Self { slots: slots.collect(), damaged, quarantine })
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        if self.slots.is_empty() {
            writeln!(out, "no lines are waiting")?;
        } else {
            let head = format!(
                "{:<24} {:>10} {:<5} {:>6} {:>12} {:>12}  {}",
                "slot", "process", "alive", "files", "lines", "bytes", "age"
            );
            writeln!(out, "{}", style.faint(&head))?;
        }
        for (slot, total) in &self.slots {
            let process = slot.process.map_or("-".to_owned(), |process| process.to_string());
            let alive = format!("{:<5}", if slot.is_alive { "yes" } else { "no" });
            let alive = if slot.is_alive { style.good(&alive) } else { style.warning(&alive) };
            writeln!(
                out,
                "{:<24} {process:>10} {alive} {:>6} {:>12} {:>12}  {}",
                one_line(&slot.name),
                total.files,
                HumanCount(total.lines).to_string(),
                HumanBytes(total.bytes).to_string(),
                age(total.oldest),
            )?;
            for stray in &slot.strays {
                writeln!(out, "  {} is not a file of a spool", shown(stray))?;
            }
        }
        for (name, total, what) in [
            ("damaged/", &self.damaged, "readable"),
            ("quarantine/", &self.quarantine, "rejected by a server"),
        ] {
            if total.files > 0 {
                let (files, lines) = (counted(total.files, "file"), counted(total.lines, "line"));
                let bytes = HumanBytes(total.bytes);
                writeln!(out, "{}  {files}, {bytes}; {lines} {what}", style.warning(name))?;
            }
        }
        Ok(())
    }

    fn json(&self, directory: &Directory) -> Value {
        let slots = self.slots.iter().map(|(slot, total)| {
            let mut json = total.json();
            json["slot"] = json!(slot.name);
            json["process"] = json!(slot.process);
            json["user"] = json!(slot.user);
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
