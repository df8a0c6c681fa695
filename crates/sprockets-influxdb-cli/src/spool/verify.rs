//! `spool verify`: reads every file, and reports damaged ones.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use sprockets_influxdb::internal::shown;
use sprockets_influxdb::spool::Directory;

use crate::exit::{self, Problem};
use crate::format::counted;
use crate::{args, terminal};

/// Read every file of the spool, and report damaged ones
///
/// Changes nothing. Processes may write meanwhile. Files in `damaged` are reported until they are
/// removed.
///
/// Exit code: 0 if no file is damaged, 1 if one is, 2 if an argument or the directory cannot be
/// used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    output: args::Output,
}

#[derive(Default)]
struct Verification {
    files: u64,
    lines: u64,
    damaged: Vec<(PathBuf, String)>,
    /// Files that do not belong to a spool.
    strays: Vec<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let result = Verification::of(&options.spool.directory()?)?;
    options.output.print(|| result.json(), |out| result.write_to(out))?;
    Ok(if result.damaged.is_empty() { exit::OK } else { exit::FAILED })
}

impl Verification {
    fn of(directory: &Directory) -> io::Result<Self> {
        let mut result = Self::default();
        for slot in directory.slots()? {
            result.strays.extend(slot.strays);
            for file in slot.files {
                result.files += 1;
                match file.read() {
                    Ok(None) => {}
                    Ok(Some(content)) => {
                        result.lines += content.len() as u64;
                        result.damaged.extend(content.damage.map(|damage| (file.path, damage)));
                    }
                    Err(error) => result.damaged.push((file.path, error.to_string())),
                }
            }
        }
        for file in directory.damaged()? {
            result.files += 1;
            let reason = file.reason.unwrap_or_else(|| "reason unknown".to_owned());
            result.damaged.push((file.path, format!("set aside: {reason}")));
        }
        for file in directory.quarantine()? {
            result.files += 1;
            if let Err(error) = file.read() {
                result.damaged.push((file.path, error.to_string()));
            }
        }
        Ok(result)
    }

    fn json(&self) -> Value {
        let damaged = self.damaged.iter();
        let damaged = damaged.map(|(file, problem)| json!({ "file": file, "problem": problem }));
        json!({
            "ok": self.damaged.is_empty(),
            "files": self.files,
            "lines": self.lines,
            "damaged": damaged.collect::<Vec<_>>(),
            "strays": self.strays,
        })
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = terminal::on_stdout();
        for (path, problem) in &self.damaged {
            writeln!(out, "{} {}: {problem}", style.bad("damaged"), shown(path))?;
        }
        for path in &self.strays {
            let label = style.warning("unknown");
            writeln!(out, "{label} {}: not a file of a spool", shown(path))?;
        }
        let (files, lines) = (counted(self.files, "file"), counted(self.lines, "line"));
        let damaged = self.damaged.len();
        writeln!(out, "{files} read, {lines} waiting; {damaged} damaged")
    }
}
