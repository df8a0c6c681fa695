//! 413 replies.

use super::*;

#[test]
fn a_batch_that_is_too_large_is_halved_and_the_limit_is_learnt() {
    let simulation = Simulation::new(|batch, _| {
        if batch.len() > 20_000 {
            Disposition::TooLarge { is_influxdb: true, reason: "too large".to_owned() }
        } else {
            Disposition::Delivered
        }
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
        if now < Duration::from_secs(600) {
            Disposition::TooLarge { is_influxdb: true, reason: "too large".to_owned() }
        } else {
            Disposition::Delivered
        }
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
            Disposition::TooLarge { is_influxdb: true, reason: "too large".to_owned() }
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
            Disposition::TooLarge { is_influxdb: true, reason: "too large".to_owned() }
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
        if batch.len() > 20_000 {
            Disposition::TooLarge { is_influxdb: true, reason: "too large".to_owned() }
        } else {
            Disposition::Delivered
        }
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
