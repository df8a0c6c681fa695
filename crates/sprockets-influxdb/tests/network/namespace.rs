//! What only the kernel can do to a network or to a disk, where nobody else sees it: in a namespace, in a process of its
//! own. Skipped where there are none, or where they are not for us.

use std::process::Command;

use super::TIMEOUT;
use super::scene::Scene;

const INSIDE: &str = "NETWORK_IN_A_NAMESPACE";

/// Whether this process is one that [`enter`] started: outside, it is not to touch interfaces and mounts.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test of this binary in namespaces of these kinds, as the options of `unshare` name them.
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
    let binary = std::env::current_exe().unwrap();
    let mut process = Command::new("unshare");
    process.env(INSIDE, "1");
    process.args(kinds).arg(binary).args(["--exact", test, "--ignored", "--nocapture"]);
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

#[test]
fn an_interface_that_goes_down_costs_no_point() {
    enter(&["--net"], "namespace::with_an_interface_that_goes_down");
}

#[test]
#[ignore = "started by the other test, in a network of its own"]
#[allow(clippy::print_stdout)]
fn with_an_interface_that_goes_down() {
    if !is_inside() {
        return;
    }
    if !run("ip", &["link", "set", "lo", "up"]) {
        println!("skipped: no interface can be set up here");
        return;
    }
    let Some(scene) = Scene::start(|config| config) else { return };
    for _ in 0..2 {
        scene.warm_up();
        assert!(run("ip", &["link", "set", "lo", "down"]));
        scene.add(6_000);
        scene.flush_in_vain();
        scene.await_failure("");
        assert!(run("ip", &["link", "set", "lo", "up"]));
        scene.recovers();
    }
}

#[test]
fn a_line_that_loses_and_shuffles_packets_costs_no_point() {
    enter(&["--net"], "namespace::with_a_bad_line");
}

#[test]
#[ignore = "started by the other test, in a network of its own"]
#[allow(clippy::print_stdout)]
fn with_a_bad_line() {
    if !is_inside() {
        return;
    }
    let line = |change: &str, netem: &[&str]| {
        run("tc", &[&["qdisc", change, "dev", "lo", "root"], netem].concat())
    };
    let spoil = |how: &[&str]| line("add", &[&["netem"], how].concat());
    if !run("ip", &["link", "set", "lo", "up"]) || !spoil(&["delay", "1ms"]) {
        println!("skipped: no bad line can be had here: tc and the kernel's netem are needed");
        return;
    }
    assert!(line("del", &[]));
    let Some(scene) = Scene::start(|config| config.max_batch_size(500).unwrap()) else { return };
    scene.warm_up();
    let delay = format!("{}ms", TIMEOUT.as_millis() / 20);
    for how in [
        &["delay", &delay, &delay][..],
        &["delay", &delay, "reorder", "30%", "50%"],
        &["loss", "10%"],
        &["duplicate", "20%"],
    ] {
        assert!(spoil(how), "{how:?}");
        scene.add(5_000);
        scene.client.flush(TIMEOUT);
        assert!(line("del", &[]));
        scene.recovers();
    }
    // Nothing at all gets through.
    assert!(spoil(&["loss", "100%"]));
    scene.add(5_000);
    scene.flush_in_vain();
    scene.await_failure("within");
    assert!(line("del", &[]));
    scene.recovers();
}
