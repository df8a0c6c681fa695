//! The installed client of a process. Each test runs it in a process of its own.

use std::process::Command;

use sprockets_influxdb::testing::Server;
use sprockets_influxdb::{
    Config, Measurement, SettingValue, add_measurement, flush, install, installed, shutdown,
};
use test_support::log::Log;
use test_support::{LONG, NO_SERVER};

/// Runs an ignored test of this file as a program with the server in its environment.
fn run(program: &str, server: &Server) {
    let this = std::env::current_exe().expect("the path of this program");
    let status = Command::new(this)
        .args(["--exact", "--ignored", program])
        .env("INFLUXDB_URL", server.url())
        .env("INFLUXDB_TRIGGER_SIZE", "1000")
        .status()
        .expect("a process");
    assert!(status.success(), "{program}");
}

fn measurement(n: i64) -> Measurement {
    Measurement::new("db", "m").field("n", n)
}

#[test]
fn the_first_measurement_installs_a_client_from_the_environment() {
    let server = Server::start();
    run("a_program_that_installs_nothing", &server);
    assert_eq!(server.count("db"), 2);
}

#[test]
#[ignore = "started by another test"]
fn a_program_that_installs_nothing() {
    assert!(installed().is_none());
    assert_eq!(flush(LONG).delivered, 0, "no client yet");
    add_measurement(&measurement(1)).unwrap();
    assert_eq!(flush(LONG).delivered, 1);
    assert!(!install(Config::new()).unwrap(), "already installed");
    let client = installed().expect("a client");
    let trigger_size = client.settings().into_iter().find(|s| s.name() == "trigger_size");
    assert_eq!(*trigger_size.unwrap().value(), SettingValue::Integer(1000), "unchanged");
    client.add_measurement(&measurement(2)).unwrap();
    assert_eq!(shutdown(LONG).delivered, 1);
    add_measurement(&measurement(3)).unwrap();
    assert_eq!(client.stats().dropped.total(), 1);
}

#[test]
fn all_threads_share_the_installed_client() {
    let server = Server::start();
    run("a_program_that_installs_from_many_threads", &server);
    assert_eq!(server.count("db"), 8);
}

#[test]
#[ignore = "started by another test"]
fn a_program_that_installs_from_many_threads() {
    let url = std::env::var("INFLUXDB_URL").unwrap();
    let installed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let url = &url;
                scope.spawn(move || {
                    let installed = install(Config::new().url(url)).unwrap();
                    add_measurement(&measurement(n)).unwrap();
                    installed
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(installed.iter().filter(|&&installed| installed).count(), 1);
    assert_eq!(shutdown(LONG).delivered, 8);
}

#[test]
fn a_shutdown_of_the_installed_client_logs_what_is_lost() {
    run("a_program_that_loses_measurements", &Server::start());
}

#[test]
#[ignore = "started by another test"]
fn a_program_that_loses_measurements() {
    let log = Log::capture();
    install(Config::new().url(NO_SERVER).max_buffer_size(2)).unwrap();
    (0..5).for_each(|n| add_measurement(&measurement(n)).unwrap());
    shutdown(std::time::Duration::ZERO);
    log.wait_for("5 measurements are lost: 3 dropped (newest), 2 not delivered when the client");
}
