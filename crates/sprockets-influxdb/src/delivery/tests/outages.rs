//! Servers and databases that are away for a while.

use allocation_counter::measure;

use super::*;

#[test]
fn an_hour_of_outage_loses_nothing_and_costs_few_probes() {
    let simulation = Simulation::new(|_, now| {
        if now < Duration::from_secs(3_600) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for minute in 0..60 {
        for n in 0..6_000 {
            simulation.add("db", &format!("m n={n}i,minute={minute}i"));
        }
        simulation.run_until(minute * 60 + 59);
        assert_eq!(simulation.stats().pending, (minute + 1) * 6_000);
    }
    // Waits are drawn from windows of up to 30 s: a probe every 15 s, 240 in all. The bounds are
    // nine standard deviations away.
    let probes = simulation.requests();
    assert!((150..400).contains(&probes), "{probes} probes");
    simulation.run_until(3_700);
    let stats = simulation.stats();
    assert_eq!((stats.delivered, stats.pending), (360_000, 0));
    assert_eq!(simulation.stored().len(), 360_000);
    assert!(simulation.server.stored.lock().unwrap().values().all(|count| *count == 1));
    // A few batches were cut, in case that there was poison in each of them.
    assert!(simulation.requests() < probes + 360_000 / 5_000 + 20);
}

#[test]
fn a_sender_prepares_memory_while_its_server_is_away() {
    let simulation = Simulation::new(|_, _| retry(Cause::Unknown, Scope::Server, None));
    let line = format!("m text=\"{}\"", "x".repeat(1_000));
    let fill = || (0..200).for_each(|_| simulation.add("db", &line));
    let allocated_chunks = || measure(fill).bytes_current / (64 * 1024);
    assert_eq!(allocated_chunks(), 4);
    simulation.run_until(1);
    assert_eq!(allocated_chunks(), 0);
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let simulation = Simulation::new(|_, now| {
        if now < Duration::from_secs(120) {
            retry(Cause::Busy, Scope::Server, Some(120))
        } else {
            Disposition::Delivered
        }
    });
    simulation.add("a", "m n=1i");
    simulation.add("b", "m n=1i");
    simulation.submit();
    simulation.run_until(119);
    assert_eq!(simulation.requests(), 1, "the other database waits as well");
    simulation.sender.retry_now(simulation.clock.now());
    simulation.run_until(119);
    assert_eq!(simulation.requests(), 1, "no flush shortens it");
    simulation.run_until(200);
    assert_eq!((simulation.requests(), simulation.stats().delivered), (3, 2));
}

#[test]
fn a_missing_database_keeps_its_data_and_holds_back_no_other() {
    let simulation = Simulation::new(|batch, now| {
        if batch.database() == "missing" && now < Duration::from_secs(600) {
            retry(Cause::Configuration, Scope::Database, None)
        } else {
            Disposition::Delivered
        }
    });
    for second in 0..10 {
        simulation.add("missing", &format!("m n={second}i"));
        simulation.add("db", &format!("m n={second}i"));
        simulation.submit();
        simulation.run_until(second);
        assert_eq!(simulation.stats().delivered, second + 1);
    }
    simulation.run_until(599);
    let requests = simulation.requests() - 10;
    assert!((10..=20).contains(&requests), "retried every 30 to 60 s: {requests}");
    assert_eq!(simulation.stats().pending, 10);
    simulation.run_until(700);
    assert_eq!(simulation.stats().delivered, 20);
}

#[test]
fn a_flush_retries_at_once() {
    let simulation = Simulation::new(|_, now| {
        if now < Duration::from_secs(100) {
            retry(Cause::Configuration, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    simulation.add("db", "m n=1i");
    simulation.submit();
    simulation.run_until(99);
    let requests = simulation.requests();
    simulation.clock.advance_to(Duration::from_secs(100));
    simulation.sender.retry_now(simulation.clock.now());
    simulation.run_until(100);
    assert_eq!((simulation.requests(), simulation.stats().delivered), (requests + 1, 1));
}

#[test]
fn a_flush_that_ends_before_delivery_reports_what_is_pending() {
    let simulation = Simulation::new(|_, _| retry(Cause::Unknown, Scope::Server, None));
    simulation.add("db", "m n=1i");
    let flush = simulation.buffer.begin_flush(Duration::MAX);
    let report = simulation.buffer.end_flush(flush);
    assert_eq!((report.pending, report.is_complete()), (1, false));
}
