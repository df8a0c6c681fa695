//! `spool export`: all lines in the spool, as one file of line protocol.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sprockets_influxdb::internal::shown;
use sprockets_influxdb::spool::{Content, Directory};

use crate::args;
use crate::context;
use crate::exit::{self, Problem};
use crate::format::counted;
use crate::output::{message, print, write_data};

/// Export the lines in a spool as line protocol, for `write` and `influx -import`
///
/// Comments name the database and the retention policy of the lines after them. A spool does not
/// know the retention policy: pass that of its application. All timestamps are in nanoseconds. The
/// lines stay in the spool, and those of running processes are included. Delivering a line twice
/// stores it once.
///
/// Exit code: 0 if every line was written, 1 if one was not, 2 if an argument or the directory
/// cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    spool: args::Spool,
    /// New file to write to, readable by its owner only; default: standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Retention policy to name, on InfluxDB 1 [env: INFLUXDB_RETENTION_POLICY]; default: none
    #[arg(long, value_name = "NAME")]
    retention_policy: Option<String>,
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
    /// The comment that names the retention policy.
    policy: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let directory = options.spool.directory()?;
    let mut export = Export { policy: options.policy()?, ..Export::default() };
    match &options.output {
        None => print(|out| export.write_to(out, &directory))?,
        Some(path) => {
            let failed = |error| format!("{} cannot be written: {error}", shown(path));
            let mut out = BufWriter::new(create(path).map_err(failed)?);
            export.write_to(&mut out, &directory).and_then(|()| out.flush()).map_err(failed)?;
        }
    }
    if !options.quiet {
        let (lines, files) = (counted(export.lines, "line"), counted(export.files, "file"));
        message(&format!("exported {lines} of {files}"));
    }
    Ok(if export.problems == 0 { exit::OK } else { exit::FAILED })
}

impl Options {
    fn policy(&self) -> Result<Option<String>, Problem> {
        let from_environment = || std::env::var("INFLUXDB_RETENTION_POLICY").ok();
        let policy = self.retention_policy.clone().or_else(from_environment);
        let Some(policy) = policy.filter(|policy| !policy.is_empty()) else { return Ok(None) };
        let comment = context::policy_comment(&policy);
        let unnamed = || format!("no comment can name the retention policy {policy:?}");
        Ok(Some(comment.ok_or_else(unnamed)?))
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Export {
    fn write_to(&mut self, out: &mut dyn Write, directory: &Directory) -> io::Result<()> {
        for file in directory.slots()?.iter().flat_map(|slot| &slot.files) {
            let path = shown(&file.path);
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

    fn write_file(&mut self, out: &mut dyn Write, content: &Content, path: &str) -> io::Result<()> {
        let database = &content.database;
        if self.database.as_ref() != Some(database) {
            let Some(comment) = context::comment(database) else {
                self.problem(&format!("{path}: no comment can name the database {database:?}"));
                return Ok(());
            };
            if self.database.is_none() {
                // `influx -import` reads statements before this comment.
                writeln!(out, "{}", context::DML)?;
            }
            for comment in Some(&comment).into_iter().chain(&self.policy) {
                writeln!(out, "{comment}")?;
            }
            self.database = Some(database.clone());
        }
        for line in content.lines() {
            let Some(line) = context::in_nanoseconds(line, content.precision) else {
                let line = String::from_utf8_lossy(line);
                self.problem(&format!(
                    "{path}: a line has no timestamp, or one out of range: {line}"
                ));
                continue;
            };
            write_data(out, &line)?;
            self.lines += 1;
        }
        Ok(())
    }

    fn problem(&mut self, problem: &str) {
        self.problems += 1;
        message(problem);
    }
}
