//! Forks, flush and shutdown. Everything else is tested through the public interface, in `tests/`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::sys::Forked;
use crate::testing::{Fault, Server};
use crate::{Client, Config, DropReason, Measurement, Overflow, Precision, RawLine, Stats};

const LONG: Duration = Duration::from_secs(30);

fn client(server: &Server) -> Client {
    let config = Config::new().url(&server.url()).overflow(Overflow::Block);
    Client::new(config.tag_hostname(false)).unwrap()
}

fn add(client: &Client, from: &str, count: usize) {
    for n in 0..count {
        client.add_measurement(&Measurement::new("db", from).field("n", n)).unwrap();
    }
}

/// The number of points of that name on the server.
fn stored(server: &Server, name: &str) -> usize {
    server.points("db").iter().filter(|point| point.measurement == name).count()
}

#[test]
fn a_child_starts_empty_and_delivers_its_own_and_the_parent_its_own() {
    let server = Server::start();
    let client = client(&server);
    add(&client, "parent", 100);
    let child = Forked::run(|| {
        let is_empty = client.stats() == Stats::default();
        add(&client, "child", 10);
        let grandchild = Forked::run(|| {
            add(&client, "grandchild", 1);
            client.shutdown(LONG).delivered == 1
        });
        is_empty && client.flush(LONG).delivered == 10 && grandchild.passed()
    });
    assert!(child.passed());
    assert_eq!(client.stats().pending, 100);
    assert_eq!(client.shutdown(LONG).delivered, 100);
    for (name, count) in [("parent", 100), ("child", 10), ("grandchild", 1)] {
        assert_eq!(stored(&server, name), count, "{name}");
    }
    assert_eq!(server.lines_received("db"), 111);
}

#[test]
fn no_thread_is_started_before_there_is_something_to_send() {
    let server = Server::start();
    let client = client(&server);
    client.reconfigure(|config| config.trigger_size(100)).unwrap();
    assert!(client.flush(LONG).is_complete());
    let child = Forked::run(|| {
        let was_quiet = client.stats() == Stats::default() && client.core().workers.running() == 0;
        add(&client, "child", 1);
        was_quiet && client.core().workers.running() == 1
    });
    assert!(child.passed());
    assert_eq!(client.core().workers.running(), 0);
    // Only the trigger size starts this delivery.
    add(&client, "parent", 100);
    assert!(server.wait_for_points("db", 100, LONG));
    assert!(client.shutdown(LONG).is_complete());
}

#[test]
fn a_thread_is_started_to_log_drops_alone() {
    let server = Server::start();
    let shut_down = client(&server);
    assert!(shut_down.shutdown(LONG).is_complete());
    let disabled = Client::new(Config::new().url(&server.url()).enabled(false)).unwrap();
    for client in [shut_down, disabled] {
        assert_eq!(client.core().workers.running(), 0);
        add(&client, "dropped", 2);
        assert_eq!(client.core().workers.running(), 1);
    }
}

#[test]
fn a_fork_does_not_hang_while_other_threads_add_and_send() {
    let server = Server::start();
    let client = client(&server);
    client.reconfigure(|config| config.trigger_size(50)).unwrap();
    let is_over = AtomicBool::new(false);
    let (added, passed) = thread::scope(|scope| {
        let adding: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut added = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        add(&client, "parent", 10);
                        added += 10;
                    }
                    added
                })
            })
            .collect();
        let forked = || {
            let child = Forked::run(|| {
                add(&client, "child", 7);
                client.shutdown(LONG).delivered == 7
            });
            child.passed()
        };
        let passed = (0..20).filter(|_| forked()).count();
        is_over.store(true, Ordering::Relaxed);
        (adding.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), passed)
    });
    assert_eq!(passed, 20);
    let report = client.shutdown(LONG);
    assert!(report.is_complete(), "{report:?}");
    let stats = client.stats();
    assert_eq!((stats.added, stats.delivered), (added as u64, added as u64));
    assert_eq!(stored(&server, "parent"), added);
    assert_eq!(stored(&server, "child"), 20 * 7);
}

