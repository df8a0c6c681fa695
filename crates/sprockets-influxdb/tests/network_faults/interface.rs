//! Faults that only the kernel can produce: interfaces and lossy networks.

use test_support::isolation::{in_namespaces, is_isolated, run};

use super::TIMEOUT;
use super::setup::Setup;

#[test]
fn an_interface_that_goes_down_loses_no_point() {
    in_namespaces(&["--net"], "interface::with_an_interface_that_goes_down");
}

#[test]
#[ignore = "started by the other test, in a network namespace"]
#[allow(clippy::print_stdout)]
fn with_an_interface_that_goes_down() {
    if !is_isolated() {
        return;
    }
    if !run("ip", &["link", "set", "lo", "up"]) {
        println!("skipped: no interface can be set up here");
        return;
    }
    let Some(setup) = Setup::start(|config| config) else { return };
    for _ in 0..2 {
        setup.warm_up();
        assert!(run("ip", &["link", "set", "lo", "down"]));
        setup.add(6_000);
        setup.flush_without_success();
        setup.wait_for_failure("");
        assert!(run("ip", &["link", "set", "lo", "up"]));
        setup.recover();
    }
}

#[test]
fn a_network_that_loses_and_reorders_packets_loses_no_point() {
    in_namespaces(&["--net"], "interface::with_a_bad_network");
}

#[test]
#[ignore = "started by the other test, in a network namespace"]
#[allow(clippy::print_stdout)]
fn with_a_bad_network() {
    if !is_isolated() {
        return;
    }
    let qdisc = |change: &str, netem: &[&str]| {
        run("tc", &[&["qdisc", change, "dev", "lo", "root"], netem].concat())
    };
    let degrade = |how: &[&str]| qdisc("add", &[&["netem"], how].concat());
    if !run("ip", &["link", "set", "lo", "up"]) || !degrade(&["delay", "1ms"]) {
        println!("skipped: no bad network can be made here: tc and the kernel's netem are needed");
        return;
    }
    assert!(qdisc("del", &[]));
    let Some(setup) = Setup::start(|config| config.max_batch_size(500)) else { return };
    setup.warm_up();
    let delay = format!("{}ms", TIMEOUT.as_millis() / 20);
    for how in [
        &["delay", &delay, &delay][..],
        &["delay", &delay, "reorder", "30%", "50%"],
        &["loss", "10%"],
        &["duplicate", "20%"],
    ] {
        assert!(degrade(how), "{how:?}");
        setup.add(5_000);
        setup.client.flush(TIMEOUT);
        assert!(qdisc("del", &[]));
        setup.recover();
    }
    // Nothing gets through.
    assert!(degrade(&["loss", "100%"]));
    setup.add(5_000);
    setup.flush_without_success();
    setup.wait_for_failure("within");
    assert!(qdisc("del", &[]));
    setup.recover();
}
