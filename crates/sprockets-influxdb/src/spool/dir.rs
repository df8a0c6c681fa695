//! The directory of a spool: the disk it is on, its health, and the slot of this process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::disk::{Disk, is_gone};
use super::health::Health;
use super::slot::{SLOTS, Slot};
use crate::config::SpoolSync;
use crate::printable;
use crate::sync::{Mutex, lock};
use crate::sys::Probe;

/// The directory of the account of what is used.
pub(super) const ACCOUNT: &str = "account";
/// The directory of lines that servers rejected.
pub(super) const QUARANTINE: &str = "quarantine";
/// The directory of files in which lines are lost.
pub(super) const DAMAGED: &str = "damaged";
/// A disk that takes longer does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct SpoolDir {
    pub(super) disk: Arc<dyn Disk>,
    root: PathBuf,
    pub(super) sync: SpoolSync,
    /// This process's slot, once it was needed.
    slot: Mutex<Option<Arc<Slot>>>,
    pub(super) health: Health,
    pub(super) account: Arc<Account>,
    probe: Probe,
    freeze_probe: Probe,
    /// Held during a check of the disk.
    checking: Mutex<()>,
}

impl SpoolDir {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf, sync: SpoolSync) -> Self {
        let health = Health::default();
        health.set_unchecked(true);
        let (slot, checking) = (Mutex::default(), Mutex::default());
        let (probe, freeze_probe) = (Probe::of_changes(), Probe::of_freezes());
        let account = Arc::new(Account::new(disk.clone(), root.join(ACCOUNT)));
        Self { disk, root, sync, slot, health, account, probe, freeze_probe, checking }
    }

    /// The path of a subdirectory.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The subdirectory of this name that this user may use. Creates it.
    pub(super) fn usable(&self, name: &str, is_shared: bool) -> io::Result<PathBuf> {
        self.disk.usable_dir(&self.join(name), is_shared)
    }

    /// The subdirectories of this name that processes of this user have used.
    pub(super) fn dirs(&self, name: &str) -> Vec<PathBuf> {
        self.disk.dirs(&self.join(name)).unwrap_or_default()
    }

    /// Whether files are synced, so that they survive a loss of power.
    pub(super) fn is_synced(&self) -> bool {
        self.sync != SpoolSync::Process
    }

    /// Marks the disk as failing. `operation` completes "the spool cannot …".
    pub(super) fn fail(&self, operation: &str, error: &io::Error) {
        self.health.fail(|| {
            format!("the spool {} cannot {operation}: {error}", printable::shown(&self.root))
        });
    }

    /// Checks whether the disk answers, unless another thread has just done so. Suspends it if it
    /// does not. Waits at most for [`ANSWER_TIMEOUT`].
    pub(super) fn check(&self) -> bool {
        let _one_at_a_time = lock(&self.checking);
        if !self.health.is_unchecked() {
            return !self.health.is_suspended();
        }
        let answers = self.answers(&self.probe);
        self.health.set_suspended(!answers);
        self.health.set_unchecked(false);
        answers
    }

    /// Suspends the disk if its file system is frozen. Does not wait for one that is slow. Returns
    /// whether the disk is suspended.
    pub(super) fn check_frozen(&self) -> bool {
        if !self.health.is_suspended() && !self.answers(&self.freeze_probe) {
            self.health.set_suspended(true);
        }
        self.health.is_suspended()
    }

    fn answers(&self, probe: &Probe) -> bool {
        let answers = self.disk.answers(probe, &self.probed(), ANSWER_TIMEOUT);
        if !answers {
            self.health.set_unreadable();
            let error = io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer");
            self.fail("be written to", &error);
        }
        answers
    }

    /// What a check touches: the lock of the slot, or the nearest directory that exists.
    fn probed(&self) -> PathBuf {
        if let Some(slot) = self.current_slot() {
            return slot.lock_path();
        }
        let mut ancestors = self.root.ancestors();
        let found = ancestors.find(|path| path.as_os_str().is_empty() || path.exists());
        let found = found.filter(|path| !path.as_os_str().is_empty());
        found.unwrap_or(Path::new(".")).to_owned()
    }

    /// This process's slot. Creates it on first use.
    pub(super) fn slot(&self) -> io::Result<Arc<Slot>> {
        let mut own = lock(&self.slot);
        if let Some(slot) = &*own {
            return Ok(slot.clone());
        }
        let slots = self.usable(SLOTS, true)?;
        let slot = Slot::new((&self.disk, &self.account), &slots, self.health.suspended())?;
        *own = Some(slot.clone());
        Ok(slot)
    }

    /// This process's slot, if there is one.
    pub(super) fn current_slot(&self) -> Option<Arc<Slot>> {
        lock(&self.slot).clone()
    }

    /// Whether this is the directory of this process's slot.
    pub(super) fn is_own_slot(&self, directory: &Path) -> bool {
        lock(&self.slot).as_ref().is_some_and(|slot| slot.directory() == directory)
    }

    /// Forgets this process's slot if it was removed. The next use creates a new one. Returns the
    /// slot that was removed.
    pub(super) fn forget_removed_slot(&self) -> Option<Arc<Slot>> {
        let mut own = lock(&self.slot);
        if own.as_ref().is_some_and(|slot| slot.is_removed()) { own.take() } else { None }
    }

    /// Runs an operation in this process's slot. If another program removed the slot, runs it again
    /// in a new one.
    pub(super) fn in_slot<T>(
        &self,
        operation: impl Fn(Arc<Slot>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.slot().and_then(&operation) {
            Err(error) if is_gone(&error) => {
                self.forget_removed_slot();
                operation(self.slot()?)
            }
            result => result,
        }
    }

    /// Releases this process's slot. It is removed with the last of its files.
    pub(super) fn release_slot(&self) {
        *lock(&self.slot) = None;
    }

    /// Makes the names in a slot survive a loss of power. Until that worked once for a slot, also
    /// the names in the directories above, which may be new.
    pub(super) fn sync_names(&self, slot: &Slot) -> io::Result<()> {
        self.disk.sync_dir(slot.directory())?;
        if slot.is_name_synced() {
            return Ok(());
        }
        self.sync_parents(slot.directory())?;
        slot.set_name_synced();
        Ok(())
    }

    /// Makes the name of a file or directory survive a loss of power, and those of the directories
    /// above.
    pub(super) fn sync_parents(&self, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().skip(1) {
            let is_empty = directory.as_os_str().is_empty();
            let synced = self.disk.sync_dir(if is_empty { Path::new(".") } else { directory });
            match synced {
                // A directory that we may not open existed before the spool.
                Err(error)
                    if !directory.starts_with(&self.root)
                        && matches!(
                            error.kind(),
                            io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
                        ) => {}
                synced => synced?,
            }
        }
        Ok(())
    }
}
