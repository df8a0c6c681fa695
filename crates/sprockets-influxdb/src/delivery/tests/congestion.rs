//! Servers that answer too late.

use super::*;

#[test]
fn a_server_slower_than_the_timeout_does_not_multiply_the_bytes() {
    let simulation = Simulation::new(|_, _| Disposition::Delivered);
    // 200,000 lines take 300 s; a batch of 10,000 takes longer than the timeout.
    *simulation.server.latency.lock().unwrap() =
        Box::new(|batch| Duration::from_micros(1_500) * batch.lines() as u32);
    for number in 0..200_000 {
        simulation.add("db", &format!("m n={number}i"));
    }
    simulation.submit();
    simulation.run_until(3_600);
    let stats = simulation.stats();
    assert_eq!((stats.delivered, stats.pending), (200_000, 0));
    let sent: usize =
        simulation.server.requests.lock().unwrap().iter().map(|(_, lines)| lines).sum();
    assert!(sent <= 220_000, "{sent} lines sent, {} requests", simulation.requests());
}

#[test]
fn batches_grow_again_when_the_server_is_fast_again() {
    let simulation = Simulation::new(|_, _| Disposition::Delivered);
    *simulation.server.latency.lock().unwrap() = Box::new(|_| Duration::from_secs(60));
    simulation.add("db", "m n=1i");
    simulation.submit();
    simulation.run_until(600);
    assert!((1..60).contains(&simulation.requests()), "{}", simulation.requests());
    *simulation.server.latency.lock().unwrap() = Box::new(|_| Duration::from_millis(100));
    for round in 0..20 {
        for number in 0..20_000 {
            simulation.add("db", &format!("m n={number}i,round={round}i"));
        }
        simulation.submit();
        simulation.run_until(1_000 + round * 100);
    }
    let requests = simulation.server.requests.lock().unwrap();
    let largest = requests.iter().rev().take(10).map(|(_, lines)| *lines).max();
    assert!(largest > Some(9_000), "full batches again: {largest:?}");
}

#[test]
fn one_batch_that_times_out_holds_back_no_other() {
    let simulation = Simulation::new(|_, _| Disposition::Delivered);
    *simulation.server.latency.lock().unwrap() = Box::new(|batch| {
        if batch.database() == "slow" { Duration::from_secs(3_600) } else { Duration::ZERO }
    });
    for round in 0..200 {
        simulation.add("db", &format!("m n={round}i"));
        if round == 10 {
            simulation.add("slow", "m n=1i");
        }
        simulation.submit();
        simulation.run_until(round * 10);
    }
    simulation.run_until(2_100);
    let stats = simulation.stats();
    assert_eq!((stats.delivered, stats.rejected, stats.pending), (200, 0, 1));
}
