//! Batches that fail by themselves.

use super::*;

#[test]
fn a_line_that_makes_replies_malformed_is_found() {
    let simulation = Simulation::new(|batch, _| {
        if has_bad(batch) {
            Disposition::MalformedReply { reason: "the reply is not HTTP".to_owned() }
        } else {
            Disposition::Delivered
        }
    });
    deliver_with_bad_lines(&simulation, 5_000, &[4_321]);
    // To find the line, and to be sure of it, each time with a control.
    let most = 3 + 3 * 13 + 2 * 14;
    assert!(simulation.requests() <= most, "{} requests", simulation.requests());
}

#[test]
fn the_line_that_is_sent_again_undoes_no_newer_value() {
    let stored = Arc::new(Mutex::new(Vec::new()));
    let log = stored.clone();
    let simulation = Simulation::new(move |batch, _| {
        if has_bad(batch) {
            return retry(Cause::Unknown, Scope::Server, None);
        }
        log.lock().unwrap().extend(batch.iter_lines().map(<[u8]>::to_vec));
        Disposition::Delivered
    });
    // Of one series and second: the last one is the value.
    (1..=3).for_each(|n| simulation.add("db", &format!("total n={n}i 1700000000")));
    simulation.submit();
    simulation.run_until(1);
    simulation.add("db", "bad n=1i 1700000000");
    simulation.submit();
    simulation.run_until(600);
    assert_eq!(simulation.stats().rejected, 1);
    let stored = stored.lock().unwrap();
    assert!(stored.len() > 3, "a line was sent again");
    assert_eq!(stored.last().unwrap(), b"total n=3i 1700000000");
}

/// Poison, as InfluxDB 3.6 has it: the connection closes without a reply.
fn closes_for_bad_lines() -> Simulation {
    Simulation::new(|batch, _| {
        if has_bad(batch) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    })
}

#[test]
fn poison_in_every_batch_stops_no_delivery() {
    let simulation = closes_for_bad_lines();
    // 2,000 lines a second for a minute, one in 5,000 of them bad.
    for second in 0..60 {
        for number in 0..2_000 {
            let n = second * 2_000 + number;
            let kind = if n % 5_000 == 4_999 { "bad" } else { "good" };
            simulation.add("db", &format!("{kind} n={n}i"));
        }
        simulation.run_until(second);
        if second > 20 {
            assert!(simulation.stats().pending < 20_000, "{second} s: {:?}", simulation.stats());
        }
    }
    simulation.submit();
    simulation.run_until(120);
    let stats = simulation.stats();
    assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 24, 119_976));
    assert!(simulation.requests() < 24 * 60, "{} requests", simulation.requests());
}

#[test]
fn a_backlog_with_poison_in_every_batch_is_delivered() {
    let simulation = Simulation::new(|batch, now| {
        if has_bad(batch) || now < Duration::from_secs(600) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for n in 0..100_000 {
        let kind = if n % 5_000 == 77 { "bad" } else { "good" };
        simulation.add("db", &format!("{kind} n={n}i"));
    }
    simulation.submit();
    simulation.run_until(599);
    assert_eq!(simulation.stats().pending, 100_000);
    simulation.run_until(1_200);
    let stats = simulation.stats();
    assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 20, 99_980));
}

#[test]
fn while_one_batch_fails_the_others_do_not_wait() {
    let simulation = closes_for_bad_lines();
    simulation.add("db", "good n=0i");
    simulation.submit();
    simulation.run_until(0);
    simulation.add("db", "bad n=1i");
    simulation.submit();
    simulation.run_until(1);
    for second in 2..100 {
        simulation.add("db", &format!("good n={second}i"));
        simulation.submit();
        // No time passes: what is added is delivered at once.
        simulation.run_until(second - 1);
        assert_eq!(simulation.stats().delivered, second);
    }
    assert_eq!(simulation.rejected(), ["bad n=1i"]);
}

