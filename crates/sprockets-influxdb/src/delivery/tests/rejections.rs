//! Lines that the server rejects, named or not.

use super::*;

#[test]
fn bad_lines_that_the_server_names_are_rejected_and_no_others() {
    for rest_stored in [true, false] {
        let simulation = Simulation::new(move |batch, _| match bad_indices(batch) {
            bad if bad.is_empty() => Disposition::Delivered,
            bad => reject(RejectedLines::Named(bad), rest_stored),
        });
        deliver_with_bad_lines(&simulation, 5_000, &[0, 1, 17, 2_500, 4_999]);
        assert_eq!(simulation.requests(), if rest_stored { 1 } else { 2 });
        let reasons = simulation.rejected.lock().unwrap();
        assert_eq!(reasons[2], ("bad n=17i".to_owned(), "line 17 is bad".to_owned()));
    }
}

#[test]
fn an_unnamed_bad_line_is_found_in_a_logarithmic_number_of_requests() {
    for rest_stored in [true, false] {
        for bad in [0, 1, 2_047, 2_048, 5_000, 9_999] {
            let simulation = Simulation::new(move |batch, _| {
                if has_bad(batch) {
                    reject(RejectedLines::Unnamed { count: None }, rest_stored)
                } else {
                    Disposition::Delivered
                }
            });
            deliver_with_bad_lines(&simulation, 10_000, &[bad]);
            assert!(simulation.requests() <= 1 + 2 * 14, "{} requests", simulation.requests());
        }
    }
}

#[test]
fn many_adjacent_bad_lines_are_found() {
    let simulation = Simulation::new(|batch, _| match bad_indices(batch).len() {
        0 => Disposition::Delivered,
        count => reject(RejectedLines::Unnamed { count: Some(count) }, true),
    });
    let bad: Vec<usize> = (1_234..4_321).collect();
    deliver_with_bad_lines(&simulation, 10_000, &bad);
    assert!(simulation.requests() < 80, "{} requests", simulation.requests());
}

#[test]
fn a_search_without_a_budget_goes_on_slowly_until_all_is_decided() {
    for rest_stored in [true, false] {
        let simulation = Simulation::new(move |batch, _| {
            if has_bad(batch) {
                reject(RejectedLines::Unnamed { count: None }, rest_stored)
            } else {
                Disposition::Delivered
            }
        });
        // The requests of the budget take no time, those of the slow search some.
        let requests = AtomicUsize::new(0);
        *simulation.server.latency.lock().unwrap() = Box::new(move |_| {
            let is_slow = requests.fetch_add(1, Ordering::Relaxed) > 250;
            Duration::from_millis(if is_slow { 20 } else { 0 })
        });
        let bad: Vec<usize> = (0..10_000).filter(|number| number % 30 == 7).collect();
        deliver_with_bad_lines(&simulation, 10_000, &bad);
        let requests = simulation.server.requests.lock().unwrap();
        let in_second = |second| requests.iter().filter(|(at, _)| at.as_secs() == second).count();
        assert!((200..=300).contains(&in_second(0)), "{} at once", in_second(0));
        assert!(in_second(1) <= 50, "{} at the pace of the server", in_second(1));
        assert!((2..50).all(|second| in_second(second) <= 21));
    }
}

#[test]
fn a_slow_search_holds_back_no_other_batch() {
    let simulation = Simulation::new(|batch, _| {
        if has_bad(batch) {
            reject(RejectedLines::Unnamed { count: None }, false)
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..10_000 {
        let kind = if number % 30 == 7 { "bad" } else { "good" };
        simulation.add("db", &format!("{kind} n={number}i"));
    }
    simulation.submit();
    simulation.run_until(1);
    let delivered = simulation.stats().delivered;
    simulation.add("other", "m n=1i");
    simulation.submit();
    simulation.run_until(1);
    assert_eq!(simulation.stats().delivered, delivered + 1);
}

#[test]
fn a_server_that_names_one_line_a_reply_is_searched_exactly() {
    let simulation = Simulation::new(|batch, _| match bad_indices(batch) {
        bad if bad.is_empty() => Disposition::Delivered,
        mut bad => {
            bad.truncate(1);
            reject(RejectedLines::Named(bad), false)
        }
    });
    let bad: Vec<usize> = (0..2_000).filter(|number| number % 5 == 3).collect();
    deliver_with_bad_lines(&simulation, 2_000, &bad);
}

#[test]
fn a_conflict_within_a_batch_is_resent_once_and_then_searched() {
    let first = Mutex::new(true);
    let simulation = Simulation::new(move |batch, _| {
        if std::mem::take(&mut *first.lock().unwrap()) {
            return Disposition::ResendOnce { reason: "field type conflict".to_owned() };
        }
        match bad_indices(batch) {
            bad if bad.is_empty() => Disposition::Delivered,
            bad => reject(RejectedLines::Named(bad), true),
        }
    });
    deliver_with_bad_lines(&simulation, 100, &[7]);
    assert_eq!(simulation.requests(), 2);

    let simulation = Simulation::new(|batch, _| {
        if has_bad(batch) {
            Disposition::ResendOnce { reason: "field type conflict".to_owned() }
        } else {
            Disposition::Delivered
        }
    });
    deliver_with_bad_lines(&simulation, 100, &[7]);
}

#[test]
fn a_batch_rejected_as_a_whole_costs_one_request() {
    let simulation = Simulation::new(|_, _| reject(RejectedLines::All, false));
    for number in 0..100 {
        simulation.add("db", &format!("bad n={number}i"));
    }
    simulation.submit();
    simulation.run_until(1);
    assert_eq!((simulation.stats().rejected, simulation.requests()), (100, 1));
    assert_eq!(simulation.rejected().len(), 100);
}
