//! 413 replies.

use super::*;

fn too_large(is_from_server: bool) -> Disposition {
    Disposition::TooLarge { is_from_server, reason: "too large".to_owned() }
}

#[test]
fn a_batch_that_is_too_large_is_halved_and_the_limit_is_learnt() {
    let simulation = Simulation::new(|batch, _| {
        if batch.len() > 20_000 { too_large(true) } else { Disposition::Delivered }
    });
    for round in 0..3 {
        for number in 0..4_000 {
            simulation.add("db", &format!("m n={number}i,round={round}i"));
        }
        simulation.submit();
        simulation.run_until(round);
    }
    let stats = simulation.stats();
    assert_eq!(stats.delivered, 12_000);
    let requests = simulation.server.requests.lock().unwrap();
    let in_round = |round| requests.iter().filter(|(time, _)| time.as_secs() == round).count();
    assert!(in_round(2) <= in_round(0), "the limit is known");
    drop(requests);

    simulation.add("db", &format!("bad s=\"{}\"", "x".repeat(30_000)));
    simulation.submit();
    simulation.run_until(60);
    assert_eq!(simulation.rejected().len(), 1, "a single line that is too large is rejected");
}

#[test]
fn a_413_to_everything_loses_nothing() {
    let simulation = Simulation::new(|_, now| {
        if now < Duration::from_secs(600) { too_large(true) } else { Disposition::Delivered }
    });
    for number in 0..20_000 {
        simulation.add("db", &format!("m n={number}i"));
    }
    simulation.add("db", &format!("large s=\"{}\"", "x".repeat(30_000)));
    simulation.submit();
    simulation.run_until(599);
    let stats = simulation.stats();
    assert_eq!((stats.pending, stats.rejected), (20_001, 0));
    assert!(simulation.requests() < 150, "{} requests", simulation.requests());
    simulation.run_until(700);
    assert_eq!(simulation.stats().delivered, 20_001);
}

#[test]
fn a_small_batch_that_is_too_large_once_is_sent_again_as_it_is() {
    let rejected = AtomicUsize::new(0);
    let simulation = Simulation::new(move |_, _| {
        if rejected.fetch_add(1, Ordering::Relaxed) < 1 {
            too_large(true)
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..100 {
        simulation.add("db", &format!("m n={number}i"));
    }
    simulation.submit();
    simulation.run_until(1);
    assert_eq!((simulation.stats().delivered, simulation.requests()), (100, 2));
}

#[test]
fn a_passing_413_does_not_keep_bodies_small() {
    let simulation = Simulation::new(|batch, now| {
        if now < Duration::from_secs(1) && batch.len() > 4_000 {
            too_large(true)
        } else {
            Disposition::Delivered
        }
    });
    for number in 0..1_000 {
        simulation
            .add("db", &format!("m,host=server.example f=\"some text of a line\",n={number}i"));
    }
    simulation.submit();
    simulation.run_until(1);
    assert_eq!(simulation.stats().delivered, 1_000);
    for number in 0..200_000 {
        simulation
            .add("db", &format!("m,host=server.example f=\"some text of a line\",n={number}i"));
    }
    simulation.submit();
    simulation.run_until(10);
    assert_eq!(simulation.stats().delivered, 201_000);
    assert!(simulation.requests() < 150, "{} requests", simulation.requests());
}

#[test]
fn a_lasting_limit_is_rarely_probed() {
    let simulation = Simulation::new(|batch, _| {
        if batch.len() > 20_000 { too_large(true) } else { Disposition::Delivered }
    });
    let mut rejected = Vec::new();
    for second in 0..10 {
        let before = simulation.requests();
        for number in 0..10_000 {
            simulation.add("db", &format!("m n={number}i,second={second}i"));
        }
        simulation.submit();
        simulation.run_until(second);
        let delivered = simulation.server.stored.lock().unwrap().len();
        assert_eq!(delivered as u64, (second + 1) * 10_000);
        rejected.push(simulation.requests() - before);
    }
    // 260 kB in bodies of 10 to 20 kB.
    assert!(rejected[9] < 32 && rejected[9] <= rejected[0], "{rejected:?}");
}

/// The sizes in lines of the requests since `first`, except for those of one line.
fn sizes(simulation: &Simulation, first: usize) -> Vec<usize> {
    let requests = simulation.server.requests.lock().unwrap();
    requests[first..].iter().map(|(_, lines)| *lines).filter(|lines| *lines > 1).collect()
}

#[test]
fn a_limit_before_one_database_does_not_keep_the_bodies_of_others_small() {
    let simulation = Simulation::new(|batch, _| match batch.database() {
        "foreign" => too_large(false),
        _ => Disposition::Delivered,
    });
    let add = |second| {
        for number in 0..10_000 {
            simulation.add("db", &format!("m n={number}i,second={second}i"));
        }
        simulation.submit();
        simulation.run_until(second);
    };
    for second in 0..100 {
        for number in 0..1_000 {
            simulation.add("foreign", &format!("m n={number}i,second={second}i"));
        }
        add(second);
    }
    let before = simulation.requests();
    for second in 100..110 {
        add(second);
    }
    assert_eq!(simulation.stats().delivered, 1_100_000);
    let sizes = sizes(&simulation, before);
    assert_eq!(sizes.iter().filter(|lines| **lines == 10_000).count(), 10, "{sizes:?}");
    let stats = simulation.stats();
    assert_eq!((stats.rejected, stats.pending), (0, 100_000));
}

#[test]
fn a_limit_of_the_server_holds_for_every_database() {
    let simulation = Simulation::new(|batch, _| {
        if batch.len() > 20_000 { too_large(true) } else { Disposition::Delivered }
    });
    for (second, database) in ["first", "second"].into_iter().enumerate() {
        let before = simulation.requests();
        for number in 0..5_000 {
            simulation.add(database, &format!("m n={number}i"));
        }
        simulation.submit();
        simulation.run_until(second as u64);
        assert_eq!(simulation.stats().delivered, 5_000 * (second as u64 + 1));
        let sizes = sizes(&simulation, before);
        assert_eq!(sizes.contains(&5_000), second == 0, "{sizes:?}");
    }
}

/// The limit of nginx, before all databases.
#[test]
fn a_limit_before_the_server_is_learnt_for_each_database() {
    let simulation = Simulation::new(|batch, _| {
        if batch.len() > 20_000 { too_large(false) } else { Disposition::Delivered }
    });
    for second in 0..20 {
        let before = simulation.requests();
        for database in ["first", "second"] {
            for number in 0..4_000 {
                simulation.add(database, &format!("m n={number}i,second={second}i"));
            }
        }
        simulation.submit();
        simulation.run_until(second);
        assert_eq!(simulation.stats().delivered, (second + 1) * 8_000);
        if second > 10 {
            // 90 kB for each, in bodies of 10 to 20 kB, and sometimes a larger one.
            let requests = simulation.requests() - before;
            assert!(requests < 30, "{requests}: {:?}", sizes(&simulation, before));
        }
    }
    assert_eq!(simulation.stats().rejected, 0);
}
