//! What only the kernel can do to a network.

use super::TIMEOUT;
use super::apart::{enter, is_inside, run};
use super::scene::Scene;

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
    let Some(scene) = Scene::start(|config| config.max_batch_size(500)) else { return };
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
