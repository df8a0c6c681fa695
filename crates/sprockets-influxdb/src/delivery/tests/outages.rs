//! Servers and databases that are away for a while.

use super::*;

#[test]
fn an_hour_of_outage_loses_nothing_and_costs_few_probes() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(3_600) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for minute in 0..60 {
        for n in 0..6_000 {
            world.add("db", &format!("m n={n}i,minute={minute}i"));
        }
        world.run_until(minute * 60 + 59);
        assert_eq!(world.stats().pending, (minute + 1) * 6_000);
    }
    // Waits are drawn from windows of up to 30 s: a probe every 15 s, 240 in all. The bounds are
    // nine standard deviations away.
    let probes = world.requests();
    assert!((150..400).contains(&probes), "{probes} probes");
    world.run_until(3_700);
    let stats = world.stats();
    assert_eq!((stats.delivered, stats.pending), (360_000, 0));
    assert_eq!(world.stored().len(), 360_000);
    assert!(world.server.stored.lock().unwrap().values().all(|count| *count == 1));
    // A few batches were cut, in case that there was poison in each of them.
    assert!(world.requests() < probes + 360_000 / 5_000 + 20);
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(120) {
            retry(Cause::Busy, Scope::Server, Some(120))
        } else {
            Disposition::Delivered
        }
    });
    world.add("a", "m n=1i");
    world.add("b", "m n=1i");
    world.submit();
    world.run_until(119);
    assert_eq!(world.requests(), 1, "the other database waits as well");
    world.sender.retry_now();
    world.run_until(119);
    assert_eq!(world.requests(), 1, "no flush shortens it");
    world.run_until(200);
    assert_eq!((world.requests(), world.stats().delivered), (3, 2));
}

#[test]
fn a_missing_database_keeps_its_data_and_holds_back_no_other() {
    let world = World::new(|batch, now| {
        if batch.database() == "missing" && now < Duration::from_secs(600) {
            retry(Cause::Configuration, Scope::Database, None)
        } else {
            Disposition::Delivered
        }
    });
    for second in 0..10 {
        world.add("missing", &format!("m n={second}i"));
        world.add("db", &format!("m n={second}i"));
        world.submit();
        world.run_until(second);
        assert_eq!(world.stats().delivered, second + 1);
    }
    world.run_until(599);
    let requests = world.requests() - 10;
    assert!((10..=20).contains(&requests), "retried every 30 to 60 s: {requests}");
    assert_eq!(world.stats().pending, 10);
    world.run_until(700);
    assert_eq!(world.stats().delivered, 20);
}

#[test]
fn a_flush_retries_at_once() {
    let world = World::new(|_, now| {
        if now < Duration::from_secs(100) {
            retry(Cause::Configuration, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    world.add("db", "m n=1i");
    world.submit();
    world.run_until(99);
    let requests = world.requests();
    world.clock.advance_to(Duration::from_secs(100));
    world.sender.retry_now();
    world.run_until(100);
    assert_eq!((world.requests(), world.stats().delivered), (requests + 1, 1));
}

#[test]
fn a_flush_that_ends_before_delivery_reports_what_is_pending() {
    let world = World::new(|_, _| retry(Cause::Unknown, Scope::Server, None));
    world.add("db", "m n=1i");
    let flush = world.buffer.begin_flush();
    let report = world.buffer.end_flush(flush);
    assert_eq!((report.pending, report.is_complete()), (1, false));
}
