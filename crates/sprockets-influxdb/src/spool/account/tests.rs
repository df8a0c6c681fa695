//! Several accounts of one directory stand for several processes.

use super::*;
use crate::spool::Files;

fn account(root: &std::path::Path, limit: u64) -> Account {
    let account = Account::new(Arc::new(Files::own(root)), root.join("account"));
    account.set_limit(limit, 0);
    account
}

#[test]
fn processes_share_one_limit() {
    let root = tempfile::tempdir().unwrap();
    let processes: Vec<_> = (0..4).map(|_| account(root.path(), 100 * BLOCK)).collect();
    let claim = |process: &Account| {
        let mut claimed = 0;
        while let Some(claim) = process.claim(1) {
            claim.keep();
            claimed += 1;
        }
        claimed
    };
    let claimed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = processes.iter().map(|it| scope.spawn(|| claim(it))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(claimed, 100);
    processes[1].release(BLOCK);
    assert!(processes[2].claim(1).is_some(), "what one releases another can claim");
}

#[test]
fn a_claim_for_a_file_that_was_not_made_is_released() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), BLOCK);
    let claim = account.claim(5).unwrap();
    assert_eq!(account.used(), BLOCK);
    assert!(account.claim(5).is_none());
    drop(claim);
    assert_eq!(account.used(), 0);
}

#[test]
fn new_lines_leave_the_reserve_to_files_that_make_room() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), 2 * BLOCK);
    account.set_limit(2 * BLOCK, BLOCK);
    let _new = account.claim(1).unwrap();
    assert!(account.claim(1).is_none());
    assert!(account.claim_reserved(1).is_some());
}

#[test]
fn growth_is_claimed_in_whole_blocks() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), BLOCK);
    account.claim_growth(0, 100).unwrap().keep();
    account.claim_growth(100, BLOCK - 100).unwrap().keep();
    assert_eq!(account.used(), BLOCK);
    assert!(account.claim_growth(BLOCK, 1).is_none());
}

#[test]
fn a_count_corrects_what_another_program_changed() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), u64::MAX);
    account.correct(|| 5 * BLOCK);
    assert_eq!(account.used(), 5 * BLOCK, "more files than known: at once");
    account.correct(|| 3 * BLOCK);
    assert_eq!(account.used(), 5 * BLOCK, "fewer: a file may be about to be made");
    account.correct(|| 4 * BLOCK);
    assert_eq!(account.used(), 4 * BLOCK, "what both counts found");
}

#[test]
fn a_count_has_no_effect_if_the_account_changes_meanwhile() {
    let root = tempfile::tempdir().unwrap();
    let (account, other) = (account(root.path(), u64::MAX), account(root.path(), u64::MAX));
    account.claim(BLOCK).unwrap().keep();
    for _ in 0..3 {
        account.correct(|| {
            other.release(BLOCK);
            other.claim(BLOCK).unwrap().keep();
            0
        });
    }
    assert_eq!(account.used(), BLOCK);
}

#[test]
fn a_file_that_is_removed_or_cut_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), u64::MAX);
    account.claim(7 * BLOCK).unwrap().keep();
    let path = root.path().join("account/used");
    let changes: [fn(&std::path::Path); 2] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap(),
    ];
    for change in changes {
        change(&path);
        account.add(0);
        account.correct(|| 7 * BLOCK);
        assert_eq!(account.used(), 7 * BLOCK);
        let other = self::account(root.path(), u64::MAX);
        other.add(BLOCK);
        assert_eq!(account.used(), 8 * BLOCK, "both use the new file");
        other.release(BLOCK);
    }
}