#[test]
fn the_last_handle_dropped_on_either_side_of_a_fork_delivers_what_is_there() {
    let server = Server::start();
    let client = client(&server);
    add(&client, "parent", 3);
    // The closure owns the handle: it is dropped in the child below, in the parent after the fork.
    let child = Forked::run(move || {
        add(&client, "child", 2);
        drop(client);
        true
    });
    assert!(child.passed());
    assert_eq!((stored(&server, "parent"), stored(&server, "child")), (3, 2));
    assert_eq!(server.lines_received("db"), 5);
}

#[test]
fn a_flush_after_the_shutdown_tells_what_was_added_too_late() {
    let server = Server::start();
    let client = client(&server);
    add(&client, "in_time", 1);
    assert!(client.shutdown(LONG).is_complete());
    assert!(client.flush(LONG).is_complete());
    add(&client, "late", 2);
    for report in [client.flush(LONG), client.flush(LONG), client.shutdown(LONG)] {
        assert_eq!((report.closed, report.dropped, report.pending), (2, 0, 0));
        assert!(!report.is_complete());
    }
    assert_eq!(client.stats().dropped.count(DropReason::Closed), 2);
    assert_eq!(stored(&server, "late"), 0);
}

#[test]
fn a_client_that_was_shut_down_does_not_wait_again_when_it_is_dropped() {
    let server = Server::start();
    server.inject_always(Fault::black_hole());
    let config = Config::new().url(&server.url()).shutdown_timeout(Duration::from_secs(600));
    let client = Client::new(config).unwrap();
    add(&client, "m", 1);
    assert_eq!(client.shutdown(Duration::from_millis(1)).pending, 1);
    drop(client);
}

#[test]
fn a_measurement_without_a_database_goes_to_the_default_one() {
    let server = Server::start();
    let client = Client::new(Config::new().url(&server.url()).database("usual")).unwrap();
    let line = || RawLine::parse(b"line n=1i 7", Precision::Nanoseconds).unwrap();
    client.add_measurement(&Measurement::named("job").field("n", 1)).unwrap();
    client.add_measurement(&Measurement::new("other", "job").field("n", 1)).unwrap();
    client.add_line("", &line()).unwrap();
    client.series("", "series").record(|measurement| _ = measurement.set_field("n", 1)).unwrap();
    assert!(client.flush(LONG).is_complete());
    assert_eq!(client.default_database().as_deref(), Some("usual"));
    for (database, points) in [("usual", 3), ("other", 1)] {
        assert_eq!(server.points(database).len(), points, "{database}");
    }

    client.reconfigure(|config| config.database("new")).unwrap();
    client.add_measurement(&Measurement::named("job").field("n", 1)).unwrap();
    assert!(client.flush(LONG).is_complete());
    assert_eq!(server.points("new").len(), 1);

    client.reconfigure(|config| config.database("")).unwrap();
    let error = client.add_measurement(&Measurement::named("job").field("n", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "measurement \"job\" has no database: name one, or set INFLUXDB_DATABASE (database)"
    );
    let error = client.add_line("", &line()).unwrap_err();
    assert!(error.to_string().contains("set INFLUXDB_DATABASE"), "{error}");
    assert_eq!(client.stats().dropped.count(DropReason::Invalid), 2);
}

// Loom's build has no `test_support`.
#[cfg(not(loom))]
#[test]
fn a_forked_process_has_a_first_batch_of_its_own() {
    let server = Server::start();
    let config = Config::new().url(&server.url()).submission_interval(Duration::from_secs(3_600));
    let client = Client::new(config).unwrap();
    add(&client, "parent", 1);
    assert!(server.wait_for_points("db", 1, LONG));
    let child = Forked::run(|| {
        add(&client, "child", 1);
        test_support::wait_until(|| client.stats().delivered == 1);
        true
    });
    assert!(child.passed());
    assert_eq!(stored(&server, "child"), 1);
}
