//! `spool show`: the lines of files, or of a slot.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use sprockets_influxdb::internal::{one_line, shown};
use sprockets_influxdb::spool::{Content, FileInfo, FileKind};

use crate::exit::{self, Problem};
use crate::format::counted;
use crate::output::write_data;
use crate::{args, context};

/// Show the lines of files of a spool, or of all files of a slot
///
/// The lines are line protocol. A comment names the precision of their timestamps. Of damaged
/// files it shows what can be read.
///
/// Exit code: 0, 1 if a file is damaged, or 2 if an argument or a file cannot be used.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Files of any spool
    #[arg(value_name = "FILE", required_unless_present = "slot")]
    files: Vec<PathBuf>,
    /// All files of the slot of that name, as `spool list` shows it
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,
    #[command(flatten)]
    spool: args::Spool,
    #[command(flatten)]
    output: args::Output,
}

pub(crate) fn run(options: &Options) -> Result<u8, Problem> {
    let mut read = Vec::new();
    for file in options.files()? {
        let shown = shown(&file.path);
        let content = file.read().map_err(|error| format!("{shown}: {error}"))?;
        read.extend(content.map(|content| (file, content)));
    }
    options.output.print(
        || json!({ "files": read.iter().map(file_json).collect::<Vec<_>>() }),
        |out| read.iter().try_for_each(|(file, content)| write_file(out, file, content)),
    )?;
    let is_whole = read.iter().all(|(_, content)| content.damage.is_none());
    Ok(if is_whole { exit::OK } else { exit::FAILED })
}

fn file_json((file, content): &(FileInfo, Content)) -> Value {
    json!({
        "file": file.path,
        "kind": kind(file.kind),
        "database": content.database,
        "precision": content.precision.to_string(),
        "damage": content.damage,
        "lines": content.lines().map(String::from_utf8_lossy).collect::<Vec<_>>(),
    })
}

fn write_file(out: &mut dyn Write, file: &FileInfo, content: &Content) -> io::Result<()> {
    let (count, precision) = (counted(content.len() as u64, "line"), content.precision);
    writeln!(out, "# {}: {count}, precision={precision}", shown(&file.path))?;
    if let Some(damage) = &content.damage {
        writeln!(out, "# {}", one_line(damage))?;
    }
    writeln!(out, "{}", context::comment_for_people(&content.database))?;
    for line in content.lines() {
        write_data(out, line)?;
    }
    Ok(())
}

fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Open => "open",
        FileKind::Sealed(_) => "sealed",
        FileKind::Unfinished => "unfinished",
        _ => "other",
    }
}

impl Options {
    fn files(&self) -> Result<Vec<FileInfo>, Problem> {
        let mut files = Vec::new();
        for path in &self.files {
            let shown = shown(path);
            let file =
                FileInfo::at(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
            files.push(file);
        }
        if let Some(name) = &self.slot {
            let slots = self.spool.directory()?.slots()?;
            let slot = slots.into_iter().find(|slot| slot.name == *name);
            files.extend(slot.ok_or_else(|| format!("there is no slot {name:?}"))?.files);
        }
        Ok(files)
    }
}
