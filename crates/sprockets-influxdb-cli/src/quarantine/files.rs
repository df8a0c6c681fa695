//! Which files of the quarantine a command is about.

use std::path::{Path, PathBuf};

use clap::Args;
use sprockets_influxdb::internal::shown;
use sprockets_influxdb::spool::{Directory, QuarantineEntry, QuarantineFile};

use crate::exit::Problem;
use crate::output::message;

#[derive(Args, Debug)]
pub(crate) struct Files {
    /// Only this file, by name or path; may be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Whose files a command may change.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Users {
    /// Also use files of other users: anyone who may write to the spool decides what they hold
    #[arg(long = "any-user")]
    is_any: bool,
}

impl Users {
    pub(crate) fn may_change(self, file: QuarantineFile) -> QuarantineFile {
        if self.is_any { file.any_user() } else { file }
    }
}

impl Files {
    /// The files that were named, or all files.
    pub(crate) fn open(&self, directory: &Directory) -> Result<Vec<QuarantineFile>, Problem> {
        open(directory, &self.files)
    }
}

/// The lines of a file. `None` if it cannot be read, which is a message.
pub(crate) fn read(file: &QuarantineFile) -> Option<Vec<QuarantineEntry>> {
    let read = file.read();
    read.map_err(|error| message(&format!("{} cannot be read: {error}", shown(&file.path)))).ok()
}

/// The files of these names, or all files if there are none.
pub(crate) fn open(
    directory: &Directory,
    names: &[PathBuf],
) -> Result<Vec<QuarantineFile>, Problem> {
    if names.is_empty() {
        return Ok(directory.quarantine()?);
    }
    let file = |name: &PathBuf| {
        // A name as `quarantine list` shows it, or a path as a shell completes it.
        let is_name = name.parent() == Some(Path::new(""));
        let path = directory.path().join("quarantine").join(name);
        let path = if is_name { path } else { name.clone() };
        let shown = shown(name);
        QuarantineFile::at(path).map_err(|error| format!("{shown} cannot be read: {error}").into())
    };
    names.iter().map(file).collect()
}
