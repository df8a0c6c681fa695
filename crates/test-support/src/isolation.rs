//! Runs a test of the calling binary in another process: in namespaces, where it can break a
//! network or a disk without anybody else noticing, or as another user.
//!
//! Such a test is marked `#[ignore]` and returns at once unless [`is_isolated`].

use std::process::Command;

const VARIABLE: &str = "TEST_IS_ISOLATED";

/// Whether this process was started by [`in_namespaces`] or [`rerun`].
pub fn is_isolated() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Runs a test in namespaces, given as options of `unshare`. Prints that it is skipped where the
/// machine does not allow them.
#[allow(clippy::print_stdout)]
pub fn in_namespaces(options: &[&str], test: &str) {
    let as_root = [options, &["--map-root-user"]].concat();
    let Some(options) = [options, &as_root]
        .into_iter()
        .find(|options| run("unshare", &[options, &["true"][..]].concat()))
    else {
        crate::skip("no namespace can be made here");
        return;
    };
    let binary = std::env::current_exe().expect("the path of this binary");
    rerun(Command::new("unshare").args(options).arg(binary), test);
}

/// Runs a test with a command that begins with the test binary.
#[allow(clippy::print_stdout)]
pub fn rerun(binary: &mut Command, test: &str) {
    let process = binary.env(VARIABLE, "1").args(["--exact", test, "--ignored", "--nocapture"]);
    let output = process.output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| line.contains("skipped: ")).for_each(|line| println!("{line}"));
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

/// Runs a command. Returns whether it exists and succeeds.
pub fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
