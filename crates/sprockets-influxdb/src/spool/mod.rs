//! The spool: measurements that wait for the server, on disk, so that they outlive the process.
//!
//! - Each chunk of lines in memory has a segment (`segment`): a mapped file with the same lines.
//! - Batches that wait for long are sealed (`sealed`, `format`) into files of their own, and leave
//!   memory.
//! - Each process writes to its own slot (`slot`), and adopts those of dead processes (`recovery`).
//! - No failure of the disk fails a call of the application. Without a working disk there are no
//!   segments, and lines wait in memory only.
//!
//! ```text
//! <spool>/slots/      lines that wait
//!         damaged/    files in which lines are lost, for an operator to look at
//!         quarantine/ lines that servers rejected, with the server's reason
//! ```

mod account;
mod damaged;
mod dir;
mod disk;
#[cfg(unix)]
mod files;
mod format;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod health;
mod inspect;
mod merging;
#[cfg(not(unix))]
mod no_files;
mod quarantine;
mod recovery;
mod sealed;
mod segment;
mod segments;
#[cfg(test)]
pub(crate) mod simulated;
mod slot;

pub use inspect::{Content, Directory, FileInfo, FileKind, SlotInfo};
pub(crate) use merging::Merging;
pub use quarantine::{QuarantineClaim, QuarantineEntry, QuarantineFile};
pub(crate) use recovery::{Adopted, Recovery};
pub(crate) use sealed::{SealOutcome, SealedFile, SealedFiles};
pub(crate) use segment::Segment;
pub(crate) use segments::{Losses, Segments};

use std::path::Path;
use std::sync::Arc;

use crate::config::SpoolSync;
use crate::sys;
use dir::SpoolDir;
use disk::Disk;
#[cfg(unix)]
use files::Files;
pub(crate) use format::MAX_LINE_BYTES;
use health::Health;
#[cfg(not(unix))]
use no_files::Files;
use quarantine::Quarantine;

/// Bytes that a line takes on disk beside its own.
pub(crate) const OVERHEAD: usize = format::MARK;

/// The largest size of the quarantine in bytes.
const MAX_QUARANTINE_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) segments: Segments,
    pub(crate) sealed: SealedFiles,
    pub(crate) recovery: Recovery,
    pub(crate) quarantine: Quarantine,
    dir: Arc<SpoolDir>,
}

impl Spool {
    /// A relative path is that of now, also after the process changes its directory.
    pub(crate) fn new(root: &Path, sync: SpoolSync) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self::on(Arc::new(Files::own(&root)), &root, sync)
    }

    pub(crate) fn on(disk: Arc<dyn Disk>, root: &Path, sync: SpoolSync) -> Self {
        let dir = Arc::new(SpoolDir::new(disk, root.to_owned(), sync));
        Self {
            segments: Segments::new(dir.clone()),
            sealed: SealedFiles::new(dir.clone()),
            recovery: Recovery::new(dir.clone()),
            quarantine: Quarantine::new(dir.clone(), MAX_QUARANTINE_BYTES),
            dir,
        }
    }

    pub(crate) fn sync_level(&self) -> SpoolSync {
        self.dir.sync
    }

    /// Whether files are synced, so that they survive a loss of power.
    pub(crate) fn is_synced(&self) -> bool {
        self.dir.is_synced()
    }

    pub(crate) fn health(&self) -> &Health {
        &self.dir.health
    }

    /// Checks whether the disk answers, if a check is required. Returns whether it does.
    pub(crate) fn check(&self) -> bool {
        self.dir.check()
    }

    /// Suspends the disk if its file system is frozen. Returns whether the disk is suspended.
    pub(crate) fn check_frozen(&self) -> bool {
        self.dir.check_frozen()
    }

    /// Prepares a thread that writes to segments: a file that cannot be written to must not end the
    /// process.
    pub(crate) fn prepare_thread(&self) {
        sys::unblock_sigbus();
    }

    /// Sets what the directory may take, in bytes. `reserve` is the part of it that is kept for
    /// files which make room.
    pub(crate) fn set_max_bytes(&self, max_bytes: usize, reserve: usize) {
        self.dir.account.set_limit(max_bytes as u64, reserve as u64);
        self.quarantine.set_spool_bytes(max_bytes);
    }

    /// What the directory takes, in bytes, whichever process made it.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.dir.account.used()
    }

    /// Claims room for a file that is never made.
    #[cfg(test)]
    pub(crate) fn claim_for_test(&self, bytes: u64) {
        self.dir.account.add(bytes);
    }

    /// Uses files of any user from now on, not only those of this one.
    pub(crate) fn allow_any_user(&self) {
        self.dir.disk.allow_any_user();
    }

    /// Releases this process's slot, when nothing is written to it any more.
    pub(crate) fn release_slot(&self) {
        self.dir.release_slot();
    }
}

#[cfg(test)]
mod tests;
