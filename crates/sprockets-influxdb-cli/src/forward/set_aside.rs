//! Keeps what cannot be delivered: lines that the server rejects go to the quarantine, messages
//! that are not line protocol to files beside it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::Message;
use sprockets_influxdb::Rejected;
use sprockets_influxdb::internal::{Quarantine, one_line};

use super::lane::BadLine;
use crate::output;

/// Bytes of a message that are kept.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Bytes of all messages that are kept. The oldest are removed.
const MAX_BYTES: u64 = 64 << 20;

const END: &str = ".message";

#[derive(Clone)]
pub(super) struct SetAside {
    kept: Option<Arc<Kept>>,
    /// Rejected lines that could not be kept.
    lost: Arc<AtomicU64>,
}

struct Kept {
    quarantine: Quarantine,
    directory: PathBuf,
}

impl SetAside {
    /// Keeps nothing without a directory.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        let kept = directory.map(|directory| {
            let quarantine = Quarantine::new(directory);
            Arc::new(Kept { quarantine, directory: directory.join("quarantine") })
        });
        Self { kept, lost: Arc::default() }
    }

    /// Called for each line that the server rejects.
    pub(super) fn rejected(&self, rejected: &Rejected<'_>) {
        let Some(kept) = &self.kept else { return };
        if let Err(error) = kept.quarantine.keep(rejected) {
            if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                output::message(&format!("error: a rejected line cannot be kept: {error}"));
            }
        }
    }

    /// The number of rejected lines that could not be kept.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Keeps a message that cannot be read. A message that comes again has the same file.
    pub(super) fn message(
        &self,
        message: &Message,
        stream: &str,
        sequence: u64,
        reason: &str,
    ) -> io::Result<()> {
        let end = message.payload.len().min(MAX_MESSAGE_BYTES);
        self.keep(message, stream, sequence, reason, &message.payload[..end])
    }

    /// Keeps lines of a message that are not line protocol.
    pub(super) fn lines(
        &self,
        message: &Message,
        stream: &str,
        sequence: u64,
        bad: &[BadLine],
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (number, problem, line) in bad {
            let problem = one_line(problem);
            bytes.extend_from_slice(format!("# line {number}: {problem}\n").as_bytes());
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            if bytes.len() > MAX_MESSAGE_BYTES {
                break;
            }
        }
        let reason = format!("{} lines are not line protocol", bad.len());
        self.keep(message, stream, sequence, &reason, &bytes)
    }

    fn keep(
        &self,
        message: &Message,
        stream: &str,
        sequence: u64,
        reason: &str,
        bytes: &[u8],
    ) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        create_directory(&kept.directory)?;
        make_room(&kept.directory, bytes.len() as u64)?;
        let (subject, reason) = (one_line(message.subject.as_str()), one_line(reason));
        let mut text =
            format!("# subject: {subject}\n# message: {stream} {sequence}\n# reason: {reason}\n");
        for (name, values) in message.headers.iter().flat_map(|headers| headers.iter()) {
            for value in values {
                let value = one_line(value.as_str());
                // Writing to a string does not fail.
                let _ = writeln!(text, "# header: {}: {value}", one_line(name.as_ref()));
            }
        }
        let path = kept.directory.join(format!("{stream}-{sequence:020}{END}"));
        replace(&path, &[text.as_bytes(), b"\n", bytes].concat())
    }
}

/// Creates a directory that only this user can read. One that is there must not be a link.
fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    if fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    let reason = format!("{} is a link: messages are kept in a directory only", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// Writes a new file in place of one that may be there. Others may have put a link there, which is
/// not followed.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)
}

/// Removes the oldest messages until there is room.
fn make_room(directory: &Path, bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(END) {
            let metadata = entry.metadata()?;
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut used: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, freed, path) in files {
        if used + bytes <= MAX_BYTES {
            break;
        }
        match fs::remove_file(&path) {
            // Another forwarder makes room as well.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => used -= freed,
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let victim = place.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        let directory = place.path().join("spool/quarantine");
        create_directory(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        let path = directory.join("S-1.message");
        symlink(&victim, &path).unwrap();
        replace(&path, b"message").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(fs::read_to_string(&path).unwrap(), "message");
        let link = place.path().join("link");
        symlink(&directory, &link).unwrap();
        assert!(create_directory(&link).unwrap_err().to_string().contains("is a link"));
    }
}
