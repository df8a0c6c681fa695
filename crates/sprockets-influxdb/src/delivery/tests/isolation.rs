//! What fails for one database, or for one batch, holds up no other, and loses nothing.

use super::*;

type Fail = fn() -> Disposition;

/// Every way in which a request fails that says nothing of the data.
const FAILURES: &[(&str, Fail)] = &[
    ("no reply", || retry(Cause::Unknown, Scope::Server, None)),
    ("no reply in time", || retry(Cause::Timeout, Scope::Server, None)),
    ("malformed", || Disposition::MalformedReply { reason: "not HTTP".to_owned() }),
    ("busy", || retry(Cause::Busy, Scope::Server, None)),
    ("busy for a second", || retry(Cause::Busy, Scope::Server, Some(1))),
    ("unrecognized", || retry(Cause::Unrecognized, Scope::Server, None)),
    ("a page", || retry(Cause::Configuration, Scope::Server, None)),
    ("permission", || retry(Cause::Configuration, Scope::Database, None)),
    ("too large", || Disposition::TooLarge { is_from_server: true, reason: "413".to_owned() }),
    ("too large for a proxy", || Disposition::TooLarge {
        is_from_server: false,
        reason: "413".to_owned(),
    }),
];

fn each(play: impl Fn(&'static str, Simulation)) {
    for &(name, fail) in FAILURES {
        let is_foreign = |batch: &Batch| batch.database() == "foreign" || has_bad(batch);
        let answer = move |batch: &Batch, _| match is_foreign(batch) {
            true => fail(),
            false => Disposition::Delivered,
        };
        play(name, Simulation::new(answer));
    }
}

#[test]
fn a_database_that_fails_as_a_whole_loses_nothing() {
    each(|name, simulation| {
        for second in 0..2_000 {
            simulation.add("foreign", &format!("m n={second}i"));
            simulation.add("db", &format!("m n={second}i"));
            simulation.submit();
            simulation.run_until(second);
        }
        simulation.run_until(3_000);
        let stats = simulation.stats();
        let decided = (stats.rejected, stats.delivered, stats.pending);
        assert_eq!(decided, (0, 2_000, 2_000), "{name}");
    });
}

#[test]
fn a_failure_after_a_flush_began_is_tried_again() {
    each(|name, simulation| {
        simulation.add("db", "m n=1i");
        simulation.submit();
        simulation.run_until(1);
        simulation.add("db", "bad n=1i");
        simulation.submit();
        simulation.run_until(2);
        // The thread that flushes comes to it only now.
        simulation.sender.retry_now(Duration::from_millis(500));
        let requests = simulation.requests();
        simulation.run_until(600);
        assert!(simulation.requests() >= requests + 5, "{name}");
    });
}

#[test]
fn a_database_that_fails_from_the_start_does_not_hold_up_others() {
    each(|name, simulation| {
        for database in ["foreign", "db", "other"] {
            for n in 0..5_000 {
                simulation.add(database, &format!("m n={n}i"));
            }
        }
        simulation.submit();
        simulation.run_until(300);
        let stats = simulation.stats();
        assert_eq!((stats.delivered, stats.pending), (10_000, 5_000), "{name}");
    });
}

#[test]
fn several_databases_that_fail_do_not_hold_up_others() {
    for &(name, fail) in FAILURES {
        let simulation = Simulation::new(move |batch, _| match batch.database() {
            "db" => Disposition::Delivered,
            _ => fail(),
        });
        for n in 0..20 {
            simulation.add(&format!("foreign{n}"), "m n=1i");
            simulation.add(&format!("foreign{n}"), "m n=2i");
        }
        simulation.add("db", "m n=1i");
        simulation.submit();
        simulation.run_until(1_800);
        let stats = simulation.stats();
        assert_eq!((stats.delivered, stats.pending), (1, 40), "{name}");
    }
}

#[test]
fn a_batch_that_fails_does_not_hold_up_others_of_its_database() {
    each(|name, simulation| {
        simulation.add("db", "m n=0i");
        simulation.submit();
        simulation.run_until(0);
        simulation.add("db", "bad n=1i");
        simulation.submit();
        simulation.run_until(1);
        for second in 2..1_000 {
            simulation.add("db", &format!("m n={second}i"));
            simulation.submit();
            simulation.run_until(second);
        }
        simulation.run_until(1_100);
        let stats = simulation.stats();
        assert_eq!(stats.delivered, 999, "{name}: {stats:?}");
        assert_eq!(stats.rejected + stats.pending, 1, "{name}: {stats:?}");
    });
}
