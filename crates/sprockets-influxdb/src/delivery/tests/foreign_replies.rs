//! Rejections by something that is no InfluxDB.

use super::*;

fn unrecognized() -> Disposition {
    retry(Cause::Unrecognized, Scope::Server, None)
}

fn too_large_for_a_proxy() -> Disposition {
    Disposition::TooLarge { is_from_server: false, reason: "too large".to_owned() }
}

#[test]
fn while_another_server_rejects_everything_nothing_is_rejected() {
    for rejection in [unrecognized, too_large_for_a_proxy] {
        let simulation = Simulation::new(move |_, now| {
            if now < Duration::from_secs(86_400) { rejection() } else { Disposition::Delivered }
        });
        for second in 0..100 {
            simulation.add("db", &format!("m n={second}i"));
            simulation.add("other", &format!("m n={second}i"));
            simulation.submit();
            simulation.run_until(second);
        }
        simulation.run_until(86_399);
        let requests = simulation.requests();
        assert!(requests < 400 + 86_400 / 30, "retried every 30 to 60 s: {requests}");
        assert_eq!((simulation.stats().pending, simulation.stats().rejected), (200, 0));
        simulation.run_until(90_000);
        assert_eq!(simulation.stats().delivered, 200);
    }
}

#[test]
fn what_another_server_alone_rejects_is_rejected_while_others_are_delivered() {
    for rejection in [unrecognized, too_large_for_a_proxy] {
        let simulation =
            Simulation::new(
                move |batch, _| {
                    if has_bad(batch) { rejection() } else { Disposition::Delivered }
                },
            );
        for second in 0..2_000 {
            let kind = if second == 5 { "bad" } else { "good" };
            simulation.add("db", &format!("{kind} n={second}i"));
            simulation.add("db", &format!("good m={second}i"));
            simulation.submit();
            simulation.run_until(second);
        }
        for minute in 0..60 {
            simulation.add("db", &format!("good m={minute}i,late=t"));
            simulation.submit();
            simulation.run_until(2_000 + 60 * minute);
        }
        simulation.run_until(10_000);
        let stats = simulation.stats();
        assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 1, 4_059));
        assert_eq!(simulation.rejected(), ["bad n=5i"]);
    }
}

/// Another server rejects all of the database "foreign". What is for other databases is delivered.
#[test]
fn a_database_that_is_rejected_as_a_whole_loses_nothing_while_others_are_delivered() {
    for rejection in [unrecognized, too_large_for_a_proxy] {
        let simulation = Simulation::new(move |batch, _| {
            if batch.database() == "foreign" { rejection() } else { Disposition::Delivered }
        });
        for second in 0..2_000 {
            simulation.add("foreign", &format!("m n={second}i"));
            simulation.add("db", &format!("m n={second}i"));
            simulation.submit();
            simulation.run_until(second);
            if second % 100 == 99 {
                simulation.run_until(second + 1);
            }
        }
        for minute in 0..600 {
            simulation.add("db", &format!("m n={minute}i,late=t"));
            simulation.submit();
            simulation.run_until(2_000 + 60 * minute);
        }
        let stats = simulation.stats();
        assert_eq!((stats.pending, stats.rejected, stats.delivered), (2_000, 0, 2_600));
        assert!(simulation.requests() < 4_600 + 38_000 / 30, "{}", simulation.requests());
    }
}

#[test]
fn a_rejected_database_does_not_hold_up_others() {
    let simulation = Simulation::new(|batch, _| {
        if batch.database() == "foreign" { unrecognized() } else { Disposition::Delivered }
    });
    for second in 0..1_000 {
        simulation.add("foreign", &format!("m n={second}i"));
        simulation.add("db", &format!("m n={second}i"));
        simulation.submit();
        simulation.run_until(second);
        if second >= 100 {
            assert_eq!(simulation.stats().delivered, second + 1);
        }
    }
}

#[test]
fn a_bad_line_is_found_beside_a_database_that_is_rejected_as_a_whole() {
    for rejection in [unrecognized, too_large_for_a_proxy] {
        let simulation = Simulation::new(move |batch, _| {
            let is_rejected = batch.database() == "foreign" || has_bad(batch);
            if is_rejected { rejection() } else { Disposition::Delivered }
        });
        for second in 0..4_000 {
            let kind = if second == 50 { "bad" } else { "good" };
            simulation.add("foreign", &format!("good n={second}i"));
            simulation.add("db", &format!("{kind} n={second}i"));
            simulation.submit();
            simulation.run_until(second);
        }
        simulation.run_until(10_000);
        let stats = simulation.stats();
        assert_eq!((stats.pending, stats.rejected, stats.delivered), (4_000, 1, 3_999));
        assert_eq!(simulation.rejected(), ["bad n=50i"]);
    }
}
