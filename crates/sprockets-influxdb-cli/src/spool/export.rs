//! `spool export`: all that waits, as one file of line protocol.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sprockets_influxdb::spool::{Content, Directory};

use crate::format::{self, counted, print, tell};
use crate::{Problem, args, exit};

/// Write all lines that wait as line protocol, for `write` and `influx -import`
///
/// Comments say which database the lines after them are for. All timestamps are in nanoseconds, whatever the precision in
/// which the lines wait. The lines stay in the spool as well, those of processes that are alive included: whoever
/// delivers both has them in the database once all the same.
///
/// Ends with 0 if every line was written, 1 if one was not, or 2 if an argument or the directory cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// A new file to write to, which nobody else may read; without it: the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// No summary
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Default)]
struct Export {
    lines: u64,
    files: u64,
    problems: u64,
    database: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let directory = options.spool.directory()?;
    let mut export = Export::default();
    match &options.output {
        None => print(|out| export.write_to(out, &directory))?,
        Some(path) => {
            let failed = |error| format!("{} cannot be written to: {error}", path.display());
            let mut out = BufWriter::new(new(path).map_err(failed)?);
            export.write_to(&mut out, &directory).and_then(|()| out.flush()).map_err(failed)?;
        }
    }
    if !options.quiet {
        let (lines, files) = (counted(export.lines, "line"), counted(export.files, "file"));
        tell(&format!("{lines} of {files} exported"));
    }
    Ok(if export.problems == 0 { exit::OK } else { exit::FAILED })
}

fn new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Export {
    fn write_to(&mut self, out: &mut dyn Write, directory: &Directory) -> io::Result<()> {
        // `influx -import` takes what is before it for statements.
        writeln!(out, "# DML")?;
        for file in directory.slots()?.iter().flat_map(|slot| &slot.files) {
            let path = file.path.display();
            match file.read() {
                Ok(None) => {}
                Ok(Some(content)) => {
                    self.files += 1;
                    if let Some(damage) = &content.damage {
                        self.problem(&format!("{path}: {damage}"));
                    }
                    self.write_file(out, &content, &path)?;
                }
                Err(error) => self.problem(&format!("{path}: {error}")),
            }
        }
        Ok(())
    }

    fn write_file(
        &mut self,
        out: &mut dyn Write,
        content: &Content,
        path: &dyn std::fmt::Display,
    ) -> io::Result<()> {
        let database = &content.database;
        if self.database.as_ref() != Some(database) {
            let Some(context) = format::context(database) else {
                let told = format!("{path}: no comment can name the database {database:?}");
                self.problem(&told);
                return Ok(());
            };
            writeln!(out, "{context}")?;
            self.database = Some(database.clone());
        }
        for line in content.lines() {
            let Some(line) = format::in_nanoseconds(line, content.precision) else {
                let line = String::from_utf8_lossy(line);
                self.problem(&format!("{path}: it has no timestamp in nanoseconds: {line}"));
                continue;
            };
            out.write_all(&line)?;
            out.write_all(b"\n")?;
            self.lines += 1;
        }
        Ok(())
    }

    fn problem(&mut self, told: &str) {
        self.problems += 1;
        tell(told);
    }
}
