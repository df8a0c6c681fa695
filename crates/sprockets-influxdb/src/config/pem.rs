//! PEM files that settings name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::mask::quoted;
use super::types::Source;
use crate::error::{Cause, Result};

/// The largest bundles in use have a quarter of a megabyte.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// Why a file cannot be used. The problem completes "the file …".
pub(super) struct Refusal {
    problem: String,
    cause: Option<Cause>,
}

impl Refusal {
    pub(super) fn new(problem: &str) -> Self {
        Self { problem: problem.to_owned(), cause: None }
    }

    pub(super) fn because(
        problem: &str,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { problem: format!("{problem} ({cause})"), cause: Some(Arc::new(cause)) }
    }
}

/// Reads a file of at most 16 MiB, and parses it.
///
/// # Errors
///
/// A file that cannot be read or used. The error names the setting, and what is expected.
pub(super) fn read<T>(
    path: &Path,
    setting: Source,
    expected: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Refusal>,
) -> Result<T> {
    let read = read_bounded(path).map_err(|error| Refusal {
        problem: format!("cannot be read ({error})"),
        cause: error.get_ref().is_none().then(|| Arc::new(error) as Cause),
    });
    read.and_then(|pem| parse(&pem)).map_err(|refusal| {
        let path = quoted(&path.to_string_lossy());
        let problem = refusal.problem;
        let error = setting.error(format!("{path} {problem}: expected {expected}"));
        error.caused_by(refusal.cause)
    })
}

/// Reads a file of at most 16 MiB. A device or a pipe may have no end.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Not the metadata of an open file: opening a named pipe waits for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(pem)
}