#[test]
fn a_single_line_is_not_rejected_when_the_server_fails_during_the_search() {
    let simulation = Simulation::new(|batch, now| {
        let is_down = (1..3_600).contains(&now.as_secs());
        if is_down || has_bad(batch) && now.as_secs() == 0 {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..1_000 {
        let kind = if number == 500 { "bad" } else { "good" };
        simulation.add("db", &format!("{kind} n={number}i"));
    }
    simulation.submit();
    simulation.run_until(3_599);
    assert_eq!(simulation.stats().rejected, 0);
    simulation.run_until(3_700);
    assert_eq!((simulation.stats().delivered, simulation.stats().rejected), (1_000, 0));
}

#[test]
fn a_network_that_loses_half_of_all_connections_makes_no_line_poison() {
    let requests = deliver_over_bad_network(0, 0.5, 1_000);
    assert!(requests < 4_000, "{requests} requests");
}

#[test]
fn no_line_is_poison_before_the_network_is_known() {
    for seed in 0..100 {
        for loss in [0.2, 0.5, 0.7] {
            deliver_over_bad_network(seed, loss, 10);
        }
    }
}

/// Returns the number of requests.
fn deliver_over_bad_network(seed: u64, loss: f64, seconds: u64) -> usize {
    fastrand::seed(seed);
    let simulation = Simulation::new(move |_, _| {
        if fastrand::f64() < loss {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for second in 0..seconds {
        for number in 0..100 {
            simulation.add("db", &format!("m n={number}i,s={second}i"));
        }
        simulation.submit();
        simulation.run_until(second);
    }
    simulation.run_until(seconds + 1_000);
    let stats = simulation.stats();
    let expected = (seconds * 100, 0, 0);
    let outcome = (stats.delivered, stats.rejected, stats.pending);
    assert_eq!(outcome, expected, "seed {seed}, {loss} lost");
    simulation.requests()
}

/// The server's replies get lost from some moment on, as while it is deployed anew.
#[test]
fn lines_that_are_sent_one_by_one_are_no_poison_when_replies_begin_to_get_lost() {
    for (before, percent) in [(0, 50), (0, 80), (100, 20), (100, 50), (100, 80)] {
        for round in 0..100 {
            let simulation = Simulation::new(move |_, now| {
                if now.as_secs() >= before && fastrand::u64(..100) < percent {
                    retry(Cause::Unknown, Scope::Server, None)
                } else {
                    Disposition::Delivered
                }
            });
            for second in 0..before + 30 {
                simulation.add("db", &format!("m n={second}i"));
                simulation.submit();
                simulation.run_until(second);
            }
            let stats = simulation.stats();
            assert_eq!(stats.rejected, 0, "{percent} % from {before} s on, round {round}");
        }
    }
}

#[test]
fn a_poison_batch_is_found_while_others_are_delivered() {
    let simulation = closes_for_bad_lines();
    for second in 0..2_000 {
        let kind = if second == 5 { "bad" } else { "good" };
        simulation.add("db", &format!("{kind} n={second}i"));
        simulation.add("db", &format!("good m={second}i"));
        simulation.submit();
        simulation.run_until(second);
    }
    simulation.run_until(10_000);
    let stats = simulation.stats();
    assert_eq!((stats.pending, stats.rejected, stats.delivered), (0, 1, 3_999));
    assert_eq!(simulation.rejected(), ["bad n=5i"]);
}

#[test]
fn during_a_full_outage_no_batch_is_treated_as_poison() {
    let simulation = Simulation::new(|_, now| {
        if now < Duration::from_secs(86_400) {
            retry(Cause::Unknown, Scope::Server, None)
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..10 {
        simulation.add(&format!("db{number}"), "m n=1i");
    }
    simulation.submit();
    simulation.run_until(86_399);
    assert_eq!(simulation.stats().pending, 10);
    simulation.run_until(90_000);
    assert_eq!(simulation.stats().delivered, 10);
}

#[test]
fn a_panic_in_the_transport_or_the_hook_loses_nothing() {
    let first = Mutex::new(true);
    let simulation = Simulation::new(move |_, _| {
        let is_first = std::mem::take(&mut *first.lock().unwrap_or_else(|e| e.into_inner()));
        if is_first {
            std::panic::resume_unwind(Box::new(()));
        }
        reject(RejectedLines::All, false)
    });
    let route = simulation.sender.route();
    let on_rejected: OnRejected = Arc::new(|_| std::panic::resume_unwind(Box::new(())));
    simulation.sender.set_route(Route { on_rejected: Some(on_rejected), ..Route::clone(&route) });
    simulation.add("db", "m n=1i");
    simulation.submit();
    assert_eq!(simulation.sender.step(|| {}), Step::Worked);
    assert_eq!(simulation.stats().pending, 1);
    // The panic poisoned the server's own lock.
    simulation.server.answer.clear_poison();
    simulation.run_until(60);
    assert_eq!(simulation.stats().rejected, 1);
}
