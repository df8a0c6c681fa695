//! Other programs move the directory of sealed files, or replace it.

use std::os::unix::fs::symlink;

use super::*;

/// Seals a line, moves its slot away, and calls `replace` with the old and the new path of the
/// slot. Returns whether the file counts as removed then.
fn counts_as_removed(replace: impl FnOnce(&Path, &Path)) -> bool {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(root.path());
    let sealed = sealed(&spool, &["m f=1 1"]);
    let paths = || vec![sealed.path().to_owned()];
    assert_eq!(spool.sealed.find_removed(paths()), Vec::<PathBuf>::new());
    let slot = sealed.path().parent().unwrap();
    let moved = root.path().join("moved");
    fs::rename(slot, &moved).unwrap();
    replace(slot, &moved);
    spool.sealed.find_removed(paths()) == paths()
}

#[test]
fn a_sealed_file_is_removed_with_its_directory() {
    assert!(counts_as_removed(|_, _| ()));
}

#[test]
fn a_sealed_file_is_removed_if_its_directory_becomes_a_link() {
    assert!(counts_as_removed(|slot, moved| symlink(moved, slot).unwrap()));
}

#[test]
fn a_sealed_file_is_removed_if_its_directory_becomes_a_file() {
    assert!(counts_as_removed(|slot, _| fs::write(slot, "").unwrap()));
}
