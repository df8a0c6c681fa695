//! A test of this binary in a process of its own: in a namespace, where nobody else sees what it does to a network or to a
//! disk, or as another user.

use std::process::Command;

const APART: &str = "TEST_APART";

/// Whether this process is one that [`enter`] or [`play`] started: outside, it is not to touch interfaces and mounts.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(APART).is_some()
}

/// Runs a test of this binary in namespaces of these kinds, as the options of `unshare` name them. Skipped where there are
/// none, or where they are not for us.
#[allow(clippy::print_stdout)]
pub(crate) fn enter(kinds: &[&str], test: &str) {
    let as_root = [kinds, &["--map-root-user"]].concat();
    let Some(kinds) = [kinds, &as_root]
        .into_iter()
        .find(|kinds| run("unshare", &[kinds, &["true"][..]].concat()))
    else {
        println!("skipped: no namespace can be made here");
        return;
    };
    let mut process = Command::new("unshare");
    play(process.args(kinds).arg(std::env::current_exe().unwrap()), test);
}

/// Runs a test of this binary by a command that begins with it.
#[allow(clippy::print_stdout)]
pub(crate) fn play(binary: &mut Command, test: &str) {
    let process = binary.env(APART, "1").args(["--exact", test, "--ignored", "--nocapture"]);
    let output = process.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    told.lines().filter(|line| line.contains("skipped: ")).for_each(|line| println!("{line}"));
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{told}");
}

/// Runs a command. Tells whether there is one, and it succeeds.
pub(crate) fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
