use std::fs;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;
use crate::spool::Files;

#[test]
fn a_slot_is_created_while_others_try_to_adopt_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Files::own(directory.path()));
    let other = tempfile::tempdir().unwrap();
    let accounts = Arc::new(Files::own(other.path()));
    let account = Arc::new(Account::new(accounts, other.path().join("account")));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for entry in disk.list(directory.path()).unwrap() {
                        // It may be gone, or be held by another thread.
                        let _ = Slot::adopt(
                            (&disk, &account),
                            directory.path().join(entry.name),
                            Arc::default(),
                        );
                    }
                }
            });
        }
        let made: Vec<_> = (0..2_000)
            .map(|_| {
                let slot = Slot::new((&disk, &account), directory.path(), Arc::default())?;
                fs::write(slot.open_path(), "its own")?;
                let found = slot.files()?.0.len();
                slot.files()?.0.iter().try_for_each(|file| fs::remove_file(&file.path))?;
                Ok::<_, io::Error>(found)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(made.iter().all(|found| matches!(found, Ok(1))), "{made:?}");
    });
}
