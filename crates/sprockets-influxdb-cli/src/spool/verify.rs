//! `spool verify`: whether all that is there can be read.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sprockets_influxdb::spool::Directory;

use crate::format::{counted, print, print_json};
use crate::{Problem, args, exit, terminal};

/// Read every file of the spool, and tell of each in which lines are lost
///
/// Nothing is changed, and processes may write meanwhile. Files that are set aside in `damaged` count for as long as they
/// are there.
///
/// Ends with 0 if every file is whole, 1 if one is not, or 2 if an argument or the directory cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Found {
    files: u64,
    lines: u64,
    damaged: Vec<(PathBuf, String)>,
    /// What is no file of a spool.
    strays: Vec<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let found = Found::of(&options.spool.directory()?)?;
    if options.json {
        let damaged = found.damaged.iter();
        let damaged = damaged.map(|(file, problem)| json!({ "file": file, "problem": problem }));
        print_json(&json!({
            "ok": found.damaged.is_empty(),
            "files": found.files,
            "lines": found.lines,
            "damaged": damaged.collect::<Vec<_>>(),
            "strays": found.strays,
        }))?;
    } else {
        print(|out| found.write_to(out))?;
    }
    Ok(if found.damaged.is_empty() { exit::OK } else { exit::FAILED })
}

impl Found {
    fn of(directory: &Directory) -> io::Result<Self> {
        let mut found = Self::default();
        for slot in directory.slots()? {
            found.strays.extend(slot.strays);
            for file in slot.files {
                found.files += 1;
                match file.read() {
                    Ok(None) => {}
                    Ok(Some(content)) => {
                        found.lines += content.len() as u64;
                        found.damaged.extend(content.damage.map(|damage| (file.path, damage)));
                    }
                    Err(error) => found.damaged.push((file.path, error.to_string())),
                }
            }
        }
        for file in directory.damaged()? {
            found.files += 1;
            let reason = file.reason.unwrap_or_else(|| "for no known reason".to_owned());
            found.damaged.push((file.path, format!("set aside: {reason}")));
        }
        for file in directory.quarantine()? {
            found.files += 1;
            if let Err(error) = file.read() {
                found.damaged.push((file.path, error.to_string()));
            }
        }
        Ok(found)
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        for (path, problem) in &self.damaged {
            writeln!(out, "{} {}: {problem}", style.bad("damaged"), path.display())?;
        }
        for path in &self.strays {
            writeln!(out, "{} {}: no file of a spool", style.doubtful("unknown"), path.display())?;
        }
        let (files, lines) = (counted(self.files, "file"), counted(self.lines, "line"));
        let damaged = self.damaged.len();
        writeln!(out, "{files} read, {lines} wait; {damaged} damaged")
    }
}
